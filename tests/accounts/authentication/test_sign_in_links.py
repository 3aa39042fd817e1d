"""Links that sign in one user, once."""

import re
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from oasst.accounts import account_bans, closing, registration
from oasst.accounts.authentication import sign_in_links
from oasst.accounts.models import Role, Secret, Session, SignInLink, User
from oasst.core.errors import Gone
from oasst.site import merging
from tests.concurrency.together import at_once

pytestmark = pytest.mark.django_db
PAGE = "/accounts/link/"


def link_of(user: User, minutes: int = 15) -> str:
    """The path and query of the link."""
    address = urlsplit(sign_in_links.make_link(user, minutes=minutes))
    return f"{address.path}?{address.query}"


def key_in(text: str) -> str:
    found = re.search(r'name="key" value="([^"]+)"', text)
    assert found, text
    return found[1]


def use(client: Client, link: str) -> Any:
    return client.post(PAGE, {"key": link.partition("key=")[2]})


def signed_in(client: Client) -> str | None:
    return client.session.get("_auth_user_id")


class TestTheLink:
    def test_it_works(self, client: Client, alice: User) -> None:
        page = client.get(link_of(alice))
        assert page.status_code == 200
        assert str(alice) in page.text
        answer = client.post(PAGE, {"key": key_in(page.text)})
        assert (answer.status_code, answer["Location"]) == (302, "/dashboard/")
        assert signed_in(client) == str(alice.pk)

    def test_looking_uses_nothing_up(self, client: Client, alice: User) -> None:
        """Mail programs and chats fetch a link before the user does."""
        link = link_of(alice)
        for _ in range(3):
            assert client.get(link).status_code == client.head(link).status_code == 200
        assert not Session.objects.exists() and SignInLink.objects.count() == 1
        use(client, link)
        assert signed_in(client) == str(alice.pk)

    def test_it_works_once(self, client: Client, alice: User) -> None:
        link = link_of(alice)
        use(client, link)
        other = Client()
        for answer in (other.get(link), use(other, link)):
            assert answer.status_code == 410 and "used already" in answer.text
        assert signed_in(other) is None

    def test_a_newer_one_takes_its_place(self, client: Client, alice: User) -> None:
        first, second = link_of(alice), link_of(alice)
        assert use(client, first).status_code == 410
        use(client, second)
        assert signed_in(client)

    def test_it_grows_old(self, client: Client, alice: User) -> None:
        link = link_of(alice)
        SignInLink.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
        assert client.get(link).status_code == use(client, link).status_code == 410
        assert signed_in(client) is None

    def test_of_a_closed_account(self, client: Client, alice: User) -> None:
        link = link_of(alice)
        closing.close_account(alice)
        assert client.get(link).status_code == use(client, link).status_code == 410
        with pytest.raises(Gone):
            link_of(alice)

    def test_of_a_suspended_person(self, client: Client, alice: User, mo: User) -> None:
        """They may sign in, and see the page that says why they are suspended."""
        account_bans.ban(alice, actor=mo, reason="Spam")
        use(client, link_of(alice))
        assert client.get("/dashboard/")["Location"] == "/suspended/"

    def test_what_the_database_knows_opens_nothing(self, client: Client, alice: User) -> None:
        link_of(alice)
        stored = SignInLink.objects.get()
        for value in (stored.digest, str(stored.pk), "", "\x00", "ſ"):
            assert client.post(PAGE, {"key": value}).status_code == 410
        assert signed_in(client) is None

    def test_guessing_is_slowed(self, client: Client) -> None:
        answers = [client.get(PAGE, {"key": "x"}).status_code for _ in range(61)]
        assert answers == [410] * 60 + [429]

    def test_its_address_goes_nowhere(self, client: Client, alice: User, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level("DEBUG")
        link = link_of(alice)
        for answer in (client.get(link), use(client, link), client.get(link)):
            assert answer["Referrer-Policy"] == "strict-origin"
            assert "no-store" in answer["Cache-Control"]
        key = link.partition("key=")[2]
        ours = [str(record.msg) for record in caplog.records if "/accounts/link/" in str(record.msg)]
        assert ours and not any(f"key={key}" in line for line in ours)

    def test_it_needs_the_token_of_its_page(self, alice: User) -> None:
        """A page of another site cannot sign in anybody."""
        client = Client(enforce_csrf_checks=True)
        assert use(client, link_of(alice)).status_code == 403
        assert signed_in(client) is None


@pytest.mark.django_db(transaction=True)
def test_of_two_clicks_at_once_one_signs_in() -> None:
    user = registration.create_user(email="ada@example.org")
    link = link_of(user)
    clients = [Client(raise_request_exception=True) for _ in range(4)]
    answers = at_once([lambda client=client: use(client, link).status_code for client in clients])  # type: ignore[misc]
    assert sorted(answers) == [302, 410, 410, 410]


class TestTheCommand:
    def run(self, *arguments: str) -> str:
        out = StringIO()
        call_command("sign_in_link", *arguments, stdout=out)
        return out.getvalue()

    def test_the_link_is_the_last_line(self, client: Client, alice: User, settings: Any) -> None:
        link = self.run(str(alice.email).upper()).strip().splitlines()[-1]
        assert link.startswith(f"{settings.PUBLIC_URL}/accounts/link/?key=")
        use(client, link)
        assert signed_in(client) == str(alice.pk)

    def test_it_says_whom_the_address_reaches(self, alice: User, settings: Any) -> None:
        settings.PUBLIC_URL = "http://localhost:8000"
        assert "People on other machines reach this site only once PUBLIC_URL" in self.run(str(alice.email))
        settings.PUBLIC_URL = "https://oasst.example.org"
        assert "other machines" not in self.run(str(alice.email))

    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            (("nobody@example.org",), "manage.py create_user nobody@example.org"),
            (("nonsense",), "not an e-mail address"),
        ],
    )
    def test_for_whom_there_is_none(self, arguments: tuple[str, ...], sentence: str) -> None:
        with pytest.raises(CommandError, match=sentence):
            self.run(*arguments)
        assert not User.objects.exists()

    @pytest.mark.parametrize("minutes", ["0", "-1", "100000"])
    def test_for_how_long(self, alice: User, minutes: str) -> None:
        with pytest.raises(CommandError, match="1 to 1440 minutes"):
            self.run(str(alice.email), "--minutes", minutes)
        assert not SignInLink.objects.exists()


class TestTheFirstPassword:
    """The file stays on the disk until an administrator has signed in."""

    @pytest.fixture
    def file(self, settings: Any, tmp_path: Path) -> Path:
        path: Path = tmp_path / "first-run.txt"
        path.write_text("Password: x")
        settings.FIRST_RUN_FILE = path
        return path

    @pytest.mark.parametrize("way", ["link", "password"])
    def test_it_goes_when_an_administrator_comes(self, client: Client, file: Path, way: str) -> None:
        boss = registration.create_user(email="boss@example.org", role=Role.ADMIN, password="some long words")
        if way == "link":
            use(client, link_of(boss))
        else:
            client.post("/accounts/login/", {"login": "boss@example.org", "password": "some long words"})
        assert signed_in(client) and not file.exists()

    def test_not_for_anybody_else(self, client: Client, alice: User, file: Path) -> None:
        use(client, link_of(alice))
        assert signed_in(client) and file.exists()


class TestMergedAccounts:
    def test_a_link_opens_the_account_that_it_was_made_for_or_none(self, alice: User, bob: User) -> None:
        link = link_of(alice)
        merging.merge_users(destination_id=bob.pk, source_ids=[alice.pk])
        browser = Client()
        use(browser, link)
        assert signed_in(browser) is None
        assert not SignInLink.objects.exists()

    def test_no_secret_becomes_somebody_elses(self) -> None:
        moved = {relation.related_model for relation in merging.relations()}
        assert moved and not [model for model in apps.get_models() if issubclass(model, Secret) and model in moved]
