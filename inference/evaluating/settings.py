"""The settings of an evaluation: one default set, overridden by a YAML file and then by single keys."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from inference.training.errors import TrainingError
from inference.training.yaml_settings import parse_changes, read_yaml, words

Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]


class Settings(BaseModel):
    """Lengths are in tokens."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    part: Literal["test", "validation"] = "test"
    """Of the snapshot; trainings see neither, but look at the losses of the validation part."""
    langs: Annotated[tuple[str, ...], BeforeValidator(words)] = ()
    """Languages of the prompts; all if empty."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 20240107
    """Which prompts are drawn, and what the models answer."""

    most_conversations: Count = 500
    """For the loss, drawn by the seed; 0 for all."""
    most_rankings: Count = 500
    """For the reward model; 0 for all."""
    max_length: Annotated[int, Field(ge=32)] = 1024
    """Longer conversations are cut between turns."""

    prompts: Count = 50
    """How many both models answer; 0 for none."""
    prompts_file: str = ""
    """Prompts from a file instead of the snapshot: JSON lines, each a text or an object with `prompt` and `lang`."""
    answers: Positive = 1
    """Of each model to each prompt."""
    answer_length: Positive = 256
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.7
    """0: always the likeliest token."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 0.95
    safety: bool = True
    """Ask the prompts of safety_prompts.yaml too."""
    safety_length: Positive = 64
    """Of answers to these: a refusal comes first."""

    judge_url: str = ""
    """Base address of a server with OpenAI's protocol, such as http://localhost:8001/v1, whose model is the judge."""
    judge_model: str = ""
    tasks: Annotated[tuple[str, ...], BeforeValidator(words)] = ()
    """Files of tasks with known answers, in the layout of lm-evaluation-harness; none if empty."""
    most_questions: Count = 200
    """Of each task; 0 for all."""
    rounds: Annotated[int, Field(ge=100, le=10_000)] = 400
    """Resamples behind an interval."""
    threads: Count = 0
    """0 for as many as torch takes."""

    @field_validator("judge_url")
    @classmethod
    def _is_address(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query):
            raise ValueError("give an address such as http://localhost:8001/v1, without a name, password or query")
        return value.rstrip("/")


def read_settings(file: Path | None = None, changes: Sequence[str] = ()) -> Settings:
    """Return the settings. `changes` are of the form `key=value`, values as in YAML. Raise TrainingError (`config`)."""
    values = read_yaml(file) if file is not None else {}
    return from_values({**values, **parse_changes(changes)})


def from_values(values: Mapping[str, Any]) -> Settings:
    """Return the settings with these values. Raise TrainingError (`config`)."""
    try:
        return Settings.model_validate(dict(values))
    except ValidationError as error:
        raise TrainingError(sentence_of(error, Settings), code="config") from error


def sentence_of(error: ValidationError, kind: type[BaseModel]) -> str:
    """Return what is wrong with the values, each with its name."""
    sentences = []
    for found in error.errors(include_url=False):
        name = ".".join(map(str, found["loc"]))
        if found["type"] == "extra_forbidden" and len(found["loc"]) == 1:
            sentences.append(f"There is no {name!r}. There are: {', '.join(sorted(kind.model_fields))}.")
        else:
            sentences.append(f"{name or 'It'}: {found['msg'].removeprefix('Value error, ')}.")
    return " ".join(sentences)
