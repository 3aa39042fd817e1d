"""Someone who can write to Redis, or gives us a model, runs no code here."""

import ast
import json
import pickle
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import redis
from django.conf import settings
from django.contrib.messages.storage.cookie import CookieStorage
from django.contrib.messages.storage.fallback import FallbackStorage
from django.contrib.messages.storage.session import SessionStorage
from django.contrib.sessions.serializers import JSONSerializer
from django.core.cache import cache, caches
from django.test import Client
from django.urls import reverse
from django.utils.module_loading import import_string
from kombu.exceptions import ContentDisallowed
from kombu.serialization import loads, prepare_accept_content

from inference.engine import tiny
from inference.engine.base import EngineError
from inference.engine.loading import load
from oasst.accounts.models import User
from oasst.celery import app
from oasst.core.json_cache import JsonClient, StrictJson
from tests.paths import ROOT

PACKAGES = ("oasst", "trees", "tasks", "leaderboard", "inference")
UNPICKLERS = {"pickle", "_pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "jsonpickle"}
# Functions that unpickle unless an argument forbids it, and that argument.
LOADERS = {
    "torch.load": "weights_only",
    "numpy.load": "allow_pickle",
    "np.load": "allow_pickle",
    "yaml.load": "Loader",
    "yaml.unsafe_load": "never",
    "pandas.read_pickle": "never",
}


class Planted:
    """A pickle that leaves a trace when it is loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


@pytest.fixture
def planted(tmp_path: Path) -> Iterator[bytes]:
    mark = tmp_path / "was run"
    yield pickle.dumps(Planted(mark))
    assert not mark.exists(), "what stands in Redis was run"


class TestWhatIsPlantedInRedis:
    def test_a_value_of_the_cache_is_a_miss(self, planted: bytes, redis_server: redis.Redis) -> None:
        cache.set("good", {"a": [1]})
        redis_server.set(cache.make_key("bad"), planted)
        assert cache.get("bad") is None
        assert cache.get("bad", "as good as nothing") == "as good as nothing"
        assert cache.get_many(["good", "bad", "away"]) == {"good": {"a": [1]}}
        cache.set("bad", 5)
        assert cache.get("bad") == 5

    @pytest.mark.parametrize(
        "value",
        [b"\xff\xfe", b"{", b"", b"[" * 100_000, b"9" * 5000, pickle.dumps({"old": 1})],
        ids=["no text", "half", "empty", "deep", "long number", "pickle"],
    )
    def test_so_is_everything_else_that_is_no_json(self, value: bytes, redis_server: redis.Redis) -> None:
        """As an earlier version may have left it."""
        redis_server.set(cache.make_key("bad"), value)
        assert cache.get("bad") is None

    def test_a_session_is_read_from_its_row(
        self, planted: bytes, redis_server: redis.Redis, client: Client, alice: User
    ) -> None:
        client.force_login(alice)
        assert client.get("/me/").status_code == 200
        key = cache.make_key(f"oasst.sessions{client.cookies['sessionid'].value}")
        assert redis_server.exists(key), "the session is in the cache, so this test is about something"
        redis_server.set(key, planted)
        answer = client.get("/me/")
        assert answer.status_code == 200
        assert answer.context["user"] == alice

    @pytest.mark.parametrize("page", ["/dashboard/", "/leaderboard/", "/statistics/"])
    def test_pages_are_whole(
        self, planted: bytes, redis_server: redis.Redis, client: Client, alice: User, page: str
    ) -> None:
        client.force_login(alice)
        client.get(page)
        for key in redis_server.scan_iter("oasst:*"):
            redis_server.set(key, planted)
        assert client.get(page).status_code == 200

    def test_jobs_in_another_form_are_refused(self, planted: bytes) -> None:
        accepted = prepare_accept_content(app.conf.accept_content)
        for kind in ("application/x-python-serialize", "application/x-yaml"):
            with pytest.raises(ContentDisallowed):
                loads(planted, kind, "binary", accept=accepted)


class TestWhatIsPlantedInSessions:
    """The cache has sessions in plain text, but only this site can sign them."""

    @pytest.mark.parametrize(
        "planted", [{"_auth_user_id": "x"}, {"signed_in_at": 4e9}, [], [1], "x", 5, True, "a:b:c", {"browser": 5}]
    )
    def test_what_this_site_did_not_write_is_a_miss(self, client: Client, alice: User, planted: Any) -> None:
        client.force_login(alice)
        before = dict(client.session)
        cache.set(client.session.cache_key, planted)
        assert client.get("/me/").status_code == 200
        assert dict(client.session) == before

    def test_the_session_of_another_is_none_of_mine(self, client: Client, alice: User, mo: User) -> None:
        client.force_login(alice)
        theirs = Client()
        theirs.force_login(mo)
        cache.set(client.session.cache_key, cache.get(theirs.session.cache_key))
        assert client.session["_auth_user_id"] == str(alice.pk)

    def test_a_sign_in_that_has_begun_stays_with_its_address(self, client: Client, mo: User) -> None:
        """Eve's code must not open Mo's account, even if she writes Mo's address into her pending sign-in."""
        client.post("/accounts/login/code/", {"email": "eve@example.org"})
        key = client.session.cache_key
        state = json.loads(json.dumps(dict(client.session)).replace("eve@example.org", str(mo.email)))
        cache.set(key, state)
        assert "eve@example.org" in json.dumps(dict(client.session))

    def test_a_cached_session_costs_no_statement(
        self, client: Client, alice: User, django_assert_num_queries: Any
    ) -> None:
        client.force_login(alice)
        dict(client.session)
        with django_assert_num_queries(0):
            assert client.session["_auth_user_id"] == str(alice.pk)


class TestSettings:
    def test_every_cache_is_json(self) -> None:
        for name in settings.CACHES:
            options = settings.CACHES[name]["OPTIONS"]
            assert import_string(options["SERIALIZER"]) is StrictJson, name
            assert import_string(options["CLIENT_CLASS"]) is JsonClient, name
            assert isinstance(caches[name].client, JsonClient)

    def test_sessions_messages_and_channels(self) -> None:
        assert import_string(settings.SESSION_SERIALIZER) is JSONSerializer
        # Signed JSON in a cookie or in the session: our class chooses, and reads and writes as the library does.
        in_cookie, in_session = import_string(settings.MESSAGE_STORAGE).storage_classes
        assert issubclass(import_string(settings.MESSAGE_STORAGE), FallbackStorage) and in_session is SessionStorage
        for name in ("__init__", "_encode", "_encode_parts", "_decode"):
            assert getattr(in_cookie, name) is getattr(CookieStorage, name)
        for layer in settings.CHANNEL_LAYERS.values():
            assert layer["CONFIG"]["serializer_format"] in ("json", "msgpack")

    def test_celery(self) -> None:
        assert app.conf.accept_content == app.conf.result_accept_content == ["json"]
        assert (
            app.conf.beat_scheduler == "django_celery_beat.schedulers:DatabaseScheduler"
        )  # its own storage uses pickles
        assert {app.conf.task_serializer, app.conf.result_serializer, app.conf.event_serializer} == {"json"}


class TestStrictJson:
    @pytest.mark.parametrize(
        "value", [datetime(2026, 1, 2, tzinfo=UTC), UUID(int=1), Decimal(1), {1, 2}, b"x"], ids=repr
    )
    def test_what_would_come_back_as_something_else_is_refused(self, value: Any) -> None:
        with pytest.raises(TypeError):
            cache.set("wrong", value)

    @pytest.mark.parametrize("value", [None, True, 0, 10**30, 1.5, "ä\0\ud800", [1, [2]], {"a": {"b": None}}])
    def test_the_rest_comes_back(self, value: Any) -> None:
        cache.set("right", value)
        kept = cache.get("right", "away")
        assert kept == value
        assert type(kept) is type(value)


class TestWhatLibrariesKeep:
    def test_the_search_of_the_admin(self, client: Client, mo: User) -> None:
        client.force_login(mo)
        for _ in ("found", "from the cache"):
            page = client.get(reverse("admin:search"), {"s": "message"})
            assert page.status_code == 200
            assert b"essage" in page.content


class TestModels:
    def test_weights_that_are_a_pickle_are_not_read(self, planted: bytes, tmp_path: Path) -> None:
        folder = tmp_path / "model"
        tiny.make(folder)
        (folder / "model.safetensors").unlink()
        (folder / "pytorch_model.bin").write_bytes(planted)
        with pytest.raises(EngineError):
            load(folder)


def calls_of(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield ast.unparse(node.func), node


def imports_of(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def test_no_module_unpickles() -> None:
    wrong = []
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            tree = ast.parse(path.read_text())
            wrong += [f"{path}: import {name}" for name in imports_of(tree) if name.split(".")[0] in UNPICKLERS]
            for name, call in calls_of(tree):
                given = {one.arg for one in call.keywords}
                if name in LOADERS and LOADERS[name] not in given:
                    wrong.append(f"{path}:{call.lineno}: {name} without {LOADERS[name]}")
                if name.endswith(".from_pretrained") and "trust_remote_code" not in given:
                    wrong.append(f"{path}:{call.lineno}: {name} without trust_remote_code=False")
    assert wrong == []
