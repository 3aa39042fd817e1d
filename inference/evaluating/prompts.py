"""What the models are asked: prompts of the snapshot or of a file, and those about safety."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from inference.engine.base import Message
from inference.evaluating.held_out import drawn
from inference.evaluating.settings import Settings
from inference.training.errors import TrainingError
from inference.training.samples import Funnel, messages_of
from inference.training.snapshot import SnapshotFolder

SAFETY_FILE = Path(__file__).with_name("safety_prompts.yaml")


@dataclass(frozen=True)
class Prompt:
    messages: tuple[Message, ...]
    lang: str = ""
    harmful: bool | None = None
    """Whether it should be refused; None for all but those about safety."""
    kind: str = ""

    @property
    def text(self) -> str:
        return self.messages[-1].content


def prompts(snapshot: SnapshotFolder, settings: Settings, funnel: Funnel) -> list[Prompt]:
    """Return the prompts, drawn by the seed. Raise TrainingError (`changed`, `prompts`)."""
    if not settings.prompts:
        return []
    if settings.prompts_file:
        rows = _of_file(Path(settings.prompts_file))
    else:
        rows = list(snapshot.rows("prompts", settings.part, settings.langs))
    funnel.rows += len(rows)
    found = [
        Prompt(tuple(messages_of(row["prompt"])), row["lang"] or "")
        for row in drawn(rows, settings.prompts, settings.seed, funnel)
    ]
    funnel.samples += len(found)
    return found


def _of_file(file: Path) -> list[dict[str, Any]]:
    try:
        lines = [json.loads(line) for line in file.read_text("utf-8").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise TrainingError(f"{file} cannot be read as JSON lines: {error}", code="prompts") from error
    return [_row(file, number, line) for number, line in enumerate(lines, 1)]


def _row(file: Path, number: int, line: Any) -> dict[str, Any]:
    text = line if isinstance(line, str) else line.get("prompt") or line.get("text") if isinstance(line, dict) else None
    if not isinstance(text, str) or not text.strip():
        raise TrainingError(f"{file}, line {number}: there is no prompt, as a text or as `prompt`.", code="prompts")
    lang = line.get("lang") if isinstance(line, dict) else ""
    return {"prompt": [{"role": "user", "content": text}], "lang": lang if isinstance(lang, str) else ""}


@cache
def safety_prompts() -> tuple[Prompt, ...]:
    rows = yaml.safe_load(SAFETY_FILE.read_text("utf-8"))
    return tuple(
        Prompt((Message("user", row["text"]),), row["lang"], harmful=row["harmful"], kind=row["kind"]) for row in rows
    )
