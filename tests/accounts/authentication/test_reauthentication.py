"""What a stolen session cannot do: pages that could make it permanent ask for a reauthentication."""

import re
import time
from typing import Any
from urllib.parse import urlencode

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.test import Client
from django.urls import get_resolver, reverse

from oasst.accounts import api_clients, consent, registration
from oasst.accounts.administrator_bans import open_proposals
from oasst.accounts.authentication.reauthentication import PROTECTED_PAGES
from oasst.accounts.models import Token, User
from tests.factories import PASSWORD, new_person
from trees.models import Webhook

pytestmark = pytest.mark.django_db

CODE, PASSWORD_PAGE = "/accounts/reauthenticate/code/", "/accounts/reauthenticate/"
# Account pages that do not ask: they show nothing that would help a thief, or are part of signing in.
OPEN = {
    *("profile", "terms", "terms_accept", "privacy", "suspended", "sign_in_again", "sessions", "session_end"),
    *("present", "languages", "work_language"),
    *("sessions_end_others", "mfa_index", "mfa_authenticate", "mfa_reauthenticate", "mfa_reauthenticate_webauthn"),
    "sign_in_link",
    *("account_login", "account_logout", "account_signup", "account_inactive", "account_reauthenticate"),
    *("account_reauthenticate_code", "account_request_login_code", "account_confirm_login_code"),
    *("account_email_verification_sent", "account_confirm_email", "account_reset_password"),
    *("account_reset_password_done", "account_reset_password_from_key", "account_reset_password_from_key_done"),
    *("socialaccount_login_cancelled", "socialaccount_login_error", "socialaccount_signup"),
    *("mailed_sign_in", "time_zone", "acknowledgement"),
}


@pytest.fixture(autouse=True)
def _mail(settings: Any) -> None:
    settings.SENDS_MAIL = True


@pytest.fixture
def dora(db: None) -> User:
    """A user without a password, who signs in by code."""
    dora = registration.create_user(email="dora@example.org", display_name="Dora")
    consent.accept_terms(dora)
    return dora


def browser_of(person: User, *, proved: bool = False) -> Client:
    client = Client()
    client.force_login(person)
    if not proved:
        forget_proof(client)
    return client


def forget_proof(client: Client, proved_at: float = 0) -> None:
    """Make the session as old as a stolen one."""
    session = client.session
    session["signed_in_at"] = proved_at
    session.save()


def mailed_code() -> str:
    found = re.search(r"^ {4}(\S+)$", str(mail.outbox[-1].body), re.MULTILINE)
    assert found
    return found[1]


def names_below(patterns: Any, under: str = "") -> dict[str, str]:
    """Every URL name with the prefix of its path."""
    found = {}
    for pattern in patterns:
        path = under + str(pattern.pattern)
        if hasattr(pattern, "url_patterns"):
            found |= names_below(pattern.url_patterns, path)
        elif pattern.name:
            found[pattern.name] = path
    return found


class TestWhichPagesAsk:
    def test_each_page_about_ones_account_was_thought_of(self) -> None:
        paths = names_below(get_resolver().url_patterns)
        own = {name for name, path in paths.items() if path.startswith(("accounts/", "^accounts/", "me/"))}
        of_other_rooms = {"points", "own_statistics", "contributions", "reports", "review_change"}
        of_other_rooms |= {"daily_goal", "notices", "notices_read", "notices_settings"}
        of_other_rooms |= {"warning", "warning_confirm", "decision", "decision_appeal"}
        assert own - PROTECTED_PAGES - OPEN - of_other_rooms == set()
        assert own >= PROTECTED_PAGES

    @pytest.mark.parametrize("name", sorted(PROTECTED_PAGES))
    def test_a_stolen_session_is_asked(self, dora: User, name: str) -> None:
        token = registration.create_user(email=None).pk
        arguments = {"token_revoke": [token], "mfa_edit_webauthn": [1], "mfa_remove_webauthn": [1]}
        url = reverse(name, args=arguments.get(name))
        client = browser_of(dora)
        for answer in (client.get(url), client.post(url, {"email": "eve@example.org", "action_add": ""})):
            assert answer.status_code == 302 and answer["Location"].startswith(f"{CODE}?next=")

    def test_nothing_is_done_and_nothing_kept_of_a_form_that_was_sent(self, alice: User) -> None:
        client = browser_of(alice)
        new = "a new password for eve"
        sent = {"oldpassword": PASSWORD, "password1": new, "password2": new}
        assert client.post("/accounts/password/change/", sent)["Location"].startswith(PASSWORD_PAGE)
        client.post("/accounts/email/", {"action_add": "", "email": "eve@example.org"})
        client.post("/me/tokens/", {"name": "eve", "days": "0"})
        alice.refresh_from_db()
        assert alice.check_password(PASSWORD)
        assert not EmailAddress.objects.filter(email="eve@example.org").exists() and not Token.objects.exists()
        assert new not in str(dict(client.session.items()))

    def test_signing_in_is_a_proof(self, alice: User) -> None:
        client = Client()
        client.post("/accounts/login/", {"login": alice.email, "password": PASSWORD})
        assert client.get("/me/tokens/").status_code == 200

    def test_a_proof_lasts_fifteen_minutes(self, alice: User) -> None:
        client = browser_of(alice)
        forget_proof(client, time.time() - 14 * 60)
        assert client.get("/me/tokens/").status_code == 200
        forget_proof(client, time.time() - 16 * 60)
        assert client.get("/me/tokens/").status_code == 302

    def test_programs_get_no_session_from_a_stolen_one(self, alice: User, settings: Any) -> None:
        settings.SOCIALACCOUNT_PROVIDERS = {"discord": {}}
        client = browser_of(alice)
        client.get("/inference/auth/login/discord")
        answer = client.get("/inference/auth/callback/discord")
        assert answer.status_code == 302 and answer["Location"].startswith(PASSWORD_PAGE)
        assert not alice.program_sessions.exists()


class TestByPassword:
    def test_it_works(self, alice: User) -> None:
        client = browser_of(alice)
        there = client.get("/me/tokens/")["Location"]
        answer = client.post(there, {"password": PASSWORD})
        assert answer["Location"] == "/me/tokens/"
        assert client.get("/me/tokens/").status_code == 200

    def test_wrong_ones_are_counted_with_those_of_the_door(self, alice: User) -> None:
        client = browser_of(alice)
        for _ in range(10):
            assert client.post(PASSWORD_PAGE, {"password": "guess"}).status_code == 200
        assert client.post(PASSWORD_PAGE, {"password": "guess"}).status_code == 429
        assert client.get("/me/tokens/").status_code == 302

    def test_an_open_redirect_is_none(self, alice: User) -> None:
        client = browser_of(alice)
        answer = client.post(f"{PASSWORD_PAGE}?next=https://evil.example/", {"password": PASSWORD})
        assert answer["Location"] == "/dashboard/"


class TestByMail:
    def test_it_works(self, dora: User) -> None:
        client = browser_of(dora)
        there = client.get("/me/delete/")["Location"]
        assert "Mail me a code" in client.get(there).text
        assert not mail.outbox, "reading sends nothing"
        client.post(there, {"action": "send"})
        assert mail.outbox[0].to == ["dora@example.org"]
        assert mailed_code() not in client.get(there).text
        answer = client.post(there, {"code": mailed_code()})
        assert answer["Location"] == "/me/delete/"
        assert client.get("/me/delete/").status_code == 200

    def test_a_code_is_good_once_and_for_one_person(self, dora: User, alice: User) -> None:
        client = browser_of(dora)
        client.post(CODE, {"action": "send"})
        kept = client.session["proof_code"]
        client.post(CODE, {"code": mailed_code()})
        forget_proof(client)
        assert client.post(CODE, {"code": mailed_code()})["Location"] == CODE
        assert client.get("/me/tokens/").status_code == 302
        User.objects.filter(pk=alice.pk).update(password="!")
        eve = browser_of(User.objects.get(pk=alice.pk))
        stolen = eve.session
        stolen["proof_code"] = kept
        stolen.save()
        eve.post(CODE, {"code": mailed_code()})
        assert eve.get("/me/tokens/").status_code == 302

    def test_wrong_ones_say_how_many_are_left(self, dora: User) -> None:
        client = browser_of(dora)
        client.post(CODE, {"action": "send"})
        for left in ("4 tries</strong>", "3 tries</strong>", "2 tries</strong>", "1 try</strong>"):
            assert f"{left} left" in client.post(CODE, {"code": "WRONG"}).text
        page = client.post(CODE, {"code": "WRONG"}, follow=True).text
        assert "too many wrong codes" in page and "Mail me a code" in page
        client.post(CODE, {"code": mailed_code()})
        assert client.get("/me/tokens/").status_code == 302

    def test_old_ones_are_over(self, dora: User, settings: Any) -> None:
        client = browser_of(dora)
        client.post(CODE, {"action": "send"})
        settings.ACCOUNT_LOGIN_BY_CODE_TIMEOUT = -1
        assert "too old" in client.post(CODE, {"code": mailed_code()}, follow=True).text

    def test_the_mailbox_is_not_flooded(self, dora: User) -> None:
        client = browser_of(dora)
        answers = [client.post(CODE, {"action": "send"}).status_code for _ in range(6)]
        assert answers == [302] * 5 + [429]
        assert len(mail.outbox) == 5

    def test_without_a_mail_server_people_sign_in_again(self, dora: User, settings: Any) -> None:
        settings.SENDS_MAIL = False
        client = browser_of(dora)
        there = client.get("/me/tokens/")["Location"]
        assert there == "/me/sign-in-again/?next=%2Fme%2Ftokens%2F"
        assert "_auth_user_id" in client.session, "reading signs nobody out"
        assert "Sign in again" in client.get(there).text
        answer = client.post("/me/sign-in-again/", {"next": "/me/tokens/"})
        assert answer["Location"] == "/accounts/login/?next=%2Fme%2Ftokens%2F"
        assert "_auth_user_id" not in client.session


class TestAdmin:
    def test_it_asks_twice_a_day(self, mo: User) -> None:
        client = browser_of(mo)
        assert client.get("/admin/")["Location"].startswith(f"{PASSWORD_PAGE}?next=%2Fadmin%2F")
        assert client.post("/admin/accounts/user/", {"action": "x"}).status_code == 302
        forget_proof(client, time.time() - 11 * 3600)
        assert client.get("/admin/").status_code == 200

    @pytest.fixture
    def ada(self, db: None) -> User:
        return new_person("Ada", role="admin")

    @pytest.fixture
    def stolen(self, ada: User) -> Client:
        """The session of an administrator who signed in some hours ago."""
        client = browser_of(ada)
        forget_proof(client, time.time() - 11 * 3600)
        return client

    def act(self, client: Client, where: str, action: str, chosen: Any, **more: str) -> Any:
        data = {"action": action, "_selected_action": [str(chosen.pk)], "reason": "Because.", **more}
        return client.post(f"/admin/{where}/", data)

    def asked(self, answer: Any, where: str) -> bool:
        there = f"{PASSWORD_PAGE}?{urlencode({'next': f'/admin/{where}/'})}"
        return answer.status_code == 302 and answer["Location"] == there

    @pytest.mark.parametrize("page", [{}, {"_from_details": "1"}], ids=["list", "row"])
    def test_a_new_key_asks_again(self, stolen: Client, ada: User, page: dict[str, str]) -> None:
        where = "accounts/apiclient"
        program, _ = api_clients.create_api_client(name="web", trusted=True)
        assert self.asked(self.act(stolen, where, "new_key", program, **page), where)
        assert program.keys.count() == 1
        assert (
            stolen.post(f"{PASSWORD_PAGE}?next=/admin/{where}/", {"password": PASSWORD})["Location"]
            == f"/admin/{where}/"
        )
        self.act(stolen, where, "new_key", program, **page)
        assert program.keys.count() == 2
        told = mail.outbox[-1]
        assert (told.subject, told.to) == ("A key was made", [ada.email]) and "web" in told.body

    def test_secrets_of_webhooks_ask_again(self, stolen: Client) -> None:
        where = "trees/webhook"
        program, _ = api_clients.create_api_client(name="web", trusted=True)
        hook = Webhook.objects.create(api_client=program, url="https://example.org/", events=[])
        before = hook.salt
        assert self.asked(self.act(stolen, where, "renew_secret", hook), where)
        hook.refresh_from_db()
        assert hook.salt == before
        given = {"api_client": str(program.pk), "url": "https://example.org/other", "events": []}
        for answer in (stolen.get(f"/admin/{where}/add/"), stolen.post(f"/admin/{where}/add/", given)):
            assert self.asked(answer, f"{where}/add")
        assert Webhook.objects.count() == 1

    @pytest.mark.parametrize("action", ["ban", "unban", "withdraw"])
    def test_decisions_about_administrators_ask_again(self, stolen: Client, eve: User, action: str) -> None:
        where = "accounts/user"
        other = new_person("Ida", role="admin")
        assert self.asked(self.act(stolen, where, action, other), where)
        assert not open_proposals(other).exists()
        assert not self.asked(self.act(stolen, where, "ban", eve), where)
        eve.refresh_from_db()
        assert not eve.enabled, "what moderators do all day asks nobody again"


class TestMailsTell:
    def subjects(self) -> list[str]:
        return [message.subject for message in mail.outbox]

    def test_of_a_new_address(self, alice: User) -> None:
        main = str(alice.email)
        client = browser_of(alice, proved=True)
        chrome = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Chrome/130.0 Safari/537.36"}
        client.post("/accounts/email/", {"action_add": "", "email": "second@example.org"}, headers=chrome)
        told = next(message for message in mail.outbox if message.subject == "An address was added")
        assert told.to == [main] and "second@example.org" in told.body
        assert "From: 127.0.0.x\nWith: Chrome on Linux\n" in told.body, "as the list of sessions says it"
        assert re.search(
            r"When: [A-Z][a-z]+\.? \d{1,2}, \d{4}, (?:\d{1,2}(?::\d\d)? [ap]\.m\.|noon|midnight) UTC\n", str(told.body)
        )
        EmailAddress.objects.filter(email="second@example.org").update(verified=True)
        client.post("/accounts/email/", {"action_primary": "", "email": "second@example.org"})
        told = mail.outbox[-1]
        assert (told.subject, told.to) == ("Your address was changed", [main])
        client.post("/accounts/email/", {"action_remove": "", "email": main})
        assert self.subjects()[-1] == "An address was removed"

    def test_nothing_is_told_where_nothing_changes(self, alice: User) -> None:
        client = browser_of(alice, proved=True)
        for button in ("action_primary", "action_send"):
            sent = {button: "", "email": str(alice.email)}
            page = client.post("/accounts/email/", sent, follow=True).text
            assert mail.outbox == [] and " already." in page
        for button in ("action_primary", "action_send", "action_remove"):
            assert button not in page, "one confirmed address: there is nothing to choose"
        EmailAddress.objects.create(user=alice, email="second@example.org")
        page = client.get("/accounts/email/").text
        for button in ("action_primary", "action_send", "action_remove"):
            assert button in page

    def test_of_a_new_password(self, alice: User) -> None:
        new = "a new and long password"
        sent = {"oldpassword": PASSWORD, "password1": new, "password2": new}
        browser_of(alice, proved=True).post("/accounts/password/change/", sent)
        assert self.subjects() == ["Your password was changed"]

    def test_of_a_first_password(self, dora: User) -> None:
        new = "a new and long password"
        browser_of(dora, proved=True).post("/accounts/password/set/", {"password1": new, "password2": new})
        assert len(mail.outbox) == 1 and mail.outbox[0].to == ["dora@example.org"]

    def test_of_a_token(self, alice: User) -> None:
        browser_of(alice, proved=True).post("/me/tokens/", {"name": "laptop", "days": "30"})
        assert self.subjects() == ["A token was made"]
        assert "laptop" in mail.outbox[0].body
        assert Token.objects.get().prefix not in mail.outbox[0].body

    def test_of_the_end(self, alice: User) -> None:
        address = str(alice.email)
        browser_of(alice, proved=True).post("/me/delete/", {"confirmation": address})
        assert [(message.subject, message.to) for message in mail.outbox] == [("Your account is closed", [address])]
        body = str(mail.outbox[0].body)
        assert "answer this mail" not in body and "write to whoever runs the site" in body

    def test_a_mail_server_that_is_away_undoes_nothing(self, alice: User, settings: Any) -> None:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
        assert browser_of(alice, proved=True).post("/me/tokens/", {"name": "x", "days": "30"}).status_code == 302
        assert Token.objects.exists()
