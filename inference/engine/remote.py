"""An engine for a server with OpenAI's protocol: vLLM, TGI, llama.cpp.

Such servers send text, not token ids. To resume an answer, its text so far is sent as the last message, which they
continue (vLLM if `continue_final_message` and `add_generation_prompt` say so, the others by themselves).
"""

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import requests

from inference.engine.base import Chunk, ChunkCallback, EngineError, EngineFull, Finish, Load, Request
from inference.engine.prompt import messages_to_drop, split_system_messages
from inference.engine.stopping import Stopper

CONNECT_SECONDS, SILENCE_SECONDS = 5, 60
PAUSE_SECONDS = 2.0
"""The pause after a server was unreachable."""
_CHARACTERS_A_TOKEN = 3
_ENDS = {"stop": Finish.END, "length": Finish.LENGTH}


class _Unreachable(Exception):
    """The server is unreachable or busy, not because of the request."""


class _Answer:
    def __init__(self, request: Request, deliver: ChunkCallback, dropped: int) -> None:
        self.request = request
        self.deliver = deliver
        self.dropped = dropped
        self.prompt_tokens = 0
        self.response: requests.Response | None = None


class RemoteEngine:
    """See `base.Engine`. Each answer has its own thread."""

    def __init__(self, url: str, model: str, *, key: str = "", slots: int = 16, context: int = 2048) -> None:
        self.model = model
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._slots = slots
        self._context = context
        self._lock = threading.Lock()
        self._running: dict[str, _Answer] = {}
        self._paused_until = 0.0
        self._closed = False

    def add(self, request: Request, deliver: ChunkCallback) -> None:
        system, turns = split_system_messages(request.messages)
        limit = (self._context - request.sampling.max_tokens) * _CHARACTERS_A_TOKEN
        dropped = messages_to_drop(system, turns, limit, len)
        with self._lock:
            if self._closed:
                raise EngineError("The engine is closed.")
            if time.monotonic() < self._paused_until:
                raise EngineFull("The server of the model cannot be reached right now.")
            if len(self._running) >= self._slots:
                raise EngineFull(f"All {self._slots} slots are in use.")
            if request.id in self._running:
                raise EngineError(f"Request {request.id} is already running.")
            answer = self._running[request.id] = _Answer(request, deliver, dropped)
        messages = [{"role": message.role, "content": message.content} for message in [*system, *turns[dropped:]]]
        body = self._body(request, messages)
        threading.Thread(target=self._run, args=(answer, body), name=f"remote {request.id}", daemon=True).start()

    def cancel(self, request_id: str) -> None:
        with self._lock:
            answer = self._running.pop(request_id, None)
        if answer is not None:
            _hang_up(answer)
            answer.deliver(Chunk(request_id, finish=Finish.CANCELLED, dropped_messages=answer.dropped))

    def load(self) -> Load:
        with self._lock:
            away = time.monotonic() < self._paused_until
            return Load(len(self._running), len(self._running) if away else self._slots)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            answers, self._running = self._running, {}
        for answer in answers.values():
            _hang_up(answer)

    def _body(self, request: Request, messages: list[dict[str, str]]) -> dict[str, Any]:
        settings = request.sampling.as_json()
        off = {"top_k": 0, "top_p": 1.0, "typical_p": 1.0, "repetition_penalty": 1.0}
        body = {name: value for name, value in settings.items() if off.get(name) != value}
        if request.prefix.text:
            messages = [*messages, {"role": "assistant", "content": request.prefix.text}]
            body |= {"continue_final_message": True, "add_generation_prompt": False}
        streaming = {"stream": True, "stream_options": {"include_usage": True}}
        return {"model": self.model, "messages": messages, **body, **streaming}

    def _run(self, answer: _Answer, body: dict[str, Any]) -> None:
        try:
            self._stream(answer, body)
        except _Unreachable as error:
            with self._lock:
                self._paused_until = time.monotonic() + PAUSE_SECONDS
            self._deliver(answer, finish=Finish.FAILED, error=str(error), may_retry=True)
        except Exception as error:
            self._deliver(answer, finish=Finish.FAILED, error=f"The server of the model answered nonsense: {error}")

    def _stream(self, answer: _Answer, body: dict[str, Any]) -> None:
        stopper = Stopper(answer.request.sampling.stop)
        stopper.feed(answer.request.prefix.text)
        repeated = answer.request.prefix.text
        finish = None
        for event in self._events(answer, body):
            if usage := event.get("usage"):
                answer.prompt_tokens = int(usage.get("prompt_tokens") or 0)
            for choice in event.get("choices") or []:
                text = (choice.get("delta") or {}).get("content") or ""
                if repeated and text:
                    # Some servers repeat the message that they continue.
                    common = text.startswith(repeated) or repeated.startswith(text)
                    text, repeated = (text[len(repeated) :], repeated[len(text) :]) if common else (text, "")
                text = stopper.feed(text)
                if stopper.stopped:
                    self._deliver(answer, text=text, finish=Finish.STOP)
                    _hang_up(answer)
                    return
                if text:
                    self._deliver(answer, text=text)
                finish = _ENDS.get(choice.get("finish_reason"), finish)
        if finish is None:
            raise _Unreachable("The server of the model hung up in the middle of the answer.")
        self._deliver(answer, text=stopper.end(), finish=finish)

    def _events(self, answer: _Answer, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        try:
            response = requests.post(
                f"{self._url}/chat/completions",
                json=body,
                headers=self._headers,
                stream=True,
                timeout=(CONNECT_SECONDS, SILENCE_SECONDS),
            )
            answer.response = response
            with response:
                if response.status_code in (408, 425, 429) or response.status_code >= 500:
                    raise _Unreachable(f"The server of the model is busy or broken (status {response.status_code}).")
                if response.status_code >= 400:
                    raise EngineError(f"status {response.status_code}: {response.text[:300]}")
                for line in response.iter_lines():
                    if line.startswith(b"data:") and (data := line[5:].strip()) != b"[DONE]":
                        yield json.loads(data)
        except requests.RequestException as error:
            raise _Unreachable(f"The server of the model cannot be reached: {type(error).__name__}.") from error

    def _deliver(
        self, answer: _Answer, *, text: str = "", finish: Finish | None = None, error: str = "", may_retry: bool = False
    ) -> None:
        with self._lock:
            if self._running.get(answer.request.id) is not answer:
                return  # canceled, and its end was delivered
            if finish is not None:
                del self._running[answer.request.id]
        answer.deliver(
            Chunk(answer.request.id, text, (), finish, error, may_retry, answer.prompt_tokens, answer.dropped)
        )


def _hang_up(answer: _Answer) -> None:
    """Close the connection, so that the server ends the answer and the thread that reads it wakes up."""
    if answer.response is not None:
        with contextlib.suppress(Exception):
            answer.response.raw.shutdown()
