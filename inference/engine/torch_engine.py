"""The engine in this process: one thread computes (`batching`), one reads what it wrote and hands out text.

What this adds to the library's loop: a bound on what is taken in, prompts, text, stop texts, an end for cancelled
requests, and a new loop when one has died, in which the requests go on behind what they already have.
"""

import logging
import threading
import time
from pathlib import Path
from typing import Any

from inference.engine.base import Chunk, Deliver, EngineError, Finish, Full, Load, Refused, Request
from inference.engine.batching import Batch, Sizes, Step
from inference.engine.detokenize import Detokenizer
from inference.engine.loading import Loaded, load
from inference.engine.prompt import Prompt, PromptBuilder
from inference.engine.stopping import Stopper

logger = logging.getLogger(__name__)

TRIES = 3
"""A request that was in the batch whenever the loop died, so often and without getting further, is given up."""
_TICK = 0.2
_STOP_SECONDS = 4.0


class _Text:
    """Token ids of one answer, as they come, to text that may be shown."""

    def __init__(self, tokenizer: Any, stops: tuple[str, ...]) -> None:
        self._detokenizer = Detokenizer(_Decoder(tokenizer))
        self._stopper = Stopper(stops)

    @property
    def stopped(self) -> bool:
        return self._stopper.stopped

    def feed(self, token_ids: list[int]) -> str:
        text = ""
        for token_id in token_ids:
            text += self._stopper.feed(self._detokenizer.feed([token_id]))
            if self.stopped:
                break
        return text

    def end(self) -> str:
        text = self._stopper.feed(self._detokenizer.end())
        return text + self._stopper.end()


class _Decoder:
    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def decode(self, token_ids: list[int]) -> str:
        text: str = self._tokenizer.decode(token_ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text


class _Running:
    """A request in the batch."""

    def __init__(self, request: Request, deliver: Deliver, prompt: Prompt, text: _Text) -> None:
        self.request = request
        self.deliver = deliver
        self.prompt = prompt
        self.text = text
        self.token_ids = list(request.prefix.token_ids)
        self.shared = len(self.token_ids)
        """How many of `token_ids` were in the prompt of the present loop."""
        self.tries = 0

    def chunk(self, text: str, new: list[int], finish: Finish | None = None, error: str = "") -> Chunk:
        return Chunk(
            self.request.id,
            text,
            tuple(new),
            finish,
            error,
            prompt_tokens=len(self.prompt.token_ids),
            dropped_messages=self.prompt.dropped_messages,
        )


class TorchEngine:
    """See `base.Engine`. `close` it when done: its model thread would compute on."""

    def __init__(self, loaded: Loaded, *, sizes: Sizes | None = None, context: int = 2048) -> None:
        self.model = loaded.name
        self._loaded = loaded
        self._sizes = sizes or Sizes()
        self.context = min(context, loaded.context, self._sizes.largest_request)
        self._prompts = PromptBuilder(loaded.tokenizer, context=self.context)
        self._lock = threading.Lock()  # guards the requests, the batch, and the tokenizer, which keeps state in a call
        self._running: dict[str, _Running] = {}
        self._batch_names: dict[str, str] = {}
        self._names = 0
        self._rebuilt = 0
        self._rate = _Rate()
        self._closing = threading.Event()
        self._batch = Batch(loaded, self._sizes)
        self._reader = threading.Thread(target=self._read, name="engine", daemon=True)
        self._reader.start()

    def add(self, request: Request, deliver: Deliver) -> None:
        with self._lock:
            if self._closing.is_set():
                raise EngineError("The engine is closed.")
            if len(self._running) >= self._sizes.slots:
                raise Full(f"All {self._sizes.slots} places are taken.")
            if request.id in self._running:
                raise EngineError(f"Request {request.id} is already running.")
            self._check(request)
            prompt = self._prompts.build(request.messages, request.sampling.max_tokens)
            text = _Text(self._loaded.tokenizer, request.sampling.stop)
            text.feed(list(request.prefix.token_ids))  # the text of it was given out before
            one = self._running[request.id] = _Running(request, deliver, prompt, text)
            if not self._ended_by_prefix(one):
                self._start(one)

    def cancel(self, request_id: str) -> None:
        with self._lock:
            one = self._running.get(request_id)
            if one is not None:
                self._end(one, Finish.CANCELLED)

    def load(self) -> Load:
        with self._lock:
            return Load(len(self._running), self._sizes.slots, self._rate.per_second(), self._rebuilt)

    def close(self) -> None:
        self._closing.set()
        self._reader.join(_STOP_SECONDS)
        self._batch.stop(_STOP_SECONDS)

    # Everything below runs under the lock, or is the reader thread.

    def _check(self, request: Request) -> None:
        for token_id in request.sampling.logit_bias:
            if token_id >= self._loaded.vocabulary:
                raise Refused(
                    f"logit_bias names token {token_id}; the model has {self._loaded.vocabulary}.", field="logit_bias"
                )
        if any(not 0 <= one < self._loaded.vocabulary for one in request.prefix.token_ids):
            raise Refused("The beginning of this answer was written by another model.", code="other_model")

    def _ended_by_prefix(self, one: _Running) -> bool:
        """The process before us may have died between the last token and saying so."""
        if one.text.stopped:
            self._end(one, Finish.STOP)
        elif one.token_ids and one.token_ids[-1] in self._loaded.end_ids:
            self._end(one, Finish.END)
        elif len(one.token_ids) >= one.prompt.max_tokens:
            self._end(one, Finish.LENGTH)
        else:
            return False
        return True

    def _start(self, one: _Running) -> None:
        """Under a new name each time, so that news of an earlier start are not taken for its own."""
        self._names += 1
        one.shared = len(one.token_ids)
        self._batch_names[one.request.id] = name = f"{self._names}:{one.request.id}"
        left = one.prompt.max_tokens - len(one.token_ids)
        self._batch.add(name, one.prompt.token_ids + one.token_ids, left, one.request.sampling)

    def _read(self) -> None:
        while not self._closing.is_set():
            step = self._batch.step(_TICK)
            with self._lock:
                try:
                    if step is not None:
                        self._take(step)
                    if not self._batch.alive and not self._closing.is_set():
                        self._rebuild()
                except Exception:
                    logger.exception("the engine could not handle %s", step and step.request_id)
                    self._give_up(step)

    def _take(self, step: Step) -> None:
        one = self._running.get(step.request_id.partition(":")[2])
        if one is None or self._batch_names.get(one.request.id) != step.request_id:
            return  # cancelled, or started again meanwhile
        if step.failed:
            if self._batch.alive:
                self._end(one, Finish.FAILED, error=step.failed)
            return  # the loop died: `_rebuild` starts it again
        new = step.token_ids[len(one.token_ids) - one.shared :]
        one.token_ids += new
        one.tries = 0
        self._rate.add(len(new))
        ends = bool(new) and new[-1] in self._loaded.end_ids
        text = one.text.feed(new)
        if one.text.stopped:
            self._end(one, Finish.STOP, text, new)
        elif step.ended:
            self._end(one, Finish.END if ends else Finish.LENGTH, text + one.text.end(), new)
        elif failure := self._batch.processor.failed.pop(step.request_id, ""):
            self._end(one, Finish.FAILED, error=failure)
        elif new:
            self._deliver(one, one.chunk(text, new))

    def _end(self, one: _Running, how: Finish, text: str = "", new: list[int] | None = None, error: str = "") -> None:
        del self._running[one.request.id]
        name = self._batch_names.pop(one.request.id, None)
        if name and how in (Finish.CANCELLED, Finish.STOP, Finish.FAILED):
            # The library ends these in silence; it may be that they ended by themselves, which it forgives.
            self._batch.cancel(name)
        self._deliver(one, one.chunk(text, new or [], how, error))

    def _deliver(self, one: _Running, chunk: Chunk) -> None:
        try:
            one.deliver(chunk)
        except Exception:
            logger.exception("nobody takes what request %s says", one.request.id)

    def _rebuild(self) -> None:
        """The model loop has died, by an error that the library logged. Its requests go on in a new one."""
        self._rebuilt += 1
        logger.error("the model loop died and is started again (%s times so far)", self._rebuilt)
        self._batch = Batch(self._loaded, self._sizes)
        for one in list(self._running.values()):
            one.tries += 1
            if one.tries >= TRIES:
                self._end(one, Finish.FAILED, error="The model failed again and again at this request.")
            else:
                self._start(one)

    def _give_up(self, step: Step | None) -> None:
        one = self._running.get(step.request_id.partition(":")[2]) if step else None
        if one is not None:
            self._end(one, Finish.FAILED, error="The answer could not be read.")


class _Rate:
    """Tokens a second over the last seconds."""

    SECONDS = 10.0

    def __init__(self) -> None:
        self._seen: list[tuple[float, int]] = []

    def add(self, tokens: int) -> None:
        now = time.monotonic()
        self._seen.append((now, tokens))
        if now - self._seen[0][0] > 2 * self.SECONDS:
            self._seen = [one for one in self._seen if now - one[0] <= self.SECONDS]

    def per_second(self) -> float:
        now = time.monotonic()
        recent = [(at, tokens) for at, tokens in self._seen if now - at <= self.SECONDS]
        if not recent:
            return 0.0
        return sum(tokens for _, tokens in recent) / max(now - recent[0][0], 1.0)


def open_engine(folder: Path, *, name: str = "", dtype: str = "float32", threads: int = 1, **sizes: Any) -> TorchEngine:
    """Load the model in `folder` and start. Takes seconds."""
    context = sizes.pop("context", 2048)
    return TorchEngine(load(folder, name=name, dtype=dtype, threads=threads), sizes=Sizes(**sizes), context=context)
