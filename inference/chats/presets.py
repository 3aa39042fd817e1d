"""The built-in presets: those of Open-Assistant, in its order. New chats begin with `DEFAULT`."""

from typing import Any

BUILT_IN: dict[str, dict[str, Any]] = {
    "k50": {"temperature": 0.75, "top_k": 50, "top_p": 0.95, "repetition_penalty": 1.2},
    "k50-Creative": {"temperature": 0.85, "top_k": 50, "top_p": 0.95, "repetition_penalty": 1.2},
    "k50-Precise": {"temperature": 0.1, "top_k": 50, "top_p": 0.95, "repetition_penalty": 1.2},
    "k50-Original": {"temperature": 0.9, "top_k": 50, "top_p": 0.95, "repetition_penalty": 1.2},
    "k50-Plugins": {"temperature": 0.35, "top_k": 50, "repetition_penalty": 1 / 0.90},
    "nucleus9": {"temperature": 0.8, "top_p": 0.9, "repetition_penalty": 1.2},
    "typical2": {"temperature": 0.8, "typical_p": 0.2, "repetition_penalty": 1.2},
    "typical3": {"temperature": 0.8, "typical_p": 0.3, "repetition_penalty": 1.2},
}
DEFAULT = "k50"

# Names on the pages. k50-Plugins is for tools and is not shown.
NAMES = {
    "k50": "Balanced",
    "k50-Precise": "Precise",
    "k50-Creative": "Creative",
    "k50-Original": "Original",
    "nucleus9": "Nucleus",
    "typical2": "Typical",
    "typical3": "Typical, wider",
}
