"""What all operations have in common: slashes, methods, keys, bodies, formats, envelopes, cursors."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from rest_framework import serializers

from inference.api_urls import OPERATIONS as CHAT
from oasst.accounts.models import ApiClient, User
from oasst.api.fields import Schema
from oasst.site.api_urls import OPERATIONS
from tests.factories import new_prompt
from tests.wire.conftest import Wire, code_of, person, problems
from tests.wire.shapes import DATE
from trees.models import Message

pytestmark = pytest.mark.django_db
NAMED = '"display_name": "A", "auth_method": '
SLASHED = {"tasks/", "text_labels/", "messages/", "frontend_users/", "stats/"}


def outcome(shape: Schema, given: Any) -> Any:
    """Return the validated value, or the error codes."""
    try:
        return shape.run_validation(given)
    except serializers.ValidationError as error:
        return error.get_codes()


class TestPaths:
    def test_six_operations_end_in_a_slash(self) -> None:
        assert {one.path for one in OPERATIONS if one.path.endswith("/")} == SLASHED
        assert sum(one.path in SLASHED for one in OPERATIONS) == 6

    def test_no_operation_stands_twice(self) -> None:
        names = [(one.method, one.path) for one in OPERATIONS]
        assert len(names) == len(set(names))

    @pytest.mark.parametrize("path", ["messages", "tasks", "users/cursor/", "messages/abc/", "frontend_users/local/ä/"])
    def test_the_other_slash_is_redirected(self, client: Client, path: str) -> None:
        other = path[:-1] if path.endswith("/") else f"{path}/"
        for method in ("get", "post"):
            response = getattr(client, method)(f"/api/v1/{path}?lang=en&after=a%2Bb")
            assert response.status_code == 307
            assert response.content == b""
            target = f"http://testserver/api/v1/{other}?lang=en&after=a%2Bb"
            assert response["Location"] == target.replace("ä", "%C3%A4")

    @pytest.mark.parametrize("path", ["", "nowhere", "nowhere/", "openapi", "frontend_users/local/", "admin/admin/x"])
    def test_no_such_path(self, client: Client, path: str) -> None:
        response = client.get(f"/api/v1/{path}")
        assert (response.status_code, response.json()) == (404, {"detail": "Not Found"})
        assert response["Content-Type"] == "application/json"

    @pytest.mark.parametrize("method", ["head", "options", "patch", "put", "trace"])
    def test_wrong_methods(self, site: Wire, method: str) -> None:
        response = getattr(site.http, method)(f"/api/v1/messages/{uuid4()}")
        assert response.status_code == 405
        assert response["Allow"] == "DELETE, GET"
        if method != "head":
            assert response.json() == {"detail": "Method Not Allowed"}


class TestKeys:
    def test_header_and_query_which_wins(self, bot: Wire, client: Client) -> None:
        path = "/api/v1/messages/"
        assert bot.get("messages/").status_code == 200
        assert client.get(f"{path}?api_key={bot.key}").status_code == 200
        assert client.get(f"{path}?api_key={bot.key}", headers={"x-api-key": "wrong"}).status_code == 200
        assert code_of(bot.get("messages/", api_key="wrong")) == (403, 2)
        assert bot.get("messages/", api_key="").status_code == 200

    def test_refused(self, bot: Wire, client: Client) -> None:
        response = client.get("/api/v1/messages/")
        assert code_of(response) == (403, 2)
        assert "WWW-Authenticate" not in response
        ApiClient.objects.update(enabled=False)
        assert code_of(bot.get("messages/")) == (403, 2)

    def test_trusted(self, bot: Wire, site: Wire) -> None:
        assert code_of(bot.get("stats/")) == (403, 2)
        assert site.get("stats/").status_code == 200

    def test_root(self, client: Client, settings: Any) -> None:
        body: dict[str, Any] = {"description": "new", "frontend_type": "bot"}
        settings.ROOT_TOKENS = ["s3cret"]
        for given in ("", "Bearer wrong", "Basic s3cret", "Bearer", "Bearer ä"):
            headers = {"Authorization": given} if given else {}
            response = client.post("/api/v1/admin/api_client", body, "application/json", headers=headers)
            assert code_of(response) == (403, 3)
        assert not ApiClient.objects.exists()
        response = client.post(
            "/api/v1/admin/api_client", body, "application/json", headers={"Authorization": "Bearer s3cret"}
        )
        assert response.status_code == 200
        assert client.get("/api/v1/messages/", headers={"X-API-Key": response.json()}).status_code == 200
        assert ApiClient.objects.get().trusted is False

    def test_not_from_pages_of_other_sites(self, site: Wire) -> None:
        for place, allowed in (("cross-site", False), ("same-site", False), ("same-origin", True), ("none", True)):
            response = site.http.get("/api/v1/stats/", headers={"Sec-Fetch-Site": place})
            assert (response.status_code == 200) is allowed
            assert allowed or code_of(response) == (403, 2)

    def test_before_or_after_the_input(self, client: Client) -> None:
        assert code_of(client.get("/api/v1/messages/not-a-uuid")) == (403, 2)
        response = client.post("/api/v1/tasks/not-a-uuid/ack", {"message_id": "1"}, content_type="application/json")
        assert problems(response) == {("path", "task_id", "type_error.uuid")}
        response = client.post("/api/v1/tasks/", "{", content_type="application/json")
        assert problems(response) == {("body", 1, "value_error.jsondecode")}


class TestBodies:
    def test_without_a_content_type_it_is_json(self, site: Wire) -> None:
        response = site.http.generic("POST", "/api/v1/tasks/", b'{"user": null}', content_type="")
        assert code_of(response) == (400, 4000)

    def test_forms_are_no_objects(self, site: Wire) -> None:
        response = site.http.post("/api/v1/tasks/", {"type": "random"})
        assert problems(response) == {("body", "type_error.dict")}

    @pytest.mark.parametrize(
        ("body", "problem"),
        [
            ("", ("body", "value_error.missing")),
            ("7", ("body", "type_error.dict")),
            ("true", ("body", "type_error.dict")),
            ('"type"', ("body", "type_error.dict")),
            ('["type"]', ("body", "type_error.dict")),
            ('[["type", "random", 1]]', ("body", "type_error.dict")),
            ("[[1, 2]]", ("body", "type_error.dict")),
            ("[[[], 2]]", ("body", "type_error.dict")),
            ("null", ("body", "value_error.missing")),
            ('{"user": 7}', ("body", "user", "type_error.dict")),
            ("{nonsense", ("body", 1, "value_error.jsondecode")),
            ("[" * 100_000, ("body", 0, "value_error.jsondecode")),
            ('{"lang": 1' + "0" * 5000 + "}", ("body", 0, "value_error.jsondecode")),
            ('{"collective": null}', ("body", "collective", "type_error.none.not_allowed")),
            ('{"type": "nothing"}', ("body", "type", "type_error.enum")),
            (
                '{"user": {"id": "a", "display_name": "A", "auth_method": "x"}}',
                ("body", "user", "auth_method", "type_error.enum"),
            ),
            ('{"user": {"id": "a", "auth_method": "local"}}', ("body", "user", "display_name", "value_error.missing")),
            (
                '{"user": {"id": "a\\u0000", "display_name": "A", "auth_method": "local"}}',
                ("body", "user", "id", "value_error"),
            ),
            (
                '{"user": {"id": "\\ud800", "display_name": "A", "auth_method": "local"}}',
                ("body", "user", "id", "value_error"),
            ),
            ('{"lang": "not a tag"}', ("body", "lang", "value_error.language")),
        ],
    )
    def test_bad_ones(self, site: Wire, body: str, problem: tuple[Any, ...]) -> None:
        response = site.http.post("/api/v1/tasks/", body, content_type="application/json")
        assert problems(response) == {problem}
        refusal = response.json()
        assert refusal["error_code"] == 0 and refusal["message"]
        assert not User.objects.exists()

    @pytest.mark.parametrize("body", ['""', "[]", " [ ] ", "{}", '[["lang", "de"], ["user", null]]', '["ab"]'])
    def test_what_stands_for_an_object(self, site: Wire, body: str) -> None:
        """An empty string, an empty list and a list of pairs, which libraries send for a body without members."""
        response = site.http.post("/api/v1/tasks/", body, content_type="application/json")
        assert code_of(response) == (400, 4000)

    def test_in_every_operation(self) -> None:
        """In both APIs."""
        for operation in (*OPERATIONS, *CHAT):
            if operation.body:
                empty, text, items = (outcome(operation.body(), given) for given in ({}, "", []))
                assert empty == text == items, operation.path

    def test_inside_an_object_too(self, site: Wire) -> None:
        for nothing in ("", []):
            response = site.post("tasks/", {"user": nothing})
            assert problems(response) == {
                ("body", "user", name, "value_error.missing") for name in ("id", "display_name", "auth_method")
            }
        pairs = [["id", "ada"], ["display_name", "Ada"], ["auth_method", "local"]]
        assert site.post("tasks/", [["type", "initial_prompt"], ["user", pairs]]).status_code == 200
        assert site.get("frontend_users/local/ada").json()["display_name"] == "Ada"

    def test_too_large(self, site: Wire) -> None:
        response = site.http.post("/api/v1/tasks/", "x" * 3_000_000, content_type="application/json")
        assert code_of(response) == (413, 0)
        assert response.json() == {
            "detail": "Request Entity Too Large",
            "error_code": 0,
            "message": "The body is too large.",
        }

    def test_all_problems_at_once(self, site: Wire) -> None:
        response = site.get(f"messages/{uuid4()}/tree", include_spam="perhaps", include_deleted="2")
        assert problems(response) == {
            ("query", "include_spam", "type_error.bool"),
            ("query", "include_deleted", "type_error.bool"),
        }

    def test_lenient_values(self, site: Wire) -> None:
        ada = {"id": 4711, "display_name": 1, "auth_method": "local", "more": [1]}
        response = site.post("tasks/", {"type": "initial_prompt", "user": ada, "collective": "No", "extra": 1})
        task = response.json()
        assert site.post(f"tasks/{task['id'].upper()}/ack", {"message_id": 12345}).status_code == 204
        response = site.interact(
            ada, "text_reply_to_message", message_id=12345, user_message_id=6, text="  How?  ", task_id="ignored"
        )
        assert response.status_code == 200
        assert site.get("frontend_messages/6").json()["text"] == "  How?"

    @pytest.mark.parametrize("spelling", ["{}", "urn:uuid:{}", "{{{}}}"])
    def test_spellings_of_ids(self, site: Wire, alice: User, spelling: str) -> None:
        prompt = new_prompt(alice)
        path = spelling.format(prompt.pk.hex.upper())
        assert site.get(f"messages/{path}").json()["id"] == str(prompt.pk)

    @pytest.mark.parametrize("yes", ["true", "1", "YES", "on", "t", "Y"])
    def test_spellings_of_yes(self, site: Wire, alice: User, yes: str) -> None:
        new_prompt(alice)
        Message.objects.update(deleted=True)
        assert len(site.get("messages/", allow_deleted=yes).json()) == 1

    @pytest.mark.parametrize(
        ("given", "found"),
        [("2024-01-02T03:04:05", 1), ("1704164645", 1), ("1704164645000", 1), ("2024-01-02T03:04:05+01:00", 1)],
    )
    def test_dates(self, site: Wire, alice: User, given: str, found: int) -> None:
        new_prompt(alice)
        assert len(site.get("messages/", start_date=given).json()) == found
        assert site.get("messages/", end_date=given).json() == []

    @pytest.mark.parametrize("given", ["2024-01-02", "yesterday", "", "9" * 40, "nan", "0001-01-01T00:00:00+23:00"])
    def test_no_dates(self, site: Wire, given: str) -> None:
        assert problems(site.get("messages/", start_date=given)) == {("query", "start_date", "value_error.datetime")}


class TestForms:
    def test_dates_nulls_and_letters(self, site: Wire, alice: User) -> None:
        new_prompt(alice, "Wie heißt 東京?")
        Message.objects.update(created_at=datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC))
        response = site.get("messages/")
        assert response["Content-Type"] == "application/json"
        text = response.content.decode()
        assert '"created_date":"2024-01-02T03:04:05+00:00"' in text
        assert "Wie heißt 東京?" in text and '"user":null' in text
        Message.objects.update(created_at=datetime(2024, 1, 2, 3, 4, 5, 600_000, tzinfo=UTC))
        date = site.get("messages/").json()[0]["created_date"]
        assert date == "2024-01-02T03:04:05.600000+00:00" and DATE.fullmatch(date)

    def test_null_bodies(self, site: Wire, alice: User) -> None:
        prompt = new_prompt(alice)
        response = site.post(f"messages/{prompt.pk}/edit", {"user": person("Mo"), "new_content": "Better?"})
        assert (response.status_code, response.content) == (200, b"null")
        response = site.put(f"messages/{prompt.pk}/undelete")
        assert (response.status_code, response.content) == (202, b"null")

    def test_a_bug_tells_nothing(self, site: Wire, monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
        def crash(*args: Any) -> None:
            raise RuntimeError("a bug")

        monkeypatch.setattr("trees.api.reading.get_message", crash)
        settings.DEBUG = True
        http = Client(headers={"X-API-Key": site.key}, raise_request_exception=False)
        response = http.get(f"/api/v1/messages/{uuid4()}")
        assert (response.status_code, response.json()) == (500, {"message": "INTERNAL_SERVER_ERROR", "error_code": 0})


class TestHeaderUser:
    def test_where_it_counts(self, site: Wire) -> None:
        ada = person("Ada")
        prompt = site.write(ada, "How do I bake bread?", "m1")
        path = f"messages/{prompt.pk}"
        assert site.get(path).json()["user_is_author"] is None
        assert site.get(path, user="local:ada").json()["user_is_author"] is True
        assert site.get(path, oasst_user="local:ada", user="local:nobody").json()["user_is_author"] is True
        assert code_of(site.get(path, user="local:nobody")) == (404, 4002)
        for absent in ("ada", "local:", ":ada", ":"):
            assert site.get(path, user=absent).json()["user_is_author"] is None

    def test_names_may_hold_colons(self, site: Wire) -> None:
        prompt = site.write({"id": "a:b", "display_name": "A", "auth_method": "local"}, "How?", "m1")
        assert site.get(f"messages/{prompt.pk}", user="local:a:b").json()["user_is_author"] is True

    def test_others_ignore_it_and_nobody_is_made_by_it(self, site: Wire) -> None:
        assert site.post("frontend_users/", person("Ada"), user="local:ada").status_code == 200
        assert site.get("users/cursor", user="local:nobody").status_code == 200
        assert code_of(site.get("messages/", user="local:nobody")) == (404, 4002)
        assert User.objects.count() == 1


class TestCursors:
    @pytest.fixture
    def prompts(self, site: Wire, alice: User) -> list[str]:
        start = datetime(2024, 1, 1, 12, tzinfo=UTC)
        found = [new_prompt(alice) for _ in range(5)]
        for place, prompt in enumerate(found):  # two of them with the same timestamp
            at = start + timedelta(seconds=max(place, 1), microseconds=250_000)
            Message.objects.filter(pk=prompt.pk).update(created_at=at)
        return [str(prompt.pk) for prompt in found]

    def page(self, site: Wire, **query: Any) -> tuple[list[str], str | None, str | None]:
        body = site.get("messages/cursor", **query).json()
        assert body["sort_key"] == "created_date"
        assert body["order"] == ("desc" if query.get("desc") else "asc")
        return [item["id"] for item in body["items"]], body["prev"], body["next"]

    @pytest.mark.parametrize("desc", [False, True])
    def test_there_and_back(self, site: Wire, prompts: list[str], desc: bool) -> None:
        wanted = prompts[::-1] if desc else prompts
        first, prev, next = self.page(site, max_count=2, desc=desc)
        assert (first, prev) == (wanted[:2], None)
        second, prev, next = self.page(site, max_count=2, after=next, desc=desc)
        assert second == wanted[2:4] and prev is not None
        third, third_prev, last = self.page(site, max_count=2, after=next, desc=desc)
        assert (third, last) == (wanted[4:], None)
        back, back_prev, back_next = self.page(site, max_count=2, before=third_prev, desc=desc)
        assert back == second and back_prev == prev and back_next == next
        begin, begin_prev, _ = self.page(site, max_count=2, before=back_prev, desc=desc)
        assert (begin, begin_prev) == (first, None)

    def test_the_form_of_a_cursor(self, site: Wire, prompts: list[str]) -> None:
        _, _, next = self.page(site, max_count=1)
        assert next == f"{prompts[0]}$2024-01-01T12:00:01.250000+00:00"

    def test_a_bare_date_is_inclusive(self, site: Wire, prompts: list[str]) -> None:
        found, _, _ = self.page(site, after="2024-01-01T12:00:01.250000+00:00")
        assert found == prompts
        found, _, _ = self.page(site, before="2024-01-01T12:00:01.250000Z")
        assert found == prompts[:2]

    def test_empty_cursors(self, site: Wire, prompts: list[str]) -> None:
        assert self.page(site, max_count=2, after="") == self.page(site, max_count=2)
        found, prev, next = self.page(site, max_count=2, before="")
        assert found == prompts[3:] and prev is not None and next is not None
        assert self.page(site, after=next) == ([], next.partition("$")[2], None)

    def test_between_two(self, site: Wire, prompts: list[str]) -> None:
        low = "2024-01-01T12:00:01.250000+00:00"
        high = "2024-01-01T12:00:04.250000+00:00"
        found, prev, next = self.page(site, after=f"{prompts[1]}${low}", before=f"{prompts[4]}${high}", max_count=1)
        assert found == prompts[2:3]
        assert prev == next and prev is not None
        assert self.page(site, after=high + "x"[:0], before=low)[0] == []

    def test_empty_pages_echo(self, site: Wire, prompts: list[str]) -> None:
        late, early = "2030-01-01T00:00:00+00:00", "2020-01-01T00:00:00+00:00"
        assert self.page(site, after=f"{uuid4()}${late}") == ([], late, None)
        assert self.page(site, before=early) == ([], None, early)
        assert self.page(site, after=late, before=early) == ([], late, early)
        Message.objects.update(deleted=True)
        assert self.page(site) == ([], None, None)

    @pytest.mark.parametrize("cursor", ["nonsense", "$", "x$y", "2024-01-01", "2024-01-01T00:00:00 00:00"])
    def test_bad_ones(self, site: Wire, cursor: str) -> None:
        assert code_of(site.get("messages/cursor", after=cursor)) == (400, 101)
        assert code_of(site.get("messages/cursor", before=cursor)) == (400, 101)

    def test_a_plus_that_was_not_escaped(self, site: Wire) -> None:
        response = site.http.get("/api/v1/messages/cursor?after=2024-01-01T00:00:00+00:00")
        assert code_of(response) == (400, 101)

    def test_limits(self, site: Wire) -> None:
        assert problems(site.get("messages/cursor", max_count=0)) == {
            ("query", "max_count", "value_error.number.not_gt")
        }
        assert problems(site.get("messages/cursor", max_count=1001)) == {
            ("query", "max_count", "value_error.number.not_le")
        }
        assert problems(site.get("messages/", max_count="many")) == {("query", "max_count", "type_error.integer")}


def test_answers_are_compact_json(site: Wire) -> None:
    text = site.get("stats/").content.decode()
    assert text == json.dumps(json.loads(text), separators=(",", ":"))
