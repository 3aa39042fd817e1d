"""Counters of the chat. inference.turns.status has the gauges."""

from prometheus_client import Counter, Histogram

turns_ended = Counter("oasst_chat_turns_ended", "Answers that ended, by how.", ["state"])
turns_failed = Counter("oasst_chat_turns_failed", "Answers that failed or came too late, by reason.", ["code"])
tokens = Counter("oasst_chat_tokens", "Tokens that the model wrote.")
wait_seconds = Histogram(
    "oasst_chat_wait_seconds",
    "From asking until an engine begins.",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300),
)
first_text_seconds = Histogram(
    "oasst_chat_first_text_seconds",
    "From asking to the first text.",
    buckets=(0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300),
)
