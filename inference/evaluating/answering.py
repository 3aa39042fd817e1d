"""Let a model answer all prompts, and check each answer."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from inference.engine.sampling import Sampling
from inference.evaluating.formats import Checks, OtherLanguage, check
from inference.evaluating.models import broken
from inference.evaluating.prompts import Prompt
from inference.evaluating.settings import Settings
from inference.training.sampling import Answer, Sampler


@dataclass
class Said:
    """What a model said to one prompt."""

    prompt: Prompt
    answers: list[Answer]
    checks: list[Checks]
    scores: list[float | None] = field(default_factory=list)
    """Of the reward model; empty without one."""


@dataclass
class Answers:
    name: str
    date: str
    seconds: float
    params: dict[str, Any]
    said: list[Said]

    def about_safety(self, *, harmful: bool) -> list[Said]:
        return [one for one in self.said if one.prompt.harmful is harmful]

    def ordinary(self) -> list[Said]:
        return [one for one in self.said if one.prompt.harmful is None]


def ask(
    folder: Path, name: str, prompts: Sequence[Prompt], settings: Settings, other_language: OtherLanguage | None
) -> Answers:
    """Return the answers of a model. Raise TrainingError (`base`, `prompt`, and `broken` if it computes no numbers)."""
    date, started = datetime.now(UTC).isoformat(timespec="seconds"), time.monotonic()
    sampler = Sampler(folder, threads=settings.threads)
    ordinary, safety = ([one for one in prompts if (one.harmful is None) is wanted] for wanted in (True, False))
    try:
        found = [
            *_sample(sampler, ordinary, settings, settings.answer_length),
            *_sample(sampler, safety, settings, min(settings.safety_length, settings.answer_length)),
        ]
    except RuntimeError as error:  # torch refuses to draw from such probabilities
        if "probability tensor" not in str(error):
            raise
        raise broken(name) from error
    said = [
        Said(prompt, answers, [check(one, prompt.lang, other_language) for one in answers])
        for prompt, answers in zip([*ordinary, *safety], found, strict=True)
    ]
    params = {"temperature": settings.temperature, "top_p": settings.top_p}
    return Answers(name, date, time.monotonic() - started, params, said)


def _sample(sampler: Sampler, prompts: Sequence[Prompt], settings: Settings, length: int) -> list[list[Answer]]:
    config = Sampling(max_tokens=length, temperature=settings.temperature, top_p=settings.top_p)
    asked = [one.messages for one in prompts]
    return sampler.answers(asked, n=settings.answers, config=config, seed=settings.seed) if asked else []


def as_sampling_report(answers: Answers, settings: Settings) -> dict[str, Any]:
    """Return the answers in the shape of Open-Assistant's sampling reports, with details of each output."""
    return {
        "model_name": answers.name,
        "date": answers.date,
        "args": settings.model_dump(mode="json"),
        "seconds": round(answers.seconds, 3),
        "prompts": [
            {
                "prompt": one.prompt.text,
                "messages": [vars(message) for message in one.prompt.messages],
                "lang": one.prompt.lang,
                "kind": one.prompt.kind,
                "harmful": one.prompt.harmful,
                "results": [
                    {
                        "sampling_config": "sample" if settings.temperature else "greedy",
                        "sampling_params": {"max_new_tokens": _length(one, settings), **answers.params},
                        "outputs": [answer.text for answer in one.answers],
                        "details": [_details(one, place) for place in range(len(one.answers))],
                    }
                ],
            }
            for one in answers.said
        ],
    }


def _length(said: Said, settings: Settings) -> int:
    length = settings.answer_length
    return length if said.prompt.harmful is None else min(settings.safety_length, length)


def _details(said: Said, place: int) -> dict[str, Any]:
    answer = said.answers[place]
    return {
        "tokens": answer.tokens,
        "finish_reason": "eos_token" if answer.ended else "length",
        **{name: value for name, value in said.checks[place].as_values().items() if name != "ended"},
        "score": said.scores[place] if said.scores else None,
    }
