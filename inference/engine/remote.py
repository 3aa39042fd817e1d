"""A model behind a server that speaks the OpenAI protocol: vLLM, TGI, llama.cpp.

It sends text, not token ids. An answer that was interrupted goes on by sending its beginning as the last message, which
these servers continue (vLLM when asked by its two `continue_final_message` fields, the others by themselves).
"""

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import requests

from inference.engine.base import Chunk, Deliver, EngineError, Finish, Full, Load, Request
from inference.engine.prompt import split, too_many
from inference.engine.stopping import Stopper

CONNECT_SECONDS, SILENCE_SECONDS = 5, 60
PAUSE_SECONDS = 2.0
"""After a server could not be reached nobody asks it again for so long."""
_CHARACTERS_A_TOKEN = 3
_ENDS = {"stop": Finish.END, "length": Finish.LENGTH}


class _Unreachable(Exception):
    """The server is away or busy: not the fault of the request."""


class _Running:
    def __init__(self, request: Request, deliver: Deliver, dropped: int) -> None:
        self.request = request
        self.deliver = deliver
        self.dropped = dropped
        self.prompt_tokens = 0
        self.response: requests.Response | None = None


class RemoteEngine:
    """See `base.Engine`. One thread for each answer that is being streamed."""

    def __init__(self, url: str, model: str, *, key: str = "", slots: int = 16, context: int = 2048) -> None:
        self.model = model
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._slots = slots
        self._context = context
        self._lock = threading.Lock()
        self._running: dict[str, _Running] = {}
        self._asks_again_at = 0.0
        self._closed = False

    def add(self, request: Request, deliver: Deliver) -> None:
        system, turns = split(request.messages)
        room = (self._context - request.sampling.max_tokens) * _CHARACTERS_A_TOKEN
        dropped = too_many(system, turns, room, len)
        with self._lock:
            if self._closed:
                raise EngineError("The engine is closed.")
            if time.monotonic() < self._asks_again_at:
                raise Full("The server of the model can not be reached right now.")
            if len(self._running) >= self._slots:
                raise Full(f"All {self._slots} places are taken.")
            if request.id in self._running:
                raise EngineError(f"Request {request.id} is already running.")
            one = self._running[request.id] = _Running(request, deliver, dropped)
        messages = [*system, *turns[dropped:]]
        body = self._body(request, [{"role": each.role, "content": each.content} for each in messages])
        threading.Thread(target=self._run, args=(one, body), name=f"remote {request.id}", daemon=True).start()

    def cancel(self, request_id: str) -> None:
        with self._lock:
            one = self._running.pop(request_id, None)
        if one is not None:
            _hang_up(one)
            one.deliver(Chunk(request_id, finish=Finish.CANCELLED, dropped_messages=one.dropped))

    def load(self) -> Load:
        with self._lock:
            away = time.monotonic() < self._asks_again_at
            return Load(len(self._running), len(self._running) if away else self._slots)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            running, self._running = self._running, {}
        for one in running.values():
            _hang_up(one)

    def _body(self, request: Request, messages: list[dict[str, str]]) -> dict[str, Any]:
        chosen = request.sampling.as_json()
        off = {"top_k": 0, "top_p": 1.0, "typical_p": 1.0, "repetition_penalty": 1.0}
        body = {name: value for name, value in chosen.items() if off.get(name) != value}
        if request.prefix.text:
            messages = [*messages, {"role": "assistant", "content": request.prefix.text}]
            body |= {"continue_final_message": True, "add_generation_prompt": False}
        streaming = {"stream": True, "stream_options": {"include_usage": True}}
        return {"model": self.model, "messages": messages, **body, **streaming}

    def _run(self, one: _Running, body: dict[str, Any]) -> None:
        try:
            self._stream(one, body)
        except _Unreachable as error:
            with self._lock:
                self._asks_again_at = time.monotonic() + PAUSE_SECONDS
            self._say(one, finish=Finish.FAILED, error=str(error), again=True)
        except Exception as error:
            self._say(one, finish=Finish.FAILED, error=f"The server of the model answered nonsense: {error}")

    def _stream(self, one: _Running, body: dict[str, Any]) -> None:
        stopper = Stopper(one.request.sampling.stop)
        stopper.feed(one.request.prefix.text)
        repeated = one.request.prefix.text
        finish = None
        for event in self._events(one, body):
            if usage := event.get("usage"):
                one.prompt_tokens = int(usage.get("prompt_tokens") or 0)
            for choice in event.get("choices") or []:
                text = (choice.get("delta") or {}).get("content") or ""
                if repeated and text:
                    # A server that begins the message anew says again what is known.
                    common = text.startswith(repeated) or repeated.startswith(text)
                    text, repeated = (text[len(repeated) :], repeated[len(text) :]) if common else (text, "")
                text = stopper.feed(text)
                if stopper.stopped:
                    self._say(one, text=text, finish=Finish.STOP)
                    _hang_up(one)
                    return
                if text:
                    self._say(one, text=text)
                finish = _ENDS.get(choice.get("finish_reason"), finish)
        if finish is None:
            raise _Unreachable("The server of the model hung up in the middle of the answer.")
        self._say(one, text=stopper.end(), finish=finish)

    def _events(self, one: _Running, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        try:
            response = requests.post(
                f"{self._url}/chat/completions",
                json=body,
                headers=self._headers,
                stream=True,
                timeout=(CONNECT_SECONDS, SILENCE_SECONDS),
            )
            one.response = response
            with response:
                _check(response)
                for line in response.iter_lines():
                    if line.startswith(b"data:") and (data := line[5:].strip()) != b"[DONE]":
                        yield json.loads(data)
        except requests.RequestException as error:
            raise _Unreachable(f"The server of the model can not be reached: {type(error).__name__}.") from error

    def _say(
        self, one: _Running, *, text: str = "", finish: Finish | None = None, error: str = "", again: bool = False
    ) -> None:
        with self._lock:
            if self._running.get(one.request.id) is not one:
                return  # cancelled, and its end was said
            if finish is not None:
                del self._running[one.request.id]
        one.deliver(Chunk(one.request.id, text, (), finish, error, again, one.prompt_tokens, one.dropped))


def _check(response: requests.Response) -> None:
    if response.status_code in (408, 425, 429) or response.status_code >= 500:
        raise _Unreachable(f"The server of the model is busy or broken (status {response.status_code}).")
    if response.status_code >= 400:
        raise EngineError(f"status {response.status_code}: {response.text[:300]}")


def _hang_up(one: _Running) -> None:
    """The server ends an answer when nobody reads it any more. Wakes the thread that waits for the next piece."""
    if one.response is not None:
        with contextlib.suppress(Exception):
            one.response.raw.shutdown()
