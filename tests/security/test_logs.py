"""No secret in any log line, whether by our code, Django, libraries or a crash. Real configuration, real lines."""

import json
import logging
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import structlog
from django.conf import settings as site
from django.core.exceptions import DisallowedHost
from django.db import DatabaseError, IntegrityError, connection
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django.urls import path

from oasst.accounts.models import User
from oasst.core import logs, redaction
from oasst.embedded import directories, postgres, processes
from oasst.embedded import redis as redis_service
from oasst.site.management.commands import up
from tests.embedded.homes import ROOT
from tests.security.pages import addresses

S = "s3cr3tV4lue"
"""Every secret of these tests begins with it, so that one search finds all."""


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    logging.captureWarnings(False)
    structlog.contextvars.clear_contextvars()
    redaction.register_secrets(())


Written = Callable[[], str]
Start = Callable[[], Written]


@pytest.fixture(params=["json", "human"])
def start(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> Start:
    """Start the log of a test in one of its two formats, with everything on. Returns a function for its lines."""

    def start_logging() -> Written:
        logs.configure({"level": "DEBUG", "style": request.param})
        return lambda: capsys.readouterr().err

    return start_logging


class TestText:
    @pytest.mark.parametrize(
        "text",
        [
            f"GET /api/v1/stats/?api_key={S}",
            f"GET /x/?a=1&api_key={S}&b=2 HTTP/1.1",
            f"/accounts/discord/login/callback/?code={S}&state={S}",
            f"/accounts/login/?next=%2Faccounts%2Fconfirm-email%2F{S}%2F",
            f"/accounts/login/?next=%2Fx%3Fcode%3D{S}",
            f"Forbidden (CSRF cookie not set.): /accounts/confirm-email/{S}:a-b/",
            f"Not Found: /accounts/confirm-email//{S}/more/",
            f"Gone: /accounts/password/reset/key/1-{S}/",
            f"Not Found: /accounts/password/reset/1-{S}/",
            f"Not Found: /accounts/reset/{S}",
            f"/accounts/login/?next=%2Faccounts%2Freset%2F{S}",
            f"Not Found: /accounts/link/{S}",
            f"Not Found: /accounts/confirm-email/\n{S}/",
            f"Not Found: /accounts%252Flink%252F{S}",
            f"Resolver404({{'tried': [], 'path': 'confirm-email/{S}/'}})",
            f"Resolver404({{'tried': [], 'path': 'link/{S}/'}})",
            f"Authorization: Bearer {S}",
            f"authorization: Token {S}",
            f"{{'Authorization': 'Basic {S}=='}}",
            f"[(b'authorization', b'Bearer {S}'), (b'x-api-key', b'{S}'), (b'cookie', b'sessionid={S}; a={S}')]",
            f"X-API-Key: {S}",
            f"{{'HTTP_X_API_KEY': '{S}', 'HTTP_COOKIE': 'csrftoken={S}; sessionid={S}'}}",
            f"Set-Cookie: sessionid={S}; HttpOnly; Path=/",
            f"<QueryDict: {{'csrfmiddlewaretoken': ['{S}'], 'password': ['{S} with blanks'], 'code': ['{S}']}}>",
            f"password={S}&login=a",
            f'{{"password": "{S}\\" {S}", "token": "{S}"}}',
            json.dumps({"body": json.dumps({"client_secret": S, "new_password1": S})}),
            f"could not connect: postgresql://oasst:{S}@db.example.org:5432/oasst",
            f"redis://:{S}@10.0.0.1/0 refused",
            f"smtps://robot%40example.org:{S}@mail.example.org",
            f"host=db user=oasst password={S} dbname=oasst",
            f"host=db password='{S} {S}'",
            f"DETAIL:  Key (email, name)=({S}@example.org, {S}) already exists.",
            f"DETAIL:  Key (name)=({'x' * 6000}{S}) already exists.",
            f"DETAIL:  Failing row contains (1, {S}, {S}).",
            f"mail to {S}@example.org failed",
            f"550 5.1.1 <{S}.{S}@example.org>: Recipient address rejected",
            f"session={S}",
            f"api-key: {S}, secret_key = {S}",
        ],
    )
    def test_secrets_are_hidden(self, text: str) -> None:
        found = redaction.redact(text)
        assert S not in found and redaction.HIDDEN in found, found

    @pytest.mark.parametrize(
        "text",
        [
            *(
                "request",
                "links/7 and a link/8",
                "/messages/018f6b1e-0000-7000-8000-000000000001/",
                "exit code: 1",
                "status_code=503",
            ),
            *("max_tokens=5", "tree 7: state growing", "12 tokens a second", "GET /accounts/confirm-email/ 200"),
            *("The session is over.", "No such key.", "KeyError: 'lang'", "secret", "https://example.org/a@b"),
            *('File "/srv/oasst/api/keys.py", line 12, in find_token', "Listening on http://127.0.0.1:8000"),
        ],
    )
    def test_the_rest_stays(self, text: str) -> None:
        assert redaction.redact(text) == text

    def test_secrets_of_this_site_anywhere(self) -> None:
        redaction.register_secrets([S, "1234", ""])
        assert redaction.redact(f"tried {S}, 12345 times") == "tried …, 12345 times"

    def test_the_keys_of_before_as_well(self, settings: Any) -> None:
        settings.SECRET_KEY_FALLBACKS = [f"{S}-of-before"]
        assert f"{S}-of-before" in logs._secrets_of_this_site()

    def test_long_texts_take_no_time(self) -> None:
        """A size that would take minutes if the time grew quadratically."""
        for part in (
            "a",
            "a.",
            "a-",
            "key",
            "Key (",
            "://",
            "a@",
            "'code': ",
            "\\'",
            "password",
            "%2F",
            "/Key ()=(",
            "reset/",
        ):
            redaction.redact("token " + part * (400_000 // len(part)))

    @pytest.mark.parametrize("part", ["/Key ()=(", "Key (a)=(b "])
    def test_the_rest_is_looked_through_once(self, part: str) -> None:
        """Each match takes the rest of its line, so that no other match scans the same rest again."""
        assert redaction.redact("Not Found: " + part * 1550).count("Key (") == 1

    def test_an_address_of_colons_is_looked_through_once(self) -> None:
        redaction.redact("a://" + ":" * 400_000)


def test_every_mailed_link_is_known() -> None:
    """A new page whose URL has a key: add it to oasst.core.redaction."""
    secret = [one for one in addresses() if {"key", "token", "code"} & set(one.parameters)]
    assert len(secret) >= 2
    for one in secret:
        assert S not in redaction.redact(f"Not Found: {one.filled(dict.fromkeys(one.parameters, S))}"), one


# A path, a header or a name may contain control characters: they fill the clipboard of a terminal, clear the screen,
# move the cursor, reverse text, or end a line and begin another one.
COMMANDS = "\x1b]52;c;ZXZpbA==\x07\x1b[2J\x9b2J\r\x08\x7f\u202e\u2066\u200b\u2028\ud800"
FORGED = "2026-01-01T00:00:00Z [info     ] signed in"


def harmless(text: str) -> bool:
    return all(character == "\n" or character.isprintable() for character in text)


class TestTerminals:
    """A client that requests a page cannot control terminals by it or write log lines of its own."""

    def test_lines(self, start: Start) -> None:
        written = start()
        words = f"{COMMANDS}\n{FORGED}"
        log = structlog.get_logger("ours")
        log.warning(
            f"asked {words}",
            path=words,
            nested={words: [words, words.encode(errors="replace")]},
            given=ValueError(words),
        )
        logging.getLogger("library").error("Not Found: %s", words, extra={"agent": words})
        try:
            raise RuntimeError(words)
        except RuntimeError:
            logging.getLogger("django.request").exception("Internal Server Error: %s", words)
            log.exception("crashed")
        text = written()
        assert harmless(text), ascii(text)
        assert "\\x1b]52" in text and "\\u202e" in text and "RuntimeError" in text
        assert not any(line.startswith(FORGED) for line in text.splitlines())

    def test_a_secret_that_stands_behind_one_is_hidden_all_the_same(self, start: Start) -> None:
        written = start()
        logging.getLogger("library").error("\x1bpassword=%s \ntoken=%s", S, S)
        assert S not in written()

    def test_what_people_write_stays_readable(self) -> None:
        for text in ("grüße, 世界 مرحبا 🙂", "a\\b", "", "https://example.org/?a=ü"):
            assert redaction.escape(text) == text

    def test_a_page_that_is_asked_for(self, start: Start, client: Client) -> None:
        written = start()
        client.get("/%1b%5d52;c;ZXZpbA==%07%1b%5b2J%c2%9b2J%e2%80%ae%0a2026")
        text = written()
        assert harmless(text) and "\\x1b]52" in text, ascii(text)

    def test_what_a_part_of_up_writes_past_the_log(self, capsys: pytest.CaptureFixture[str]) -> None:
        up.Command()._show("worker", f"segfault at {COMMANDS}")
        assert harmless(capsys.readouterr().out)

    def test_the_end_of_a_servers_log_in_an_error_message(self, tmp_path: Path) -> None:
        (tmp_path / "log").write_bytes(f"invalid input syntax: {COMMANDS}".encode(errors="replace") + b"\n\x9b2J")
        assert harmless(processes.tail(tmp_path / "log"))


class TestLines:
    def test_our_own(self, start: Start) -> None:
        written = start()
        log = structlog.get_logger("ours")
        log.info(
            "tried", url=f"https://example.org/?token={S}", password=S, nested={"api_key": S, "to": [f"{S}@a.org"]}
        )
        log.warning(
            "refused",
            code="busy",
            state="growing",
            key="lang",
            headers=[("Cookie", f"a={S}")],
            raw=f"token={S}".encode(),
        )
        text = written()
        assert S not in text
        assert "busy" in text and "growing" in text and "lang" in text, "our own words are no secrets"

    def test_libraries(self, start: Start) -> None:
        written = start()
        request = RequestFactory().get("/accounts/login/", {"code": S, "next": "/"})
        for name in (
            "django.request",
            "django.security.DisallowedHost",
            "celery.worker",
            "daphne.server",
            "twisted",
            "x",
        ):
            library = logging.getLogger(name)
            library.error("%s: %s", "Not Found", f"/accounts/confirm-email/{S}", extra={"request": request})
            library.warning("args %r", {"kwargs": {"token": S}, "url": f"redis://:{S}@localhost"})
        warnings.warn(f"no such mailbox {S}@example.org", stacklevel=1)
        text = written()
        assert S not in text and "Not Found" in text and "no such mailbox" in text

    def test_crashes(self, start: Start) -> None:
        """Secrets in variables are not shown, and those in messages are removed, also in causes and notes."""
        written = start()
        password = S
        try:
            try:
                raise ConnectionError(f"postgresql://oasst:{password}@db/oasst is away")
            except ConnectionError as cause:
                cause.add_note(f"Authorization: Bearer {S}")
                raise DatabaseError(f"password={S}") from cause
        except DatabaseError:
            logging.getLogger("django.request").exception("Internal Server Error: /?code=%s", S)
            structlog.get_logger("ours").exception("crashed", key=S[:0])
        text = written()
        assert S not in text
        assert text.count("ConnectionError") >= 2 and text.count("DatabaseError") >= 2

    def test_lines_that_cannot_be_written(self, capfd: pytest.CaptureFixture[str]) -> None:
        logs.configure({"level": "DEBUG", "style": "json"})
        logging.getLogger("library").error("%d", S, extra={"password": S})
        found = capfd.readouterr()
        assert S not in found.out + found.err and "could not be logged" in found.err

    @pytest.mark.django_db(transaction=True)
    def test_refused_rows(self, start: Start) -> None:
        written = start()
        try:
            with connection.cursor() as cursor:
                cursor.execute("CREATE TEMP TABLE held (email text UNIQUE)")
                cursor.execute("INSERT INTO held VALUES (%s), (%s)", [S, S])
        except IntegrityError:
            structlog.get_logger("ours").exception("refused")
        text = written()
        assert S not in text and "already exists" in text

    @pytest.mark.django_db(transaction=True)
    def test_the_embedded_servers(self, redis_server: redis.Redis) -> None:
        """What they log besides our log: that something failed, but not with which values."""
        place = directories.prepare_directories(site.OASST_HOME)
        files = [postgres.log(place), redis_service.log(place)]
        before = [file.stat().st_size for file in files]
        with connection.cursor() as cursor:
            cursor.execute(
                "CREATE TEMP TABLE people (email text UNIQUE, password text NOT NULL, age int CHECK (age > 0))"
            )
            for statement in (
                f"INSERT INTO people VALUES ('{S}', '{S}', 1), ('{S}', '{S}', 2)",
                f"INSERT INTO people VALUES ('{S}', NULL, 1)",
                f"INSERT INTO people VALUES ('{S}', '{S}', 0)",
                f"SELECT 1 / 0 FROM (SELECT '{S}') AS one",
                f"UPDATE people SET password = '{S}' nonsense",
                f"DO $$ BEGIN PERFORM 1 / 0; EXCEPTION WHEN OTHERS THEN PERFORM '{S}'::text, no_such(); END $$",
            ):
                with pytest.raises(DatabaseError):
                    cursor.execute(statement)
        for command in (("NONSENSE", S), ("EVAL", f"return redis.call('NONSENSE', '{S}')", "0"), ("AUTH", S, S)):
            with pytest.raises(redis.RedisError):
                redis_server.execute_command(*command)
        texts = [file.read_bytes()[start:].decode() for file, start in zip(files, before, strict=True)]
        assert S not in "".join(texts), [line for text in texts for line in text.splitlines() if S in line][:5]
        assert "duplicate key value" in texts[0] and "violates not-null" in texts[0]

    def test_last_words_of_a_process(self) -> None:
        code = (
            "import threading; from oasst.core import logs; from django.conf import settings\n"
            "settings.configure(DATABASES={}, SECRET_KEY='a'); logs.configure({'level': 'INFO', 'style': 'json'})\n"
            f"def crash(): raise RuntimeError('redis://:{S}@localhost \\x1b[2J')\n"
            "one = threading.Thread(target=crash); one.start(); one.join(); crash()"
        )
        ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
        assert ended.returncode == 1 and S not in ended.stdout + ended.stderr
        assert ended.stderr.count("RuntimeError") >= 2, ended.stderr
        assert harmless(ended.stderr), ascii(ended.stderr)


def crash(request: HttpRequest) -> HttpResponse:
    key = request.GET["key"]
    raise RuntimeError(f"token={key} for {request!r}")


def suspicious(request: HttpRequest) -> HttpResponse:
    raise DisallowedHost(f"Invalid HTTP_HOST header: 'http://u:{S}@evil.example/?key={S}'")


class WithCrashes:
    """The URL table of the site and two pages that fail."""

    from oasst import urls

    urlpatterns = [path("crash/", crash), path("suspicious/", suspicious), *urls.urlpatterns]
    handler400, handler403, handler404, handler500 = urls.handler400, urls.handler403, urls.handler404, urls.handler500


@pytest.mark.django_db(transaction=True)
def test_every_door_of_the_site(start: Start, settings: Any, alice: User) -> None:
    written = start()
    settings.ROOT_URLCONF = WithCrashes
    settings.SENDS_MAIL = True
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    browser = Client(raise_request_exception=False, enforce_csrf_checks=True)
    open_browser = Client(raise_request_exception=False)
    headers = {"X-API-Key": S, "Authorization": f"Bearer {S}", "Cookie": f"sessionid={S}; csrftoken={S}"}
    for url in ("/api/v1/stats/", "/api/v1/nothing", "/inference/chats", "/v1/models", "/metrics", "/dashboard/"):
        for client in (browser, open_browser):
            client.get(url, {"api_key": S, "code": S}, headers=headers)
            client.post(url, {"password": S, "code": S}, headers={"X-API-Key": S})
    for url in (
        *(f"/accounts/confirm-email/{S}/", f"/accounts/confirm-email/{S}", f"/accounts/confirm-email/{S}//"),
        *(f"/accounts/password/reset/key/1-{S}/", f"/accounts/password/reset/key/1-{S}", f"/accounts/link/{S}/"),
        *(f"//accounts/confirm-email/{S}/", f"/accounts/login/?next=/accounts/confirm-email/{S}/", f"/%00?key={S}"),
        *(f"/crash/?key={S}", f"/suspicious/?key={S}", f"/accounts/discord/login/callback/?code={S}&state={S}"),
    ):
        browser.get(url)
        browser.get(url, headers={"Host": f"evil.example?key={S}"})
        browser.post(url, {"key": S})
        open_browser.post(url, {"key": S})
    for url in (
        "/accounts/login/",
        "/accounts/login/code/confirm/",
        "/accounts/reauthenticate/",
        "/accounts/password/reset/",
    ):
        for client in (browser, open_browser):
            client.post(url, {"login": f"{S}@example.org", "email": f"{S}@example.org", "password": S, "code": S})
    text = written()
    assert S not in text, [line for line in text.splitlines() if S in line][:5]
    assert "RuntimeError" in text and "DisallowedHost" in text and "Forbidden" in text and "/metrics" in text
    assert site.ROOT_URLCONF is WithCrashes
