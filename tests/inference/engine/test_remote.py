"""The remote engine against a real server with OpenAI's protocol and the tiny model."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from inference.engine.base import EngineFull, Finish, Message, Prefix, Request
from inference.engine.remote import RemoteEngine
from inference.engine.sampling import parse_sampling
from inference.engine.torch_engine import TorchEngine
from tests.inference.engine.asking import Answers, ask, request, stream

REASONS = {Finish.END: "stop", Finish.LENGTH: "length", Finish.STOP: "stop"}


class Handler(BaseHTTPRequestHandler):
    server: "Server"

    def log_message(self, *_: Any) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.bodies.append((self.headers.get("Authorization"), body))
        if self.server.answer_status != 200:
            self.send_error(self.server.answer_status, "no")
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        try:
            self._stream(body)
        except OSError:
            self.server.hung_up.set()

    def _stream(self, body: dict[str, Any]) -> None:
        names = ("max_tokens", "temperature", "top_k", "top_p", "seed", "logit_bias", "repetition_penalty")
        chosen = parse_sampling({name: body[name] for name in names if name in body})
        messages = [Message(one["role"], one["content"]) for one in body["messages"]]
        begun = messages.pop().content if messages[-1].role == "assistant" else ""
        said = ""
        for number, chunk in enumerate(
            stream(self.server.engine, Request(f"s{time.monotonic_ns()}", messages, chosen))
        ):
            said += chunk.text
            fresh = chunk.text if len(said) - len(chunk.text) >= len(begun) else said[len(begun) :]
            if said[: len(begun)] == begun and fresh:
                self._send({"choices": [{"delta": {"content": fresh}, "finish_reason": None}]})
            if self.server.breaks_after == number:
                return
            if chunk.finish is not None:
                self._send({"choices": [{"delta": {}, "finish_reason": REASONS[chunk.finish]}]})
                self._send({"choices": [], "usage": {"prompt_tokens": chunk.prompt_tokens}})
        self.wfile.write(b"data: [DONE]\n\n")

    def _send(self, event: dict[str, Any]) -> None:
        self.wfile.write(b"data: " + json.dumps(event).encode() + b"\n\n")
        self.wfile.flush()


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, engine: TorchEngine) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.engine = engine
        self.bodies: list[tuple[str | None, dict[str, Any]]] = []
        self.answer_status = 200
        self.breaks_after = -1
        self.hung_up = threading.Event()


@pytest.fixture
def server(engine: TorchEngine) -> Iterator[Server]:
    server = Server(engine)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def remote(server: Server) -> Iterator[RemoteEngine]:
    engine = RemoteEngine(f"http://127.0.0.1:{server.server_port}/v1", "tiny", key="secret", slots=4)
    yield engine
    engine.close()


def test_the_same_text_and_reasons(remote: RemoteEngine, server: Server) -> None:
    settings = {"max_tokens": 30, "temperature": 0.8, "top_k": 20, "seed": 4}
    far = ask(remote, request("a", "Hello", **settings), request("b", "Bye", max_tokens=5))
    near = ask(server.engine, request("a", "Hello", **settings), request("b", "Bye", max_tokens=5))
    assert (far.text, far.finish("b")) == (near.text, Finish.LENGTH)
    assert far.finish("a") == near.finish("a")
    key, body = server.bodies[0]
    assert key == "Bearer secret"
    assert (body["model"], body["stream"], "top_p" in body) == ("tiny", True, False)


def test_stop_texts_are_watched_here_too(remote: RemoteEngine, server: Server) -> None:
    whole = ask(server.engine, request("a", "Hello", max_tokens=40)).text["a"]
    answers = ask(remote, request("b", "Hello", max_tokens=40, stop=[whole[7:11]]))
    assert (answers.text["b"], answers.finish("b")) == (whole[: whole.index(whole[7:11])], Finish.STOP)


def test_it_goes_on_behind_a_prefix(remote: RemoteEngine, server: Server) -> None:
    whole = ask(server.engine, request("a", "Hello", max_tokens=40)).text["a"]
    prefix = Prefix(whole[:13])
    answers = ask(remote, request("b", "Hello", prefix, max_tokens=40))
    assert prefix.text + answers.text["b"] == whole
    assert server.bodies[-1][1]["continue_final_message"] is True


def test_cancelled_at_once_and_the_server_is_told(remote: RemoteEngine, server: Server) -> None:
    answers = Answers()
    never = {str(server.engine._loaded.end_ids[0]): -100}
    remote.add(request("a", "On", max_tokens=1500, logit_bias=never), answers.chunks.put)
    answers.take(answers.chunks.get(timeout=60))
    remote.cancel("a")
    assert answers.wait("a").finish("a") == Finish.CANCELLED
    assert server.hung_up.wait(60)
    assert remote.load().running == 0


def test_a_server_that_breaks_off_is_asked_again(remote: RemoteEngine, server: Server) -> None:
    server.breaks_after = 2
    last = ask(remote, request("a", "Hello")).last["a"]
    assert (last.finish, last.may_retry) == (Finish.FAILED, True)
    with pytest.raises(EngineFull):
        remote.add(request("b", "Hello"), lambda chunk: None)
    assert remote.load().running == remote.load().slots


@pytest.mark.parametrize(("status", "again"), [(500, True), (503, True), (429, True), (400, False), (404, False)])
def test_errors_of_the_server(remote: RemoteEngine, server: Server, status: int, again: bool) -> None:
    server.answer_status = status
    last = ask(remote, request("a", "Hello")).last["a"]
    assert (last.finish, last.may_retry) == (Finish.FAILED, again)
    assert str(status) in last.error


def test_nobody_is_there() -> None:
    engine = RemoteEngine("http://127.0.0.1:1/v1", "tiny")
    last = ask(engine, request("a", "Hello")).last["a"]
    assert (last.finish, last.may_retry) == (Finish.FAILED, True)
    assert "cannot be reached" in last.error


def test_places_are_bounded(server: Server) -> None:
    engine = RemoteEngine(f"http://127.0.0.1:{server.server_port}/v1", "tiny", slots=0)
    with pytest.raises(EngineFull):
        engine.add(request("a", "Hello"), lambda chunk: None)
