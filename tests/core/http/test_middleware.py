"""The middleware: request id, log line, error pages."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.test import AsyncClient, Client

from oasst.core import metrics
from tests.core.http.urls import TROUBLES

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def client(settings: Any) -> Client:
    """A client that gets a page for a crash, like a browser."""
    settings.ROOT_URLCONF = "tests.core.http.urls"
    # The base template links to pages of the whole site; only the content matters here.
    settings.TEMPLATES = [
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "OPTIONS": {
                "loaders": [
                    (
                        "django.template.loaders.locmem.Loader",
                        {
                            **dict.fromkeys(
                                [f"errors/{status}.html" for status in (400, 403, 404, 429, 500, 503)],
                                "<html>{{ title }}|{{ message }}|{{ what_to_do.0 }}|{{ retry_after }}|{{ request_id }}",
                            ),
                            "errors/_fragment.html": "<div>{{ message }}</div>",
                        },
                    )
                ]
            },
        }
    ]
    return Client(raise_request_exception=False)


class TestErrorPages:
    @pytest.mark.parametrize(
        ("name", "status"),
        [
            ("invalid", 400),
            ("not-allowed", 403),
            ("not-found", 404),
            ("conflict", 409),
            ("gone", 410),
            ("busy", 503),
            ("limited", 429),
        ],
    )
    def test_every_kind_has_its_status_and_its_words(self, client: Client, name: str, status: int) -> None:
        response = client.get(f"/t/{name}/")
        assert response.status_code == status
        assert TROUBLES[name].message in response.text
        assert response["X-Request-ID"] in response.text
        assert response["Cache-Control"] == "no-store"

    @pytest.mark.parametrize("before", ["http://evil.example/a", "/a"])
    def test_a_foreign_host_with_a_page_before(self, client: Client, before: str) -> None:
        response = client.get("/t/busy/", headers={"host": "evil.example", "referer": before})
        assert response.status_code == 400

    def test_waiting_time(self, client: Client) -> None:
        response = client.get("/t/busy/")
        assert response["Retry-After"] == "7"
        assert "|7|" in response.text

    def test_the_message_of_a_limit_says_the_time_itself(self, client: Client) -> None:
        response = client.get("/t/limited/")
        assert response["Retry-After"] == "42"
        assert "42" not in response.text.replace(response["X-Request-ID"], "")
        assert "Retry-After" not in client.get("/t/gone/")

    def test_a_hint_stands_first(self, client: Client) -> None:
        assert "Ask the person it belongs to." in client.get("/t/not-allowed/").text

    def test_programs_get_json(self, client: Client) -> None:
        response = client.get("/t/invalid/", headers={"Accept": "application/json"})
        assert response.status_code == 400
        body = response.json()
        assert body.pop("request_id") == response["X-Request-ID"]
        assert body == {"code": "blank", "message": "The text is blank.", "field": "text", "hint": ""}
        assert client.get("/api/trouble/").json() == {
            "error_code": 0,
            "message": "This task is over.",
            "detail": "This is over",
        }

    def test_scripts_of_pages_get_a_fragment(self, client: Client) -> None:
        response = client.get("/t/gone/", headers={"HX-Request": "true"})
        assert response.status_code == 410
        assert response.text == "<div>This task is over.</div>"

    def test_a_lock_that_took_too_long_is_busy(self, client: Client) -> None:
        response = client.get("/t/locked/")
        assert response.status_code == 503
        assert response["Retry-After"] == "1"

    @pytest.mark.parametrize("path", ["/t/fine/", "/t/async/"])
    def test_waiting_in_a_middleware_too(self, client: Client, settings: Any, path: str) -> None:
        settings.MIDDLEWARE = [*settings.MIDDLEWARE, "tests.core.http.urls.no_connection_left"]
        assert client.get(path).status_code == 503
        response = async_to_sync(AsyncClient(raise_request_exception=False).get)(path)
        assert response.status_code == 503
        assert response["Retry-After"] == "5"

    def test_a_crash_is_a_page_without_details(self, client: Client) -> None:
        response = client.get("/t/crash/")
        assert response.status_code == 500
        assert "our fault" in response.text
        assert "a bug" not in response.text

    def test_a_broken_error_page_is_still_an_answer(self, client: Client, settings: Any) -> None:
        settings.TEMPLATES = [
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "OPTIONS": {"loaders": [("django.template.loaders.locmem.Loader", {})]},
            }
        ]
        response = client.get("/t/gone/")
        assert response.status_code == 410
        assert "This task is over." in response.text

    @pytest.mark.parametrize("status", [405, 409, 411, 413, 415, 418, 426, 429, 451, 500, 501, 505, 599])
    def test_a_refusal_that_came_with_a_number_alone_gets_words(self, client: Client, status: int) -> None:
        response = client.get(f"/t/bare/{status}/")
        assert response.status_code == status and response["Allow"] == "PUT"
        title, message, step = response.text.removeprefix("<html>").split("|")[:3]
        assert title and message and step

    def test_more_than_the_site_takes(self, client: Client, settings: Any) -> None:
        settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
        response = client.post("/t/reading/", {"text": "x" * 999}, content_type="application/x-www-form-urlencoded")
        assert response.status_code == 413
        assert "too much at once" in response.text and "smaller parts" in response.text

    def test_more_fields_than_the_site_takes(self, client: Client, settings: Any) -> None:
        """Django's own check, which it logs itself. Not counted, because no view refused it."""
        settings.DATA_UPLOAD_MAX_NUMBER_FIELDS = 2
        counter = metrics.domain_errors.labels(edge="page", code="bad_request")
        before = counter._value.get()
        response = client.post("/t/reading/", dict.fromkeys("abc", "x"))
        assert response.status_code == 400 and "That did not work" in response.text
        assert counter._value.get() == before

    def test_nothing_there(self, client: Client) -> None:
        assert client.get("/t/nothing/").status_code == 404
        assert client.get("/api/nothing/").json()["detail"] == "There is nothing here"

    def test_counted(self, client: Client) -> None:
        counter = metrics.domain_errors.labels(edge="page", code="gone")
        before = counter._value.get()
        client.get("/t/gone/")
        assert counter._value.get() == before + 1

    def test_async_views_too(self, client: Client) -> None:
        assert client.get("/t/async/").status_code == 410


def test_under_asgi(client: Client) -> None:
    response = async_to_sync(AsyncClient(raise_request_exception=False).get)("/t/async/")
    assert response.status_code == 410
    assert "asynchronously" in response.text
    assert response["X-Request-ID"]


class TestStandalonePages:
    """These two must work when nothing else does."""

    @pytest.mark.parametrize("name", ["crash", "busy"])
    def test_without_database_and_redis(self, name: str, settings: Any) -> None:
        """Without the database mark, so a query would fail the test."""
        settings.ROOT_URLCONF = "tests.core.http.urls"
        settings.REDIS_URL = "redis://127.0.0.1:1/0"
        client = Client(raise_request_exception=False)
        client.cookies["sessionid"] = "x" * 32
        response = client.get(f"/t/{name}/")
        assert response.status_code in (500, 503)
        assert "<html" in response.text
        assert response["X-Request-ID"] in response.text


class TestRequestLog:
    @pytest.fixture
    def lines(self, caplog: pytest.LogCaptureFixture) -> Callable[[], list[dict[str, Any]]]:
        caplog.set_level("INFO")
        return lambda: [
            record.msg
            for record in caplog.records
            if isinstance(record.msg, dict) and record.msg.get("event") == "request"
        ]

    def test_one_line(self, client: Client, lines: Lines) -> None:
        response = client.get("/t/fine/")
        (line,) = lines()
        assert (line["method"], line["path"], line["status"], line["user"]) == ("GET", "/t/fine/", 200, None)
        assert line["request_id"] == response["X-Request-ID"]
        assert line["ms"] >= 0

    def test_no_query_string(self, client: Client, lines: Lines) -> None:
        client.get("/t/fine/?api_key=very-secret")
        assert len(lines()) == 1
        assert "very-secret" not in json.dumps(lines())

    @pytest.mark.django_db
    @pytest.mark.parametrize("path", ["/accounts/confirm-email/{}/", "/accounts/password/reset/key/0-{}/"])
    def test_no_key_of_a_mailed_link(self, client: Client, lines: Lines, settings: Any, path: str) -> None:
        settings.ROOT_URLCONF = "oasst.urls"
        client.get(path.format("dif8a6-5ecret"))
        assert [line["path"] for line in lines()] == [path.format("…")]

    def test_a_number_that_came_along_is_kept(self, client: Client, lines: Lines) -> None:
        response = client.get("/t/fine/", headers={"X-Request-ID": "abc-123.DEF"})
        assert response["X-Request-ID"] == lines()[0]["request_id"] == "abc-123.DEF"

    @pytest.mark.parametrize("bad", ["short", "x" * 65, "has blanks in it", 'quo"ted-id', "new\nline-id-here"])
    def test_a_malformed_number_is_replaced(self, client: Client, bad: str) -> None:
        response = client.get("/t/fine/", headers={"X-Request-ID": bad})
        assert response["X-Request-ID"] != bad
        assert len(response["X-Request-ID"]) == 32


class TestMissingSlash:
    def test_it_works(self, client: Client) -> None:
        response = client.get("/t/fine?a=1&b=2")
        assert response.status_code == 301
        assert response["Location"] == "/t/fine/?a=1&b=2"

    @pytest.mark.parametrize("path", ["/api/thing", "/t/nowhere", "/t/both"])
    def test_left_alone(self, client: Client, path: str) -> None:
        assert client.get(path).status_code in (200, 404)

    def test_what_was_posted_is_not_lost_in_a_redirect(self, client: Client) -> None:
        assert client.post("/t/fine").status_code == 404


class TestCsrf:
    def test_the_page_says_what_to_do(self, client: Client) -> None:
        strict = Client(enforce_csrf_checks=True, raise_request_exception=False)
        response = strict.post("/t/fine/")
        assert response.status_code == 403
        assert "reload the page" in response.text and "This form was open for too long" in response.text


def test_pages_run_only_what_we_serve(client: Client) -> None:
    policy = client.get("/t/fine/")["Content-Security-Policy"]
    assert "default-src 'self'" in policy and "unsafe" not in policy
    assert client.get("/nothing/")["Content-Security-Policy"] == policy
