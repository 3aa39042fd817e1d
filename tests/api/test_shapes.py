"""Results of operations, and how schemas represent them."""

import gc
import io
import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.core.signals import got_request_exception
from django.test import Client, RequestFactory
from django.urls import resolve
from rest_framework import serializers
from rest_framework.response import Response

from oasst.accounts import api_clients, tokens
from oasst.accounts.models import User
from oasst.api.fields import (
    BooleanField,
    ChoiceField,
    ConstantField,
    IntegerField,
    OptionalMembersField,
    Schema,
    TextField,
    make_representer,
)
from oasst.api.views import OperationRequest
from oasst.core.models import RepeatableWrite


class Pet(Schema):
    name = TextField()
    years = IntegerField(allow_null=True, source="age")
    tags = OptionalMembersField(["good"], child=BooleanField(), required=False)


class Cat(Schema):
    kind = ConstantField("cat")
    lives = IntegerField()


class Dog(Schema):
    kind = ConstantField("dog")
    barks = BooleanField()


class Animal(Schema):
    one_of = (Cat, Dog)
    tag = "kind"


class Home(Schema):
    size = ChoiceField(("small", "large"), default="small")
    pet = Pet(allow_null=True)
    animals = Animal(many=True)


class Odd(Schema):
    at = serializers.UUIDField(format="hex")


class Computed(Schema):
    twice = serializers.SerializerMethodField()

    def get_twice(self, instance: Any) -> Any:
        return [instance, instance]


class TestRepresent:
    def test_many_objects(self) -> None:
        pets = [SimpleNamespace(name=name, age=1, tags=None) for name in ("Tom", "Jo")]
        expected = [{"name": name, "years": 1, "tags": None} for name in ("Tom", "Jo")]
        assert make_representer([Pet])(iter(pets)) == make_representer(Pet(many=True))(pets) == expected
        assert make_representer([Pet])([]) == []

    def test_a_union_of_objects(self) -> None:
        assert make_representer([Animal])([SimpleNamespace(kind="cat", lives=9)]) == [{"kind": "cat", "lives": 9}]

    def test_a_field_of_another_kind_is_asked(self) -> None:
        assert make_representer(Odd)({"at": UUID(int=10)}) == {"at": f"{10:032x}"}

    def test_a_member_that_is_computed_is_refused(self) -> None:
        with pytest.raises(TypeError, match="Computed"):
            make_representer(Computed)({"a": 1})

    def test_an_object_by_its_attributes(self) -> None:
        pet = SimpleNamespace(name="Tom", age=3, tags={"good": True}, secret="x")
        assert make_representer(Pet)(pet) == {"name": "Tom", "years": 3, "tags": {"good": True}}

    def test_a_mapping_by_its_members(self) -> None:
        given = {"name": "Tom", "age": None, "secret": "x"}
        assert make_representer([Pet])([given]) == [{"name": "Tom", "years": None}]

    def test_what_is_inside(self) -> None:
        cat, dog = {"kind": "cat", "lives": 9, "owner": 1}, {"kind": "dog", "barks": False}
        home = {"size": "small", "pet": None, "animals": [cat, dog]}
        assert make_representer(Home)(home) == {**home, "animals": [{"kind": "cat", "lives": 9}, dog]}

    def test_values_are_not_touched(self) -> None:
        thing = object()
        assert make_representer(TextField())(thing) is make_representer(None)(thing) is thing

    @pytest.mark.parametrize("given", [{"name": "Tom"}, {"age": 3}, SimpleNamespace(name="Tom"), None])
    def test_a_declared_member_has_to_be_there(self, given: Any) -> None:
        with pytest.raises((KeyError, AttributeError)):
            make_representer(Pet)(given)

    def test_a_kind_that_is_not_declared(self) -> None:
        with pytest.raises(KeyError):
            make_representer(Animal)({"kind": "fish"})


@pytest.mark.django_db
class TestOverTheWire:
    @pytest.fixture
    def key(self) -> str:
        return api_clients.create_api_client(name="site", trusted=True)[1]

    @pytest.fixture
    def program(self, key: str) -> Client:
        return Client(headers={"X-API-Key": key}, raise_request_exception=False)

    def test_an_answer_that_lacks_a_member_is_a_crash(self, program: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("trees.api.reading.tree_state", lambda message_id: {"state": "growing"})
        response = program.get(f"/api/v1/messages/{UUID(int=1)}/tree/state")
        assert response.status_code == 500
        assert response.json() == {"message": "INTERNAL_SERVER_ERROR", "error_code": 0}

    def test_what_cannot_be_written_is_a_crash(self, program: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("trees.api.reading.tree_state", lambda message_id: defaultdict(object))
        response = program.get(f"/api/v1/messages/{UUID(int=1)}/tree/state")
        assert response.status_code == 500 and "ETag" not in response
        assert response.json() == {"message": "INTERNAL_SERVER_ERROR", "error_code": 0}

    def test_nothing_of_a_request_is_left_for_the_garbage_collector(self, key: str) -> None:
        """A body may have a megabyte."""
        path = "/api/v1/frontend_users/"
        view = resolve(path).func

        def left() -> int:
            return sum(type(one) in (OperationRequest, Response) for one in gc.get_objects())

        def send(body: str) -> int:
            request = RequestFactory(headers={"X-API-Key": key}).post(path, body, content_type="application/json")
            status: int = view(request).status_code
            return status

        gc.collect()
        gc.disable()
        try:
            before = left()
            assert send('{"id": "ada", "display_name": "Ada", "auth_method": "local"}') == 200
            assert left() == before
        finally:
            gc.enable()

    def test_a_form_is_no_object(self, program: Client) -> None:
        response = program.post("/api/v1/frontend_users/", "id=ada", content_type="application/x-www-form-urlencoded")
        assert response.status_code == 422
        assert response.wsgi_request.POST.dict() == {"id": "ada"}

    def test_a_body_whose_length_nobody_told(self, key: str) -> None:
        """A body that is sent in chunks."""
        ada = b'{"id": "ada", "display_name": "Ada", "auth_method": "local"}'
        path = "/api/v1/frontend_users/"
        headers = [(b"x-api-key", key.encode()), (b"content-type", b"application/json")]
        scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers}
        response = resolve(path).func(ASGIRequest(scope, io.BytesIO(ada)))
        assert response.status_code == 200 and json.loads(response.content)["display_name"] == "Ada"


@pytest.mark.django_db
class TestCrashes:
    @pytest.fixture
    def crashes(self) -> Iterator[list[str]]:
        """The exceptions of Django's signal, one for each crash."""
        found: list[str] = []

        def note(sender: type, **kwargs: Any) -> None:
            found.append(sender.__name__)

        got_request_exception.connect(note)
        yield found
        got_request_exception.disconnect(note)

    def test_of_the_chat(self, crashes: list[str], monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
        monkeypatch.setattr("inference.api.configs.offer.is_on", lambda: 1 / 0)
        response = Client(raise_request_exception=False).get("/inference/configs/features")
        assert (response.status_code, response.json()) == (500, {"detail": "Internal Server Error"})
        assert crashes == ["ChatView"] and caplog.text.count("crashed") == 1

    def test_of_v1(self, alice: User, crashes: list[str], monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
        secret = tokens.new_token(alice)[1]
        monkeypatch.setattr("inference.api.openai.offer.models_for", lambda user: 1 / 0)
        client = Client(headers={"Authorization": f"Bearer {secret}"}, raise_request_exception=False)
        response = client.get("/v1/models")
        assert response.status_code == 500 and response.json()["error"]["code"] == "server_error"
        assert crashes == ["OpenAIView"] and caplog.text.count("crashed") == 1

    def test_of_an_answer_that_is_kept(self, crashes: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
        """It is not stored, so the same call may be retried."""
        key = api_clients.create_api_client(name="site", trusted=True)[1]
        client = Client(headers={"X-API-Key": key, "Idempotency-Key": "a"}, raise_request_exception=False)
        ada = {"id": "ada", "display_name": "Ada", "auth_method": "local"}

        def send() -> Any:
            return client.post("/api/v1/frontend_users/", ada, content_type="application/json")

        with monkeypatch.context() as patch:
            patch.setattr("oasst.accounts.identities.upsert_person", lambda *args: {"id": "ada"})
            assert send().status_code == 500
        assert crashes == ["DataView"] and not RepeatableWrite.objects.exists()
        assert send().status_code == send().status_code == 200 and RepeatableWrite.objects.count() == 1


@pytest.mark.slow
def test_documents_asked_for_by_several_at_once_after_a_start() -> None:
    """drf-spectacular loads its extensions at their first use, which is not thread-safe."""
    program = """
import sys, threading, django
django.setup()
from inference import api_urls as chat
from inference.api import openai_urls as as_openai
from oasst.site import api_urls as data
sys.setswitchinterval(1e-5)
crashed = []
threading.excepthook = lambda args: crashed.append(args.exc_value)
threads = [threading.Thread(target=one.document) for one in (data, chat, as_openai) * 4]
[one.start() for one in threads]
[one.join() for one in threads]
sys.exit(repr(crashed) if crashed else 0)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=settings.BASE_DIR, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
