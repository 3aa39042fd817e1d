"""The engine in this process: one thread computes (`batching`), another reads its tokens and delivers text.

It adds to the library's loop: a limit of requests, prompts, text, stop texts, an end for canceled requests, and a new
loop after one has died, in which the requests continue after their last token.
"""

import logging
import threading
import time
from pathlib import Path
from typing import Any

from inference.engine.base import Chunk, ChunkCallback, EngineError, EngineFull, Finish, Load, Refused, Request
from inference.engine.batching import Batch, Sizes, Step
from inference.engine.detokenize import Detokenizer
from inference.engine.loading import LoadedModel, load
from inference.engine.prompt import Prompt, PromptBuilder
from inference.engine.stopping import Stopper

logger = logging.getLogger(__name__)

TRIES = 3
"""A request fails when the loop dies this often during it without a new token."""
_TICK = 0.2
_STOP_SECONDS = 4.0


class _Text:
    """Converts the token ids of one answer to text that may be shown."""

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


class _Answer:
    """A request in the batch."""

    def __init__(self, request: Request, deliver: ChunkCallback, prompt: Prompt, text: _Text) -> None:
        self.request = request
        self.deliver = deliver
        self.prompt = prompt
        self.text = text
        self.token_ids = list(request.prefix.token_ids)
        self.shared = len(self.token_ids)
        """How many of `token_ids` were in the prompt of the current loop."""
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
    """See `base.Engine`. Without `close` its model thread keeps computing."""

    def __init__(self, loaded: LoadedModel, *, sizes: Sizes | None = None, context: int = 2048) -> None:
        self.model = loaded.name
        self._loaded = loaded
        self._sizes = sizes or Sizes()
        self.context = min(context, loaded.context, self._sizes.largest_request)
        self._prompts = PromptBuilder(loaded.tokenizer, context=self.context)
        self._lock = threading.Lock()  # guards the requests, the batch, and the tokenizer, which is not thread-safe
        self._running: dict[str, _Answer] = {}
        self._batch_names: dict[str, str] = {}
        self._names = 0
        self._rebuilt = 0
        self._memory = loaded.memory(self._sizes.cache_tokens)
        self._rate = _Rate()
        self._closing = threading.Event()
        self._batch = Batch(loaded, self._sizes)
        self._reader = threading.Thread(target=self._read, name="engine", daemon=True)
        self._reader.start()

    def add(self, request: Request, deliver: ChunkCallback) -> None:
        with self._lock:
            if self._closing.is_set():
                raise EngineError("The engine is closed.")
            if len(self._running) >= self._sizes.slots:
                raise EngineFull(f"All {self._sizes.slots} slots are in use.")
            if request.id in self._running:
                raise EngineError(f"Request {request.id} is already running.")
            self._check(request)
            prompt = self._prompts.build(request.messages, request.sampling.max_tokens)
            text = _Text(self._loaded.tokenizer, request.sampling.stop)
            text.feed(list(request.prefix.token_ids))  # its text was delivered before
            answer = self._running[request.id] = _Answer(request, deliver, prompt, text)
            if not self._ended_by_prefix(answer):
                self._start(answer)

    def cancel(self, request_id: str) -> None:
        with self._lock:
            answer = self._running.get(request_id)
            if answer is not None:
                self._end(answer, Finish.CANCELLED)

    def load(self) -> Load:
        with self._lock:
            return Load(len(self._running), self._sizes.slots, self._rate.per_second(), self._rebuilt, self._memory)

    def close(self) -> None:
        self._closing.set()
        self._reader.join(_STOP_SECONDS)
        self._batch.stop(_STOP_SECONDS)

    # Everything below needs the lock, or runs in the reader thread.

    def _check(self, request: Request) -> None:
        for token_id in request.sampling.logit_bias:
            if token_id >= self._loaded.vocabulary:
                raise Refused(
                    f"logit_bias names token {token_id}; the model has {self._loaded.vocabulary}.", field="logit_bias"
                )
        if any(not 0 <= token_id < self._loaded.vocabulary for token_id in request.prefix.token_ids):
            raise Refused("The beginning of this answer was written by another model.", code="other_model")

    def _ended_by_prefix(self, answer: _Answer) -> bool:
        """End a resumed request that was complete when the process before us died. Return whether it was."""
        if answer.text.stopped:
            self._end(answer, Finish.STOP)
        elif answer.token_ids and answer.token_ids[-1] in self._loaded.end_ids:
            self._end(answer, Finish.END)
        elif len(answer.token_ids) >= answer.prompt.max_tokens:
            self._end(answer, Finish.LENGTH)
        else:
            return False
        return True

    def _start(self, answer: _Answer) -> None:
        """Add the request to the batch, under a new name each time to tell its steps from those of an earlier start."""
        self._names += 1
        answer.shared = len(answer.token_ids)
        self._batch_names[answer.request.id] = name = f"{self._names}:{answer.request.id}"
        left = answer.prompt.max_tokens - len(answer.token_ids)
        self._batch.add(name, answer.prompt.token_ids + answer.token_ids, left, answer.request.sampling)

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
                    answer = self._running.get(step.request_id.partition(":")[2]) if step else None
                    if answer is not None:
                        self._end(answer, Finish.FAILED, error="The answer could not be read.")

    def _take(self, step: Step) -> None:
        answer = self._running.get(step.request_id.partition(":")[2])
        if answer is None or self._batch_names.get(answer.request.id) != step.request_id:
            return  # canceled or restarted meanwhile
        if step.failed:
            if self._batch.alive:
                self._end(answer, Finish.FAILED, error=step.failed)
            return  # the loop died: `_rebuild` restarts it
        new = step.token_ids[len(answer.token_ids) - answer.shared :]
        answer.token_ids += new
        answer.tries = 0
        self._rate.add(len(new))
        ends = bool(new) and new[-1] in self._loaded.end_ids
        text = answer.text.feed(new)
        if answer.text.stopped:
            self._end(answer, Finish.STOP, text, new)
        elif step.ended:
            self._end(answer, Finish.END if ends else Finish.LENGTH, text + answer.text.end(), new)
        elif failure := self._batch.processor.failed.pop(step.request_id, ""):
            self._end(answer, Finish.FAILED, error=failure)
        elif new:
            self._deliver(answer, answer.chunk(text, new))

    def _end(self, answer: _Answer, how: Finish, text: str = "", new: list[int] | None = None, error: str = "") -> None:
        del self._running[answer.request.id]
        name = self._batch_names.pop(answer.request.id, None)
        if name and how in (Finish.CANCELLED, Finish.STOP, Finish.FAILED):
            # The library sends no step for these, and ignores requests that have ended.
            self._batch.cancel(name)
        self._deliver(answer, answer.chunk(text, new or [], how, error))

    def _deliver(self, answer: _Answer, chunk: Chunk) -> None:
        try:
            answer.deliver(chunk)
        except Exception:
            logger.exception("the text of request %s could not be delivered", answer.request.id)

    def _rebuild(self) -> None:
        """Continue the requests in a new model loop after one has died. The library has logged the error."""
        self._rebuilt += 1
        logger.error("the model loop died and is started again (%s times so far)", self._rebuilt)
        self._batch = Batch(self._loaded, self._sizes)
        for answer in list(self._running.values()):
            answer.tries += 1
            if answer.tries >= TRIES:
                self._end(answer, Finish.FAILED, error="The model failed again and again at this request.")
            else:
                self._start(answer)


class _Rate:
    """Tokens per second over the last `SECONDS`."""

    SECONDS = 10.0

    def __init__(self) -> None:
        self._counts: list[tuple[float, int]] = []

    def add(self, tokens: int) -> None:
        now = time.monotonic()
        self._counts.append((now, tokens))
        if now - self._counts[0][0] > 2 * self.SECONDS:
            self._counts = [(at, number) for at, number in self._counts if now - at <= self.SECONDS]

    def per_second(self) -> float:
        now = time.monotonic()
        recent = [(at, tokens) for at, tokens in self._counts if now - at <= self.SECONDS]
        if not recent:
            return 0.0
        return sum(tokens for _, tokens in recent) / max(now - recent[0][0], 1.0)


def open_engine(folder: Path, *, name: str = "", dtype: str = "float32", threads: int = 1, **sizes: Any) -> TorchEngine:
    """Load the model in `folder` and start an engine. Takes seconds."""
    context = sizes.pop("context", 2048)
    return TorchEngine(load(folder, name=name, dtype=dtype, threads=threads), sizes=Sizes(**sizes), context=context)
