"""Ask an engine in tests, and get the text of plain `generate` for comparison."""

import queue
import random
import time
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from inference.engine.base import Chunk, Engine, Finish, Message, Prefix, Request
from inference.engine.loading import LoadedModel
from inference.engine.prompt import PromptBuilder
from inference.engine.sampling import parse_sampling

BOUND = 120  # seconds before a test that hangs fails


def request(name: str, text: str | Sequence[Message], prefix: Prefix = Prefix(), **settings: Any) -> Request:  # noqa: B008
    messages = [Message("user", text)] if isinstance(text, str) else text
    return Request(name, messages, parse_sampling({"temperature": 0, "max_tokens": 40, **settings}), prefix)


def stream(engine: Engine, request: Request) -> Iterator[Chunk]:
    """Yield the chunks of one request. Leaving the loop early cancels the request."""
    chunks: queue.SimpleQueue[Chunk] = queue.SimpleQueue()
    engine.add(request, chunks.put)
    try:
        while True:
            chunk = chunks.get()
            yield chunk
            if chunk.finish is not None:
                return
    finally:
        engine.cancel(request.id)


class Answers:
    """Collects the answers of several requests."""

    def __init__(self) -> None:
        self.chunks: queue.SimpleQueue[Chunk] = queue.SimpleQueue()
        self.text: dict[str, str] = {}
        self.token_ids: dict[str, list[int]] = {}
        self.last: dict[str, Chunk] = {}

    def take(self, chunk: Chunk) -> None:
        name = chunk.request_id
        assert name not in self.last, "nothing comes after the end"
        self.text[name] = self.text.get(name, "") + chunk.text
        self.token_ids.setdefault(name, []).extend(chunk.token_ids)
        if chunk.finish is not None:
            self.last[name] = chunk

    def wait(self, *names: str) -> "Answers":
        deadline = time.monotonic() + BOUND
        while not set(names) <= set(self.last):
            self.take(self.chunks.get(timeout=max(deadline - time.monotonic(), 0.01)))
        return self

    def wait_for_tokens(self, name: str, number: int) -> None:
        deadline = time.monotonic() + BOUND
        while len(self.token_ids.get(name, [])) < number and name not in self.last:
            self.take(self.chunks.get(timeout=max(deadline - time.monotonic(), 0.01)))

    def finish(self, name: str) -> Finish | None:
        return self.last[name].finish


def ask(engine: Engine, *requests: Request, pause: random.Random | None = None) -> Answers:
    """Ask all at once or at random moments. Return when all have ended."""
    answers = Answers()
    for one in requests:
        if pause is not None:
            time.sleep(pause.random() * 0.02)
        engine.add(one, answers.chunks.put)
    return answers.wait(*(one.id for one in requests))


def generated(loaded: LoadedModel, one: Request, **settings: Any) -> str:
    """Return the greedy text of the library's own `generate`, without a batch."""
    ids = PromptBuilder(loaded.tokenizer, context=100_000).render(one.messages)
    written = loaded.model.generate(
        torch.tensor([ids]),
        max_new_tokens=one.sampling.max_tokens,
        do_sample=False,
        eos_token_id=list(loaded.end_ids),
        **settings,
    )[0, len(ids) :].tolist()
    text: str = loaded.tokenizer.decode(written, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return text.rstrip("\ufffd")
