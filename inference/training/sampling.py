"""Let a model answer prompts, many at once: for evaluations, for best-of-n and for rejection sampling.

The prompts are those that the chat would give the model: the same template, and the oldest turns go if they are too
long. The same seed, prompts and settings give the same answers on the same machine.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference.engine.base import EngineError, Message, Refused
from inference.engine.loading import load
from inference.engine.prompt import PromptBuilder
from inference.engine.sampling import Sampling
from inference.training.errors import TrainingError

ROWS = 16
"""Answers that are generated together."""


@dataclass(frozen=True)
class Answer:
    text: str
    tokens: int
    """Of the answer, with the one that ends it."""
    ended: bool
    """Whether the model ended it; else it ran into `max_tokens`."""
    controls: int = 0
    """Control tokens within it, which its text leaves out: such a model begins the next turn itself."""


def answers(
    folder: Path, prompts: Sequence[Sequence[Message]], *, n: int = 1, config: Sampling | None = None, seed: int = 0
) -> list[list[Answer]]:
    """Return `n` answers to each prompt. Raise as `Sampler` and its `answers` do."""
    return Sampler(folder).answers(prompts, n=n, config=config, seed=seed)


class Sampler:
    """A model in a folder that answers prompts. Loading takes seconds; `threads` 0 is as many as torch takes.

    Raise TrainingError (`base`) if there is no model in the folder or it cannot be loaded.
    """

    def __init__(self, folder: Path, *, threads: int = 0, rows: int = ROWS) -> None:
        import torch

        try:
            self._loaded = load(folder, threads=threads or torch.get_num_threads())
        except EngineError as error:
            raise TrainingError(str(error), code="base") from error
        self._prompts = PromptBuilder(self._loaded.tokenizer, context=self._loaded.context)
        self._controls = set(self._loaded.tokenizer.all_special_ids)
        self._rows = rows

    def answers(
        self, prompts: Sequence[Sequence[Message]], *, n: int = 1, config: Sampling | None = None, seed: int = 0
    ) -> list[list[Answer]]:
        """Return `n` answers to each prompt. With temperature 0 all `n` are the same one.

        `seed` stands in for that of `config`. Raise TrainingError (`prompt`) for a prompt that does not fit into the
        context or asks nothing, (`settings`) for stop texts and biases, which only the chat knows.
        """
        config = config or Sampling()
        if config.stop or config.logit_bias:
            raise TrainingError("Samples are drawn without stop texts and biases of tokens.", code="settings")
        each = 1 if config.greedy else n
        rows = [(number, ids) for number, ids in enumerate(self._ids(prompts, config)) for _ in range(each)]
        rows.sort(key=lambda row: len(row[1]))  # prompts of like length need little padding
        found: list[list[Answer]] = [[] for _ in prompts]
        for batch, start in enumerate(range(0, len(rows), self._rows)):
            together = rows[start : start + self._rows]
            said = self._generate([ids for _, ids in together], config, (seed * 1_000_003 + batch) % 2**63)
            for (number, _), answer in zip(together, said, strict=True):
                found[number].append(answer)
        return [one * n for one in found] if config.greedy else found

    def _ids(self, prompts: Sequence[Sequence[Message]], config: Sampling) -> Iterator[list[int]]:
        for number, messages in enumerate(prompts):
            try:
                yield self._prompts.build(messages, config.max_tokens).token_ids
            except Refused as error:
                raise TrainingError(f"Prompt {number + 1}: {error.message}", code="prompt") from error

    def _generate(self, prompts: Sequence[list[int]], config: Sampling, seed: int) -> Iterator[Answer]:
        import torch

        model, tokenizer = self._loaded.model, self._loaded.tokenizer
        longest = max(map(len, prompts))
        pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else self._loaded.end_ids[0]
        filled = [longest - len(ids) for ids in prompts]
        ids = torch.tensor([[pad] * more + ids for more, ids in zip(filled, prompts, strict=True)])
        seen = torch.tensor([[0] * more + [1] * (longest - more) for more in filled])
        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(seed)
            said = model.generate(
                input_ids=ids.to(model.device),
                attention_mask=seen.to(model.device),
                generation_config=self._settings(config, min(config.max_tokens, self._loaded.context - longest), pad),
            )
        for row in said[:, longest:].tolist():
            yield self._answer(row)

    def _settings(self, config: Sampling, most: int, pad: int) -> Any:
        from transformers import GenerationConfig

        return GenerationConfig(
            max_new_tokens=most,
            do_sample=not config.greedy,
            temperature=config.temperature or 1.0,
            top_k=config.top_k,
            top_p=config.top_p,
            typical_p=config.typical_p,
            repetition_penalty=config.repetition_penalty,
            eos_token_id=list(self._loaded.end_ids),
            pad_token_id=pad,
            use_cache=True,
        )

    def _answer(self, ids: list[int]) -> Answer:
        end = next((place for place, one in enumerate(ids) if one in self._loaded.end_ids), None)
        said = ids if end is None else ids[: end + 1]
        text: str = self._loaded.tokenizer.decode(said, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        within = sum(one in self._controls for one in (said if end is None else said[:-1]))
        return Answer(text.strip(), len(said), ended=end is not None, controls=within)
