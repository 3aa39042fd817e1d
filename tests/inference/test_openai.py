"""The OpenAI-compatible endpoint: the `openai` library against a web server that answers with the tiny model."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import openai
import pytest
import requests
from django.db import connection

from inference.api.openai import refused as refused_answer
from inference.api.openai_urls import document
from inference.models import Chat, ChatMessage, Turn
from inference.states import TurnState
from oasst.accounts import services, tokens
from oasst.accounts.models import User
from oasst.core.errors import Busy
from oasst.services.sockets import listen
from tests.clients.python import Client
from tests.clients.validity import faults
from tests.crash.processes import START_SECONDS, Process
from tests.crash.processes import wait_until as wait
from tests.factories import new_person
from tests.inference.talking import ENDLESS, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]
HELLO: list[Any] = [{"role": "user", "content": "Tell me something"}]
GREEDY: dict[str, Any] = {"temperature": 0, "max_tokens": 40}


class Web:
    """A web server with an engine inside, for all tests of this file."""

    def __init__(self, folder: Path, log: Path) -> None:
        self.model = str(folder)
        self.listener: socket.socket = listen("127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        descriptor = self.listener.fileno()
        self.process = Process(
            ["manage.py", "serve", "--skip-checks", "--fd", str(descriptor)], log, inherit=[descriptor]
        )
        wait(self._is_up, START_SECONDS, lambda: f"no server:\n{self.process.said()}")

    def _is_up(self) -> bool:
        try:
            with urlopen(f"{self.url}/healthz", timeout=5) as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False

    def post(self, token: str, body: Any, **more: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        data = body if isinstance(body, bytes | str) else json.dumps(body)
        return requests.post(f"{self.url}/v1/chat/completions", data=data, headers=headers, timeout=60, **more)

    def end(self) -> None:
        self.process.kill()
        self.listener.close()


@pytest.fixture(scope="module")
def web(django_db_setup: None, tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OASST_CHAT_MODEL", str(tiny_folder))
        patch.setenv("OASST_ENGINE", "inline")
        patch.setenv("ENGINE_SLOTS", "4")
        one = Web(tiny_folder, tmp_path_factory.mktemp("web") / "web.log")
        yield one
        one.end()


@pytest.fixture(autouse=True)
def _pool_for_the_server() -> Iterator[None]:
    yield
    connection.close()


@pytest.fixture
def secret(alice: User) -> str:
    return tokens.create_token(alice, name="laptop", days=7)[1]


@pytest.fixture
def client(web: Web, secret: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{web.url}/v1", api_key=secret, max_retries=0, timeout=60)


def stored() -> tuple[int, int, int]:
    return Chat.objects.count(), ChatMessage.objects.count(), Turn.objects.count()


class TestCompletions:
    def test_it_works(self, client: openai.OpenAI, web: Web, alice: User) -> None:
        said = client.chat.completions.create(model=web.model, messages=HELLO, **GREEDY)
        assert said.object == "chat.completion" and said.model == web.model
        (choice,) = said.choices
        assert choice.message.role == "assistant" and choice.message.content
        assert choice.finish_reason in ("stop", "length")
        assert said.usage is not None and said.usage.prompt_tokens > 0
        assert said.usage.total_tokens == said.usage.prompt_tokens + said.usage.completion_tokens
        turn = Turn.objects.get()
        assert (turn.user, turn.state) == (alice, TurnState.COMPLETE)
        assert turn.message.chat.ephemeral and turn.message.chat.deleted_at is not None
        again = client.chat.completions.create(model=web.model, messages=HELLO, **GREEDY)
        assert again.choices[0].message.content == choice.message.content

    def test_streamed_it_is_the_same(self, client: openai.OpenAI, web: Web) -> None:
        whole = client.chat.completions.create(model=web.model, messages=HELLO, **GREEDY)
        pieces = list(
            client.chat.completions.create(
                model=web.model, messages=HELLO, stream=True, stream_options={"include_usage": True}, **GREEDY
            )
        )
        assert pieces[0].choices[0].delta.role == "assistant"
        text = "".join(one.choices[0].delta.content or "" for one in pieces if one.choices)
        assert text == whole.choices[0].message.content
        assert len({one.id for one in pieces}) == 1
        finishes = [one.choices[0].finish_reason for one in pieces if one.choices]
        assert finishes[-1] == whole.choices[0].finish_reason and set(finishes[:-1]) == {None}
        assert pieces[-1].choices == [] and pieces[-1].usage is not None
        assert whole.usage is not None
        assert pieces[-1].usage.completion_tokens == whole.usage.completion_tokens

    def test_without_usage_none_is_sent(self, client: openai.OpenAI, web: Web) -> None:
        pieces = list(client.chat.completions.create(model=web.model, messages=HELLO, stream=True, **GREEDY))
        assert all(one.choices for one in pieces) and pieces[-1].choices[0].finish_reason

    def test_settings_reach_the_model(self, client: openai.OpenAI, web: Web) -> None:
        def say(**settings: Any) -> Any:
            return client.chat.completions.create(model=web.model, messages=HELLO, **settings).choices[0]

        endless = {"temperature": 0, "logit_bias": {"452": -100}}
        plain = say(max_completion_tokens=30, **endless)
        assert plain.finish_reason == "length"
        first = plain.message.content[3:6]
        cut = say(max_tokens=30, stop=[first], **endless)
        assert cut.finish_reason == "stop" and first not in cut.message.content
        assert plain.message.content.startswith(cut.message.content)
        drawn = {"seed": 7, "temperature": 1.2, "top_p": 0.9, "max_tokens": 20, "n": 1}
        assert (
            say(**drawn).message.content == say(**drawn).message.content != say(**drawn | {"seed": 8}).message.content
        )
        ours = say(
            max_tokens=20, extra_body={"top_k": 5, "repetition_penalty": 1.3}, user="somebody", presence_penalty=0
        )
        assert ours.message.content
        assert Turn.objects.order_by("-pk")[0].sampling["top_k"] == 5

    def test_the_model_reads_what_was_sent(self, client: openai.OpenAI, web: Web) -> None:
        messages: list[Any] = [
            {"role": "developer", "content": "Be brief."},
            {"role": "assistant", "content": "Hello!"},
            {"role": "user", "content": [{"type": "text", "text": "One"}, {"type": "text", "text": " two"}]},
            {"role": "user", "content": "Three\n"},
        ]
        client.chat.completions.create(model=web.model, messages=messages, **GREEDY)
        assert Turn.objects.get().prompt == [
            {"role": "system", "content": "Be brief."},
            {"role": "assistant", "content": "Hello!"},
            {"role": "user", "content": "One two"},
            {"role": "user", "content": "Three\n"},
        ]

    def test_several_at_once(self, client: openai.OpenAI, web: Web) -> None:
        texts: list[str | None] = []

        def ask() -> None:
            said = client.chat.completions.create(model=web.model, messages=HELLO, **GREEDY)
            texts.append(said.choices[0].message.content)

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        assert len(texts) == 4 and len(set(texts)) == 1

    def test_models(self, client: openai.OpenAI, web: Web) -> None:
        assert [one.id for one in client.models.list()] == [web.model]
        assert client.models.retrieve(web.model).id == web.model
        with pytest.raises(openai.NotFoundError):
            client.models.retrieve("gpt-9")


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Client:
    return Client(document(), tmp_path_factory.mktemp("clients"), "oasst_openai_client")


class TestPublished:
    """What comes fits the published schema, and a program that was generated from it reads it as what it is."""

    def test_answers_and_models(self, web: Web, secret: str, generated: Client) -> None:
        models, headers = generated.models, {"Authorization": f"Bearer {secret}"}
        whole = web.post(secret, {"messages": HELLO, **GREEDY}).json()
        assert faults(document(), "Completion", whole) == []
        said = models.Completion.from_dict(whole)
        assert said.choices[0].message.content and said.choices[0].finish_reason in models.FinishReason
        listed = requests.get(f"{web.url}/v1/models", headers=headers, timeout=30).json()
        assert faults(document(), "Models", listed) == []
        one = requests.get(f"{web.url}/v1/models/{web.model}", headers=headers, timeout=30).json()
        assert faults(document(), "Model", one) == []
        assert models.Models.from_dict(listed).data == [models.Model.from_dict(one)]

    def test_pieces(self, web: Web, secret: str, generated: Client) -> None:
        body = {"messages": HELLO, "stream": True, "stream_options": {"include_usage": True}, **GREEDY}
        lines = web.post(secret, body).text.splitlines()
        pieces = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
        assert lines[-2] == "data: [DONE]" and len(pieces) > 3
        for piece in pieces:
            assert faults(document(), "StreamedPiece", piece) == []
            assert not generated.models.CompletionChunk.from_dict(piece).additional_properties

    def test_refusals(self, web: Web, secret: str, generated: Client) -> None:
        for response in (
            web.post("wrong", {"messages": HELLO}),
            web.post(secret, {"messages": HELLO, "model": "gpt-9"}),
            web.post(secret, {"messages": HELLO, "temperature": 9}),
        ):
            described = document()["paths"]["/chat/completions"]["post"]["responses"]
            assert str(response.status_code) in described and faults(document(), "Error", response.json()) == []
            assert faults(document(), "StreamedPiece", response.json()) == []
            assert faults(document(), "Completion", response.json())
            assert generated.models.Error.from_dict(response.json()).error.code


class TestHangingUp:
    @pytest.mark.parametrize("stream", [True, False])
    def test_ends_the_answer(self, web: Web, secret: str, stream: bool) -> None:
        body = {"messages": HELLO, "stream": stream, **ENDLESS}
        line = socket.create_connection(("127.0.0.1", web.listener.getsockname()[1]))
        data = json.dumps(body).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {secret}\r\n"
        line.sendall(f"{head}Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data)
        wait_until(lambda: Turn.objects.filter(state=TurnState.IN_PROGRESS).exists(), "not begun")
        if stream:
            assert b"200" in line.recv(1000)
        line.close()
        wait_until(lambda: Turn.objects.get().state != TurnState.IN_PROGRESS, "still being written")
        assert Turn.objects.get().state == TurnState.STOPPED
        assert Turn.objects.get().completion_tokens < 1500


class TestRefused:
    """In OpenAI's envelope, and nothing is stored."""

    @pytest.mark.parametrize(
        ("change", "status", "code", "param"),
        [
            ({"messages": []}, 400, "bad_messages", "messages"),
            ({"messages": "Hi"}, 400, "bad_messages", "messages"),
            ({"messages": [{"role": "user"}]}, 400, "not_text", "messages[0].content"),
            ({"messages": [{"role": "tool", "content": "x"}]}, 400, "bad_messages", "messages[0]"),
            ({"messages": [{"role": [], "content": "x"}]}, 400, "bad_messages", "messages[0]"),
            ({"messages": [{"role": {}, "content": "x"}]}, 400, "bad_messages", "messages[0]"),
            ({"messages": [{"role": "user", "content": "a\0b"}]}, 400, "not_text", "messages[0].content"),
            ({"messages": [{"role": "user", "content": "\ud800"}]}, 400, "not_text", "messages[0].content"),
            ({"messages": [*HELLO, {"role": "assistant", "content": "x"}]}, 400, "bad_messages", "messages[1]"),
            (
                {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
                *(400, "not_text", "messages[0].content"),
            ),
            (
                {"messages": [{"role": "user", "content": "x" * 20_001}]},
                400,
                "context_length_exceeded",
                "messages[0].content",
            ),
            ({"model": "gpt-9"}, 404, "model_not_found", "model"),
            ({"temperature": -1}, 400, "invalid_value", "temperature"),
            ({"temperature": "hot"}, 400, "invalid_value", "temperature"),
            ({"stop": ["x"] * 10_000}, 400, "invalid_value", "stop"),
            ({"logit_bias": {"x": 1}}, 400, "invalid_value", "logit_bias"),
            ({"n": 2}, 400, "unsupported_value", "n"),
            ({"n": True}, 400, "unsupported_value", "n"),
            ({"tools": [{"type": "function"}]}, 400, "unsupported_value", "tools"),
            ({"response_format": {"type": "json_object"}}, 400, "unsupported_value", "response_format"),
            ({"logprobs": True}, 400, "unsupported_value", "logprobs"),
            ({"frequency_penalty": 0.5}, 400, "unsupported_value", "frequency_penalty"),
            ({"nonsense": 1}, 400, "unknown_parameter", "nonsense"),
            ({"stream": "yes"}, 400, "invalid_value", "stream"),
            ({"stream_options": {"include_usage": True}}, 400, "invalid_value", "stream_options"),
        ],
    )
    def test_bad_input(self, web: Web, secret: str, change: dict[str, Any], status: int, code: str, param: str) -> None:
        response = web.post(secret, {"messages": HELLO, **change})
        error = response.json()["error"]
        assert (response.status_code, error["code"], error["param"]) == (status, code, param), error
        assert error["message"] and error["type"]
        assert stored() == (0, 0, 0)

    @pytest.mark.parametrize("body", ["{", "[]", "nul", b"\xff", "[" * 100_000])
    def test_no_object(self, web: Web, secret: str, body: Any) -> None:
        assert web.post(secret, body).status_code == 400
        assert stored() == (0, 0, 0)

    def test_too_large(self, web: Web, secret: str) -> None:
        response = web.post(secret, {"messages": HELLO, "user": "x" * 3_000_000})
        assert response.status_code == 413 and response.json()["error"]["code"] == "too_large"

    def test_who_may(self, web: Web, secret: str, alice: User, mo: User, client: openai.OpenAI) -> None:
        for wrong in ("", "wrong", secret[:-1]):
            response = web.post(wrong, {"messages": HELLO})
            assert response.status_code == 401 and response.json()["error"]["code"] == "invalid_api_key"
        with pytest.raises(openai.AuthenticationError):
            client.with_options(api_key="wrong").models.list()
        User.objects.filter(pk=alice.pk).update(terms_version="")
        assert web.post(secret, {"messages": HELLO}).json()["error"]["code"] == "terms_missing"
        services.ban(alice, actor=mo, reason="Spam")
        with pytest.raises(openai.PermissionDeniedError, match="suspended"):
            client.chat.completions.create(model=web.model, messages=HELLO)
        tokens.revoke_token(alice, alice.tokens.get().pk)
        assert web.post(secret, {"messages": HELLO}).status_code == 401
        assert stored() == (0, 0, 0)

    def test_other_methods_and_paths(self, web: Web, secret: str) -> None:
        headers = {"Authorization": f"Bearer {secret}"}
        response = requests.get(f"{web.url}/v1/chat/completions", headers=headers, timeout=30)
        assert (response.status_code, response.headers["Allow"]) == (405, "POST")
        response = requests.get(f"{web.url}/v1/embeddings", headers=headers, timeout=30)
        assert response.status_code == 404 and "error" in response.json()

    @pytest.mark.parametrize("stream", [True, False])
    def test_too_long_for_the_model(self, web: Web, secret: str, stream: bool) -> None:
        response = web.post(secret, {"messages": [{"role": "user", "content": "word " * 3999}], "stream": stream})
        assert (response.status_code, response.json()["error"]["code"]) == (400, "context_length_exceeded")

    def test_too_many_at_once_and_too_often(self, web: Web, secret: str, alice: User, client: openai.OpenAI) -> None:
        streams = [
            client.chat.completions.create(
                model=web.model, messages=HELLO, stream=True, max_tokens=1500, temperature=0, logit_bias={"452": -100}
            )
            for _ in range(4)
        ]
        with pytest.raises(openai.RateLimitError, match="under way") as refused:
            client.chat.completions.create(model=web.model, messages=HELLO)
        assert int(refused.value.response.headers["Retry-After"]) > 0
        for one in streams:
            one.close()
        wait_until(lambda: not Turn.objects.filter(user=alice, ended_at=None).exists(), "not ended")
        limited = refused_answer(Busy("Too many.", code="rate_limited", retry_after=77))
        assert (limited.status_code, limited["Retry-After"]) == (429, "77")
        assert json.loads(limited.content)["error"]["code"] == "rate_limit_exceeded"


def test_a_full_queue(web: Web, secret: str, client: openai.OpenAI) -> None:
    """Of a model that nobody runs, so that all of them wait."""
    now = time.time()
    rows = []
    person = new_person("Crowd")
    for _ in range(100):
        room = Chat.objects.create(user=person)
        question = ChatMessage.objects.create(chat=room, role="prompter", content="Hi")
        answer = ChatMessage.objects.create(chat=room, role="assistant", parent=question)
        rows.append(Turn(message=answer, user=person, model="none", deadline_at="2100-01-01T00:00Z"))
    Turn.objects.bulk_create(rows)
    before = stored()
    with pytest.raises(openai.InternalServerError) as refused:
        client.chat.completions.create(model=web.model, messages=HELLO)
    assert refused.value.status_code == 503 and int(refused.value.response.headers["Retry-After"]) > 0
    assert stored() == before and time.time() - now < START_SECONDS
