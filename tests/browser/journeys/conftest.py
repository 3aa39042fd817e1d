"""Journeys: what a person does from beginning to end, at three widths, with and without script.

They run against the web server of a site, in a process of its own, and only when asked for: `scripts/bench journeys`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from django.conf import settings as django_settings
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, Page, expect

from oasst.accounts.models import User
from oasst.embedded.sockets import listen
from tests.browser.journeys import settings as site_settings
from tests.browser.journeys.mail_catcher import MailCatcher
from tests.crash.processes import START_SECONDS, Process, wait_until
from tests.factories import new_person

HEIGHTS = {390: 844, 800: 1000, 1440: 900}


@dataclass(frozen=True)
class Device:
    width: int
    script: bool

    def __str__(self) -> str:
        return f"{self.width}-{'script' if self.script else 'plain'}"

    @property
    def viewport(self) -> dict[str, int]:
        return {"width": self.width, "height": HEIGHTS[self.width]}


DEVICES = [Device(width, script) for width in HEIGHTS for script in (True, False)]
with_script = pytest.mark.parametrize("device", [one for one in DEVICES if one.script], indirect=True, ids=str)
"""For journeys that are about what a script does."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    is_chosen = any(mark.args[0] == "device" for mark in metafunc.definition.iter_markers("parametrize"))
    if "device" in metafunc.fixturenames and not is_chosen:
        metafunc.parametrize("device", DEVICES, indirect=True, ids=str)


@pytest.fixture
def device(request: pytest.FixtureRequest) -> Device:
    found: Device = request.param
    return found


class WebSite:
    """The web server on a port of its own. While it is dead the port refuses connections."""

    def __init__(self, folder: Path, mail_url: str) -> None:
        self.log = folder / "web.log"
        self.variables = {"DJANGO_SETTINGS_MODULE": "tests.browser.journeys.settings", "EMAIL_URL": mail_url}
        self.port = 0
        self.start()

    def start(self) -> None:
        listener = listen("127.0.0.1", self.port)
        self.port = listener.getsockname()[1]
        self.url = f"http://localhost:{self.port}"
        argv = ["manage.py", "serve", "--skip-checks", "--fd", str(listener.fileno())]
        public = {"PUBLIC_URL": self.url}
        self.process = Process(argv, self.log, inherit=[listener.fileno()], variables={**self.variables, **public})
        listener.close()
        wait_until(self._answers, START_SECONDS, lambda: f"the site does not answer:\n{self.process.said()}")

    def _answers(self) -> bool:
        try:
            with urlopen(f"{self.url}/healthz", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def kill(self) -> None:
        self.process.kill()


@pytest.fixture(scope="session")
def mails() -> Iterator[MailCatcher]:
    with MailCatcher() as catcher:
        yield catcher


@pytest.fixture(scope="session")
def _site(django_db_setup: None, mails: MailCatcher, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebSite]:
    started = WebSite(tmp_path_factory.mktemp("site"), mails.url)
    yield started
    started.kill()


@pytest.fixture
def site(transactional_db: None, _site: WebSite, settings: Any) -> WebSite:
    """One server for all journeys, as sites run it; the database is emptied after each."""
    settings.TREE_POLICY = site_settings.TREE_POLICY  # what the test itself does follows the same rules
    settings.RATE_LIMITS = False
    return _site


OpenPage = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser, site: WebSite, device: Device) -> Iterator[OpenPage]:
    """open_page(alice): a page in a new browser profile in which she is signed in. Errors of scripts fail the test."""
    contexts: list[BrowserContext] = []
    errors: list[str] = []

    def new(person: User | None = None) -> Page:
        context = browser.new_context(
            base_url=site.url,
            java_script_enabled=device.script,
            viewport=device.viewport,  # type: ignore[arg-type]
            permissions=["clipboard-read", "clipboard-write"],
        )
        context.set_default_timeout(30_000)
        contexts.append(context)
        if person:
            sign_in(context, person, site.url)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(f"{page.url}: {error}"))
        page.on("console", lambda line: errors.append(line.text) if "Content Security Policy" in line.text else None)
        return page

    yield new
    for context in contexts:
        context.close()
    assert not errors


def sign_in(context: BrowserContext, person: User, url: str) -> None:
    """Give the browser a session, as signing in does."""
    client = Client()
    client.force_login(person)
    name = django_settings.SESSION_COOKIE_NAME
    context.add_cookies([{"name": name, "value": client.cookies[name].value, "url": url}])
    context.clear_cookies(name="csrftoken")  # signing in changes it


@pytest.fixture
def alice(site: WebSite) -> User:
    """A contributor with a language; her account is complete."""
    person = new_person("Alice")
    person.contribution_languages = ["en"]
    person.save(update_fields=["contribution_languages"])
    return person


def check_page(page: Page) -> None:
    """What holds for every page: nothing beside it, and one heading that names it."""
    expect(page.get_by_role("heading", level=1)).to_have_count(1)
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0, f"{page.url} is {wide} px too wide"
