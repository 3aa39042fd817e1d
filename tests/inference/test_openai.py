"""The OpenAI-compatible API: the `openai` library against a web server with the tiny model."""

import asyncio
import json
import os
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.error import URLError
from urllib.parse import quote
from urllib.request import urlopen
from uuid import uuid4

import openai
import pytest
import requests
from django.db import connection
from django.db.models import F

from inference.api import openai as openai_view
from inference.api import openai_input
from inference.api.openai_urls import document
from inference.models import Chat, ChatMessage, ServedModel, Turn
from inference.policy import current_policy
from inference.registry import offer
from inference.turns import lifecycle, local_engine
from inference.turns.events import Event, Failed
from inference.turns.states import OPEN, TurnState
from oasst.accounts import account_bans, tokens
from oasst.accounts.models import User
from oasst.core import ratelimit
from oasst.embedded.sockets import listen
from tests.clients.python import Client
from tests.clients.validity import validation_errors
from tests.crash.processes import START_SECONDS, serve
from tests.crash.processes import wait_until as wait
from tests.factories import new_person
from tests.inference.talking import ENDLESS, send_completion, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]
NOBODYS = "none"
"""A model without an engine: its turns wait."""
HELLO: list[Any] = [{"role": "user", "content": "Tell me something"}]
GREEDY: dict[str, Any] = {"temperature": 0, "max_tokens": 40}
PROMPTS = int(os.environ.get("CHAT_PROMPTS", "40"))
"""Size of a batch. `scripts/bench chat-batch` sends more."""
AT_ONCE = int(os.environ.get("CHAT_PROMPTS_AT_ONCE", "8"))
FRIEND = "https://chat.example.org"
QUEUE = 20


class Web:
    """A web server with an engine inside, for all tests of this file."""

    def __init__(self, folder: Path, log: Path) -> None:
        self.model = str(folder)
        self.listener: socket.socket = listen("127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        # As on a fresh installation, with limits; the queue is short so that it can be filled.
        variables = {
            "DJANGO_SETTINGS_MODULE": "tests.security.settings",
            "CHAT_CORS_ORIGINS": FRIEND,
            "CHAT_QUEUE": str(QUEUE),
            "CHAT_ANSWERS_AT_ONCE": "4",
        }
        self.process = serve(self.listener, log, variables)
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

    def send(self, token: str, body: Any, **headers: str) -> socket.socket:
        """A completion asked for byte by byte; the connection, with nothing read from it yet."""
        return send_completion(self.listener.getsockname(), token, body, timeout=60, headers=headers)

    def end(self) -> None:
        self.process.kill()
        self.listener.close()


@pytest.fixture(scope="module")
def web(django_db_setup: None, tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OASST_CHAT_MODEL", str(tiny_folder))
        patch.setenv("OASST_ENGINE", "inline")
        patch.setenv("ENGINE_SLOTS", "8")
        one = Web(tiny_folder, tmp_path_factory.mktemp("web") / "web.log")
        yield one
        one.end()


@pytest.fixture(autouse=True)
def _a_server_at_rest(transactional_db: None) -> Iterator[None]:
    """Wait for turns of closed connections: emptying the tables meanwhile would deadlock."""
    yield
    answered = Turn.objects.exclude(model=NOBODYS)
    wait_until(lambda: not answered.filter(state__in=OPEN).exists(), "still being answered")
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
    """Responses match the published schema, and a client generated from it reads them."""

    def test_answers_and_models(self, web: Web, secret: str, generated: Client) -> None:
        models, headers = generated.models, {"Authorization": f"Bearer {secret}"}
        whole = web.post(secret, {"messages": HELLO, **GREEDY}).json()
        assert validation_errors(document(), "Completion", whole) == []
        said = models.Completion.from_dict(whole)
        assert said.choices[0].message.content and said.choices[0].finish_reason in models.FinishReason
        listed = requests.get(f"{web.url}/v1/models", headers=headers, timeout=30).json()
        assert validation_errors(document(), "Models", listed) == []
        one = requests.get(f"{web.url}/v1/models/{web.model}", headers=headers, timeout=30).json()
        assert validation_errors(document(), "Model", one) == []
        assert models.Models.from_dict(listed).data == [models.Model.from_dict(one)]

    def test_pieces(self, web: Web, secret: str, generated: Client) -> None:
        body = {"messages": HELLO, "stream": True, "stream_options": {"include_usage": True}, **GREEDY}
        lines = web.post(secret, body).text.splitlines()
        pieces = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
        assert lines[-2] == "data: [DONE]" and len(pieces) > 3
        for piece in pieces:
            assert validation_errors(document(), "StreamedPiece", piece) == []
            assert not generated.models.CompletionChunk.from_dict(piece).additional_properties

    def test_refusals(self, web: Web, secret: str, generated: Client) -> None:
        for response in (
            web.post("wrong", {"messages": HELLO}),
            web.post(secret, {"messages": HELLO, "model": "gpt-9"}),
            web.post(secret, {"messages": HELLO, "temperature": 9}),
        ):
            described = document()["paths"]["/chat/completions"]["post"]["responses"]
            assert (
                str(response.status_code) in described and validation_errors(document(), "Error", response.json()) == []
            )
            assert validation_errors(document(), "StreamedPiece", response.json()) == []
            assert validation_errors(document(), "Completion", response.json())
            assert generated.models.Error.from_dict(response.json()).error.code

    def test_what_is_told_in_words_and_headers(self) -> None:
        described = document()["paths"]["/chat/completions"]["post"]["responses"]
        assert list(described["200"]["headers"]) == ["X-Ignored-Parameters"]
        assert "queue_timeout" in described["503"]["description"] and "wait" not in described["504"]["description"]
        assert "slash" in document()["info"]["description"]


class TestBatches:
    """An API client sends more than is answered at once: the rest waits and nothing fails."""

    def test_eight_at_a_time_to_the_end(self, client: openai.OpenAI, web: Web) -> None:
        """Without a single retry, while four answers are written at once."""
        short: dict[str, Any] = {"model": web.model, "temperature": 0, "max_tokens": 2}

        def ask(number: int) -> str | None:
            prompt: Any = [{"role": "user", "content": f"Prompt {number}"}]
            if number % 4:
                return client.chat.completions.create(messages=prompt, **short).choices[0].finish_reason
            return (
                list(client.chat.completions.create(messages=prompt, stream=True, **short))[-1].choices[0].finish_reason
            )

        with ThreadPoolExecutor(AT_ONCE) as pool:
            assert set(pool.map(ask, range(PROMPTS))) <= {"length", "stop"}
        assert Turn.objects.filter(state=TurnState.COMPLETE).count() == PROMPTS

    def test_what_is_beyond_the_answers_at_once_waits_and_gives_its_place_back(
        self, client: openai.OpenAI, web: Web, secret: str
    ) -> None:
        streams = [
            client.chat.completions.create(model=web.model, messages=HELLO, stream=True, **ENDLESS) for _ in range(4)
        ]
        lines = [web.send(secret, {"messages": HELLO, "stream": stream, **GREEDY}) for stream in (True, False, False)]
        waiting = Turn.objects.filter(state=TurnState.PENDING)
        wait_until(lambda: waiting.count() == 3, "not in the queue")
        assert Turn.objects.filter(state=TurnState.IN_PROGRESS).count() == 4
        for line in lines[:2]:
            line.close()
        wait_until(lambda: waiting.count() == 1, "still in the queue")
        assert Turn.objects.filter(state=TurnState.STOPPED, began_at=None).count() == 2
        streams.pop().close()
        assert lines[2].recv(100).startswith(b"HTTP/1.1 200 "), "the last one gets the place that became free"
        for one in streams:
            one.close()

    def test_a_library_that_is_told_to_wait_does(
        self, client: openai.OpenAI, web: Web, alice: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        a_moment_ago = time.time() - 45  # 15 seconds are left for all that is before the refusal
        with monkeypatch.context() as clock:
            clock.setattr(time, "time", lambda: a_moment_ago)
            for _ in range(240):
                ratelimit.count_use(ratelimit.CHAT_TURNS_OF_CLIENTS, alice.pk)
        with pytest.raises(openai.RateLimitError, match="240 in 60 seconds") as refused:
            client.chat.completions.create(model=web.model, messages=HELLO, **GREEDY)
        assert 1 <= int(refused.value.response.headers["Retry-After"]) <= 60
        patient = client.with_options(max_retries=2)
        assert patient.chat.completions.create(model=web.model, messages=HELLO, **GREEDY).choices[0].message.content

    def test_where_the_wait_is_longer_the_library_is_told_what_it_bears(
        self, client: openai.OpenAI, web: Web, alice: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(ratelimit, "_rates", lambda rule: ratelimit._parsed("100000 per hour"))
        rest = ratelimit._parsed("3600 per hour")[0]
        limiter = ratelimit._limiter(ratelimit.settings.REDIS_URL)
        long_ago = time.time() - 120
        with monkeypatch.context() as clock:
            clock.setattr(time, "time", lambda: long_ago)
            key = ratelimit._key((alice.pk,))
            assert limiter.hit(rest, ratelimit.CHAT_TURNS_OF_CLIENTS.name, key, cost=3600)
        with pytest.raises(openai.RateLimitError, match="try again in 58 minutes") as refused:
            client.chat.completions.create(model=web.model, messages=HELLO, **GREEDY)
        assert refused.value.response.headers["Retry-After"] == "60"
        assert stored() == (0, 0, 0)

    def test_nobody_fills_the_queue(self, client: openai.OpenAI, web: Web, alice: User, bob: User) -> None:
        """Of a model without an engine, so that all of them wait."""
        fill_queue(alice, QUEUE // 2)
        before = stored()
        with pytest.raises(openai.RateLimitError, match="waiting already") as refused:
            client.chat.completions.create(model=web.model, messages=HELLO)
        assert 1 <= int(refused.value.response.headers["Retry-After"]) <= 60
        assert stored() == before
        others = client.with_options(api_key=tokens.create_token(bob, name="laptop", days=7)[1])
        assert others.chat.completions.create(model=web.model, messages=HELLO, **GREEDY).choices

    def test_a_full_queue(self, web: Web, client: openai.OpenAI) -> None:
        fill_queue(new_person("Crowd"), QUEUE)
        before = stored()
        with pytest.raises(openai.InternalServerError) as refused:
            client.chat.completions.create(model=web.model, messages=HELLO)
        assert refused.value.status_code == 503 and 1 <= int(refused.value.response.headers["Retry-After"]) <= 60
        assert stored() == before

    def test_who_waited_too_long_may_try_again(self, web: Web, client: openai.OpenAI) -> None:
        streams = [
            client.chat.completions.create(model=web.model, messages=HELLO, stream=True, **ENDLESS) for _ in range(4)
        ]
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(client.chat.completions.create, model=web.model, messages=HELLO)
            waiting = Turn.objects.filter(state=TurnState.PENDING)
            wait_until(waiting.exists, "not in the queue")
            waiting.update(deadline_at=F("queued_at"))
            lifecycle.end_overdue(current_policy())
            with pytest.raises(openai.InternalServerError, match="300 seconds in the queue") as refused:
                asked.result()
        assert refused.value.status_code == 503 and refused.value.code == "queue_timeout"
        assert 1 <= int(refused.value.response.headers["Retry-After"]) <= 60
        for one in streams:
            one.close()


def fill_queue(person: User, number: int) -> None:
    rows = []
    for _ in range(number):
        chat = Chat.objects.create(user=person)
        question = ChatMessage.objects.create(chat=chat, role="prompter", content="Hi")
        answer = ChatMessage.objects.create(chat=chat, role="assistant", parent=question)
        rows.append(Turn(message=answer, user=person, model=NOBODYS, prompt=[], deadline_at="2100-01-01T00:00Z"))
    Turn.objects.bulk_create(rows)


class TestWhatIsNotKnown:
    """Clients send settings of other servers. They are ignored, and the response names them."""

    SENT: dict[str, Any] = {  # LiteLLM, LangChain, SillyTavern, Open WebUI; for llama.cpp, vLLM, Ollama, OpenRouter
        "min_p": 0.05,
        "top_a": 0,
        "tfs_z": 1,
        "repeat_penalty": 1.1,
        "mirostat": 0,
        "num_ctx": 4096,
        "chat_template_kwargs": {"enable_thinking": False},
        "ignore_eos": False,
        "keep_alive": "5m",
        "reasoning": {"effort": "low"},
        "transforms": [],
        "temprature": 0.1,
    }

    @pytest.mark.parametrize("stream", [True, False])
    def test_it_is_named_in_a_header(self, web: Web, secret: str, stream: bool) -> None:
        body = {"messages": [{**HELLO[0], "name": "Ada"}], "stream": stream, **GREEDY, **self.SENT}
        if stream:
            body["stream_options"] = {"include_usage": True, "include_obfuscation": False}
        line = web.send(secret, body)
        head = b""
        while b"\r\n\r\n" not in head:
            head += line.recv(4096)
        line.close()
        first, *lines = head.partition(b"\r\n\r\n")[0].decode().split("\r\n")
        assert first.startswith("HTTP/1.1 200")
        (named,) = [one.partition(": ")[2] for one in lines if one.lower().startswith("x-ignored-parameters:")]
        expected = [*self.SENT, *["stream_options.include_obfuscation"] * stream, "messages.name"]
        assert named == ", ".join(expected)

    def test_also_by_the_library(self, web: Web, client: openai.OpenAI) -> None:
        raw = client.chat.completions.with_raw_response.create(
            model=web.model, messages=HELLO, extra_body={"min_p": 0.05, "top_k": 5}, **GREEDY
        )
        assert raw.headers["X-Ignored-Parameters"] == "min_p" and raw.parse().choices
        assert Turn.objects.get().sampling["top_k"] == 5

    def test_nothing_is_named_that_changes_no_answer(self, web: Web, secret: str) -> None:
        said = web.post(secret, {"messages": HELLO, "user": "me", "metadata": {}, "min_p": None, "n": 1, **GREEDY})
        assert said.status_code == 200 and "X-Ignored-Parameters" not in said.headers

    def test_a_name_is_never_a_header_of_its_own(self, web: Web, secret: str) -> None:
        names = {
            "a\r\nSet-Cookie: b=c": 1,
            "ä, \ud800": 1,
            "x" * 1000: 1,
            **{f"n{number}": 1 for number in range(1000)},
        }
        said = web.post(secret, json.dumps({"messages": HELLO, **GREEDY, **names}))
        named = said.headers["X-Ignored-Parameters"].split(", ")
        assert said.status_code == 200 and "Set-Cookie" not in said.headers
        assert named[:3] == ["a%0D%0ASet-Cookie%3A%20b%3Dc", "%C3%A4%2C%20%3F", "x" * 60]
        assert len(named) > 100 and named[-1] == "..."

    def test_a_proxy_has_room_for_the_header(self, web: Web, secret: str) -> None:
        """nginx responds 502 if the headers have more than 4 kB."""
        names = {f"{number}{chr(0x1F600)}" + chr(0x1F600) * 58: 1 for number in range(60)}
        said = web.post(secret, json.dumps({"messages": HELLO, **GREEDY, **names}))
        head = "".join(f"{name}: {value}\r\n" for name, value in said.headers.items())
        assert said.status_code == 200 and len(said.headers["X-Ignored-Parameters"]) <= 1005 and len(head) < 4096
        assert said.headers["X-Ignored-Parameters"].endswith(", ...")


class TestModels:
    def test_they_are_as_old_as_their_first_offer(
        self, web: Web, client: openai.OpenAI, settings: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings.OASST_CHAT_MODEL, settings.OASST_ENGINE = web.model, "worker"
        before = int(time.time())
        local_engine.start_in_web_process()  # as each start of a web server does
        noted = ServedModel.objects.get().since
        assert before <= noted.timestamp() <= time.time()
        local_engine.start_in_web_process()
        assert ServedModel.objects.get().since == noted == offer.offered_since([web.model])[web.model]
        ServedModel.objects.update(since="2024-05-06T07:08:09Z")
        (listed,) = client.models.list()
        assert listed.created == client.models.retrieve(web.model).created == 1714979289

    def test_where_nobody_noted_it_they_are_as_old_as_the_server(self, web: Web, client: openai.OpenAI) -> None:
        (first,), (again,) = client.models.list(), client.models.list()
        assert first.created == again.created and 0 < time.time() - first.created < 3600


def test_a_slash_at_the_end_changes_nothing(web: Web, secret: str) -> None:
    headers = {"Authorization": f"Bearer {secret}"}
    for path in ("models", f"models/{quote(web.model, safe='')}"):
        plain, slashed = (
            requests.get(f"{web.url}/v1/{path}{slash}", headers=headers, timeout=30, allow_redirects=False)
            for slash in ("", "/")
        )
        assert plain.status_code == slashed.status_code == 200 and plain.json() == slashed.json()
    said = requests.post(
        f"{web.url}/v1/chat/completions/",
        json={"messages": HELLO, **GREEDY},
        headers=headers,
        timeout=60,
        allow_redirects=False,
    )
    assert said.status_code == 200 and said.json()["choices"]
    for path in ("", "/", "embeddings/", "models/x/y/", "chat/"):
        nothing = requests.get(f"{web.url}/v1/{path}", headers=headers, timeout=30, allow_redirects=False)
        assert nothing.status_code == 404 and nothing.json()["error"]["code"]


class TestHangingUp:
    @pytest.mark.parametrize("stream", [True, False])
    def test_ends_the_answer(self, web: Web, secret: str, stream: bool) -> None:
        line = web.send(secret, {"messages": HELLO, "stream": stream, **ENDLESS})
        wait_until(lambda: Turn.objects.filter(state=TurnState.IN_PROGRESS).exists(), "not begun")
        if stream:
            assert b"200" in line.recv(1000)
        line.close()
        wait_until(lambda: Turn.objects.get().state != TurnState.IN_PROGRESS, "still being written")
        assert Turn.objects.get().state == TurnState.STOPPED
        assert Turn.objects.get().completion_tokens < 1500


class TestRefused:
    """Refusals have OpenAI's format, and nothing is stored."""

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
            ({"guided_json": {"type": "object"}}, 400, "unsupported_value", "guided_json"),
            ({"grammar": "root ::= x"}, 400, "unsupported_value", "grammar"),
            ({"echo": True}, 400, "unsupported_value", "echo"),
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
        account_bans.ban(alice, actor=mo, reason="Spam")
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

    def test_a_stream_that_has_begun_fails_with_the_same_words(self) -> None:
        """Its status was sent while it waited in the queue."""
        failed = Failed(1, "failed", "too_long", "This is too long for the model.", "")
        line: Any = SimpleNamespace(turn=Turn(message_id=uuid4(), model="tiny"), over=False)

        async def read() -> list[str]:
            async def coming() -> AsyncIterator[Event | None]:
                yield failed

            asked = openai_input.parse_request({"messages": HELLO, "stream": True}, current_policy())
            return [frame async for frame in openai_view._frames(line, asked, None, coming())]

        *_, error, done = asyncio.run(read())
        assert json.loads(error.removeprefix("data: ")) == json.loads(openai_view._failed(failed).content)
        assert "context_length_exceeded" in error and done == "data: [DONE]\n\n" and line.over

    @pytest.mark.parametrize("stream", [True, False])
    def test_too_long_for_the_model(self, web: Web, secret: str, stream: bool) -> None:
        response = web.post(secret, {"messages": [{"role": "user", "content": "word " * 3999}], "stream": stream})
        assert (response.status_code, response.json()["error"]["code"]) == (400, "context_length_exceeded")
