"""Strangers cannot use up somebody's attempts, and users without attempts see the waiting time."""

import re
from datetime import timedelta
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.test import Client, RequestFactory
from django.utils import timezone
from limits import parse_many

from oasst.accounts import closing
from oasst.accounts.authentication import attempt_limits, known_devices
from oasst.accounts.models import Session, User
from oasst.core import ratelimit
from oasst.core.errors import Busy
from tests.accounts.authentication.test_sign_in import ASK, CONFIRM, DOOR, ask, mailed_code, signed_in
from tests.factories import PASSWORD

pytestmark = pytest.mark.django_db

HERE, ELSEWHERE = "198.51.100.1", "203.0.113.9"


def enter(client: Client, email: str, password: str, **meta: Any) -> Any:
    return client.post(DOOR, {"login": email, "password": password}, **meta)


def use_up(times: int, act: Any) -> None:
    """Repeat an act until a limit refuses it."""
    for _ in range(times):
        try:
            act()
        except Busy:
            return


def request_from(address: str, client: Client | None = None) -> Any:
    request = RequestFactory().post(DOOR, REMOTE_ADDR=address)
    if client:
        request.COOKIES = {name: morsel.value for name, morsel in client.cookies.items()}
    return request


@pytest.fixture
def at_home(alice: User) -> Client:
    """A browser in which Alice has signed in and out."""
    browser = Client(REMOTE_ADDR=HERE)
    assert enter(browser, str(alice.email), PASSWORD).status_code == 302
    browser.post("/accounts/logout/")
    assert signed_in(browser) is None
    return browser


class TestStrangers:
    def test_who_asks_for_codes_shuts_only_themselves_out(self, alice: User) -> None:
        for _ in range(5):
            ask(Client(), str(alice.email), REMOTE_ADDR=ELSEWHERE)
        assert ask(Client(), str(alice.email), REMOTE_ADDR=ELSEWHERE).status_code == 429
        owner = Client(REMOTE_ADDR=HERE)
        assert ask(owner, str(alice.email)).status_code == 302
        owner.post(CONFIRM, {"code": mailed_code()})
        assert signed_in(owner) == str(alice.pk)

    def test_who_guesses_passwords_shuts_only_themselves_out(self, alice: User) -> None:
        for _ in range(10):
            enter(Client(), str(alice.email), "wrong", REMOTE_ADDR=ELSEWHERE)
        assert enter(Client(), str(alice.email), PASSWORD, REMOTE_ADDR=ELSEWHERE).status_code == 429
        assert enter(Client(), str(alice.email), PASSWORD, REMOTE_ADDR=HERE).status_code == 302

    def test_a_mailbox_is_not_flooded_from_many_addresses(self, alice: User) -> None:
        for n in range(45):
            use_up(1, lambda n=n: attempt_limits.count_mail(request_from(f"10.0.0.{n}"), str(alice.email)))
        assert ask(Client(), str(alice.email), REMOTE_ADDR=HERE).status_code == 429
        assert not mail.outbox

    def test_nor_by_spellings_of_its_address(self) -> None:
        for n in range(45):
            use_up(1, lambda n=n: attempt_limits.count_mail(request_from(f"10.0.0.{n}"), f"vic.tim+{n}@gmail.com"))
        for spelling in ("victim@gmail.com", "victim+new@googlemail.com", "VICTIM@gmail.com"):
            assert ask(Client(), spelling, REMOTE_ADDR=HERE).status_code == 429
        assert not mail.outbox

    @pytest.mark.parametrize("count", [attempt_limits.count_mail, attempt_limits.count_password])
    def test_one_line_of_ipv6_shuts_only_itself_out(self, alice: User, count: Any) -> None:
        """Providers give a household a /56, which is 256 /64s, or a /48."""
        for n in range(256):
            use_up(12, lambda n=n: count(request_from(f"2001:db8:7:{n:x}::1"), str(alice.email)))
        count(request_from("2001:db8:8::1"), str(alice.email))
        with pytest.raises(Busy):
            count(request_from("2001:db8:7:ffff::1"), str(alice.email))

    def test_one_requester_fills_no_bound_of_all_in_a_day(self) -> None:
        """Nor over a long time: the limit with the longest period decides."""
        for one, everybody in (
            (ratelimit.PASSWORDS_FOR_ACCOUNT, ratelimit.PASSWORDS_FOR_ACCOUNT_IN_ALL),
            (ratelimit.SIGN_IN_CODES_TO_MAILBOX, ratelimit.SIGN_IN_CODES_TO_MAILBOX_IN_ALL),
        ):
            day, of_all = (int(rule.rates.rpartition("; ")[2].removesuffix(" per day")) for rule in (one, everybody))
            assert day * 5 <= of_all

    def test_password_resets_count_with_the_codes(self, alice: User) -> None:
        for _ in range(5):
            ask(Client(), str(alice.email), REMOTE_ADDR=ELSEWHERE)
        reset = "/accounts/password/reset/"
        refused = Client().post(reset, {"email": str(alice.email)}, REMOTE_ADDR=ELSEWHERE)
        assert refused.status_code == 429 and str(alice.email) in refused.text
        assert len(mail.outbox) == 5
        assert Client().post(reset, {"email": str(alice.email)}, REMOTE_ADDR=HERE).status_code == 302
        assert len(mail.outbox) == 6


class TestKnownDevice:
    def test_it_passes_what_strangers_used_up(self, alice: User, at_home: Client) -> None:
        email = str(alice.email)
        use_up(200, lambda: ratelimit.count_use(ratelimit.PASSWORDS_FOR_ACCOUNT_IN_ALL, email))
        use_up(200, lambda: ratelimit.count_use(ratelimit.SIGN_IN_CODES_TO_MAILBOX_IN_ALL, email))
        assert enter(Client(), email, PASSWORD, REMOTE_ADDR=HERE).status_code == 429
        assert ask(Client(), email, REMOTE_ADDR=HERE).status_code == 429
        assert ask(at_home, email).status_code == 302
        assert enter(at_home, email, PASSWORD).status_code == 302

    def test_it_has_few_tries_of_its_own(self, alice: User, at_home: Client) -> None:
        for _ in range(10):
            enter(at_home, str(alice.email), "wrong")
        assert enter(at_home, str(alice.email), PASSWORD).status_code == 429
        assert enter(Client(), str(alice.email), PASSWORD, REMOTE_ADDR=ELSEWHERE).status_code == 302

    def test_the_cookie_is_out_of_reach(self, at_home: Client) -> None:
        morsel = at_home.cookies[known_devices.COOKIE]
        assert morsel["httponly"] and morsel["samesite"] == "Lax" and morsel["path"] == "/accounts/"

    def test_it_signs_nobody_in(self, at_home: Client) -> None:
        assert at_home.get("/me/").status_code == 302

    def test_it_is_known_for_its_people_alone(self, alice: User, bob: User, at_home: Client) -> None:
        assert known_devices.known_device(request_from(HERE, at_home), str(alice.email))
        assert known_devices.known_device(request_from(HERE, at_home), str(bob.email)) is None
        enter(at_home, str(bob.email), PASSWORD)
        assert known_devices.known_device(request_from(HERE, at_home), str(bob.email))
        assert known_devices.known_device(request_from(HERE, at_home), str(alice.email)), "they share the browser"

    @pytest.mark.parametrize("end", ["password", "sessions", "closed", "forged"])
    def test_it_ends(self, alice: User, at_home: Client, end: str) -> None:
        email = str(alice.email)
        if end == "password":
            alice.set_password("another long password")
            alice.save()
        elif end == "sessions":
            Session.end_all_of(alice)
        elif end == "closed":
            closing.close_account(alice)
        else:
            at_home.cookies[known_devices.COOKIE] = str(at_home.cookies[known_devices.COOKIE].value)[:-1] + "x"
        assert known_devices.known_device(request_from(HERE, at_home), email) is None

    @pytest.mark.parametrize("way", ["reset", "change"])
    def test_a_new_password_works_at_once_where_it_was_set(self, alice: User, way: str) -> None:
        browser, email, new = Client(REMOTE_ADDR=HERE), str(alice.email), "a wholly new and long one"
        given = {"password1": new, "password2": new}
        if way == "reset":
            browser.post("/accounts/password/reset/", {"email": email})
            link = re.search(r"(/accounts/password/reset/key/\S+)", str(mail.outbox[-1].body))
            assert link
            assert browser.post(browser.get(link[1])["Location"], given).status_code == 302
        else:
            browser.force_login(alice)
            browser.post("/accounts/password/change/", {"oldpassword": PASSWORD, **given})
            browser.post("/accounts/logout/")
        use_up(20, lambda: attempt_limits.count_password(request_from(HERE), email))
        assert enter(Client(REMOTE_ADDR=HERE), email, new).status_code == 429
        assert enter(browser, email, new).status_code == 302

    def test_a_stranger_costs_no_statement(self, alice: User, django_assert_num_queries: Any) -> None:
        with django_assert_num_queries(0):
            assert known_devices.known_device(request_from(HERE), str(alice.email)) is None


class TestWhatThePageSays:
    def test_how_many_tries_a_code_has_left(self, client: Client) -> None:
        ask(client, "dora@example.org")
        page = client.post(CONFIRM, {"code": "WRONG1"}).text
        told = page.partition('id="id_code_helptext"')[2].partition("</div>")[0]
        assert "4 tries" in told and 'aria-describedby="id_code_helptext id_code_error"' in page
        for _ in range(2):
            client.post(CONFIRM, {"code": "WRONG1"})
        assert "1 try</strong> left" in client.post(CONFIRM, {"code": "WRONG1"}).text

    def test_the_last_wrong_code_ends_on_a_page_with_a_new_one_in_one_click(self, client: Client) -> None:
        client.post(f"{ASK}?next=/me/", {"email": "dora@example.org"})
        for _ in range(5):
            page = client.post(CONFIRM, {"code": "WRONG1", "next": "/me/"}).text
        assert "This code is used up" in page and "5 codes were wrong" in page
        form = re.search(rf'<form[^>]*action="{ASK}".*?</form>', page, re.DOTALL)
        assert form
        fields = dict(re.findall(r'name="(email|next)" value="([^"]*)"', form[0]))
        assert fields == {"email": "dora@example.org", "next": "/me/"}
        response = client.post(ASK, fields)
        response = client.post(response["Location"], {"code": mailed_code()})
        assert response["Location"] == "/me/" and signed_in(client)

    def test_a_code_that_nobody_waits_for(self, client: Client) -> None:
        response = client.post(CONFIRM, {"code": "ABCDEF"}, follow=True)
        assert response.redirect_chain == [(DOOR, 302)]
        assert "no longer valid" in response.text

    def test_how_many_codes_can_still_be_sent(self, client: Client) -> None:
        ask(client, "dora@example.org")
        assert "Send another code (3 left)" in client.get(CONFIRM).text
        client.post(CONFIRM, {"action": "resend"})
        assert "Send another code (2 left)" in client.get(CONFIRM).text

    def test_another_code_that_may_not_be_sent(self, client: Client) -> None:
        use_up(4, lambda: attempt_limits.count_mail(request_from("127.0.0.1"), "dora@example.org"))
        ask(client, "dora@example.org")
        page = client.post(CONFIRM, {"action": "resend"}, follow=True).text
        assert "The code that you have is still good." in page
        client.post(CONFIRM, {"code": mailed_code()})
        assert signed_in(client)

    @pytest.mark.parametrize("email", ["known", "nobody@example.org"])
    def test_how_many_passwords_are_left(self, client: Client, alice: User, email: str) -> None:
        email = str(alice.email) if email == "known" else email
        assert "9 tries" in enter(client, email, "wrong").text
        for _ in range(8):
            enter(client, email, "wrong")
        assert "That was the last try for now" in enter(client, email, "wrong").text

    @pytest.mark.parametrize("door", ["password", "code", "reset"])
    def test_when_it_ends(self, client: Client, alice: User, door: str) -> None:
        email = str(alice.email)
        if door == "password":
            use_up(20, lambda: attempt_limits.count_password(request_from("127.0.0.1"), email))
            response = enter(client, email, "secret words")
        else:
            use_up(20, lambda: attempt_limits.count_mail(request_from("127.0.0.1"), email))
            response = client.post(ASK if door == "code" else "/accounts/password/reset/", {"email": email})
        assert response.status_code == 429
        seconds = int(response["Retry-After"])
        assert 0 < seconds <= 600
        until = re.search(
            r'<time datetime="([^"]+)">((?:\d{1,2}(?::\d\d)? [ap]\.m\.|noon|midnight) UTC)</time>', response.text
        )
        assert until
        assert abs(timezone.datetime.fromisoformat(until[1]) - timezone.now() - timedelta(seconds=seconds)) < timedelta(
            seconds=60
        )
        assert f'value="{email}"' in response.text, "what was typed is still there"
        assert "secret words" not in response.text

    def test_the_password_once_more(self, client: Client, alice: User) -> None:
        client.force_login(alice)
        page = client.post("/accounts/reauthenticate/", {"password": "wrong"}).text
        assert "9 tries" in page
        for _ in range(10):
            response = client.post("/accounts/reauthenticate/", {"password": "wrong"})
        assert response.status_code == 429 and "Not yet" in response.text

    def test_the_password_that_is_changed(self, client: Client, alice: User) -> None:
        """The limit also holds for the right password."""
        client.force_login(alice)
        url, new = "/accounts/password/change/", "a wholly new and long one"
        given = {"oldpassword": "wrong", "password1": new, "password2": new}
        assert [client.post(url, given).status_code for _ in range(11)] == [200] * 10 + [429]
        refused = client.post(url, {**given, "oldpassword": PASSWORD})
        assert refused.status_code == 429 and "Not yet" in refused.text
        alice.refresh_from_db()
        assert alice.check_password(PASSWORD)

    def test_people_without_an_address_do_not_share_tries(self, alice: User, bob: User) -> None:
        EmailAddress.objects.all().delete()
        User.objects.update(email=None)
        first, second = Client(), Client()
        first.force_login(User.objects.get(pk=alice.pk))
        second.force_login(User.objects.get(pk=bob.pk))
        for _ in range(11):
            refused = first.post("/accounts/reauthenticate/", {"password": "wrong"})
        assert refused.status_code == 429
        assert second.post("/accounts/reauthenticate/", {"password": "wrong"}).status_code == 200


def confirm(client: Client) -> Any:
    client.logout()
    ask(client, "dora@example.org")
    client.post(CONFIRM, {"code": "WRONG1"})
    return client.post(CONFIRM, {"code": "WRONG1"})


def prove(client: Client) -> Any:
    client.post(PROVE, {"action": "send"})
    client.post(PROVE, {"code": "WRONG1"})
    return client.post(PROVE, {"code": "WRONG1"})


def twice(url: str, **given: str) -> Any:
    def post(client: Client) -> Any:
        client.get(url)
        client.post(url, given)
        return client.post(url, given)

    return post


def add_two(client: Client) -> Any:
    client.post("/accounts/email/", {"action_add": "", "email": "two@example.org"})
    return client.post("/accounts/email/", {"action_add": "", "email": "three@example.org"})


PROVE = "/accounts/reauthenticate/code/"
WAITS = {
    "the code of a sign-in": (ratelimit.TRIES_OF_ONE_CODE, confirm),
    "the code of a sign-in, from one address": (ratelimit.CODES_FROM_ADDRESS, confirm),
    "a code that proves it": (ratelimit.TRIES_OF_ONE_CODE, prove),
    "another code that proves it": (ratelimit.SIGN_IN_CODES_TO_MAILBOX, twice(PROVE, action="send")),
    "setting up an app": (ratelimit.SECOND_FACTORS_FOR_ACCOUNT, twice("/accounts/2fa/totp/activate/", code="000000")),
    "a security key": (
        ratelimit.SECOND_FACTOR_CHANGES,
        twice("/accounts/2fa/webauthn/add/", name="x", credential="{}"),
    ),
    "another address": (
        ratelimit.SIGN_IN_CODES_FROM_ADDRESS,
        add_two,
    ),
    "a confirmation once more": (
        ratelimit.SIGN_IN_CODES_TO_MAILBOX,
        twice("/accounts/email/", action_send="", email="new@example.org"),
    ),
}


class TestEveryPageOfAccounts:
    """Not the general page of a limit, on which the form and the code would be lost."""

    @pytest.mark.parametrize("name", WAITS)
    def test_says_how_many_until_when_and_what_to_do(
        self, client: Client, alice: User, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        rule, act = WAITS[name]
        EmailAddress.objects.create(user=alice, email="new@example.org", verified=False)
        client.force_login(alice)
        one = tuple(parse_many("1 per hour"))
        monkeypatch.setattr(ratelimit, "_rates", lambda asked: one if asked.name == rule.name else ())
        page = act(client)
        assert page.status_code == 429 and 0 < int(page["Retry-After"]) <= 3600
        assert "<h2>Not yet</h2>" in page.text and f"{rule.subject}: at most 1 in 60 minutes" in page.text
        assert re.search(r'<time datetime="[^"]+">(?:\d{1,2}(?::\d\d)? [ap]\.m\.|noon|midnight) UTC</time>', page.text)
        assert rule.hint in page.text and '<form class="form' in page.text

    def test_the_app_keeps_the_secret_that_it_read(
        self, client: Client, alice: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        client.force_login(alice)
        secret = re.compile(r'data-testid="totp-secret">([^<]+)<')
        before = secret.findall(client.get("/accounts/2fa/totp/activate/").text)
        monkeypatch.setattr(ratelimit, "_rates", lambda rule: tuple(parse_many("1 per hour")))
        pages = [client.post("/accounts/2fa/totp/activate/", {"code": "000000"}) for _ in range(2)]
        assert [page.status_code for page in pages] == [200, 429]
        assert secret.findall(pages[1].text) == before

    def test_the_general_page_says_it_too(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        """The general page, where there is no form, as after a wrong sign-in link."""
        monkeypatch.setattr(ratelimit, "_rates", lambda rule: tuple(parse_many("1 per hour")))
        answers = [client.get("/accounts/link/?key=wrong") for _ in range(2)]
        assert [one.status_code for one in answers] == [410, 429]
        page = answers[1].text
        assert "at most 1 in 60 minutes" in page and ratelimit.WRONG_LINKS_FROM_ADDRESS.hint in page
        assert (
            re.search(r'<time datetime="[^"]+">(?:\d{1,2}(?::\d\d)? [ap]\.m\.|noon|midnight) UTC</time>', page)
            and "seconds" not in page
        )


class TestWithoutRedis:
    def test_everybody_is_let_in_and_nothing_is_said(
        self, client: Client, alice: User, settings: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(ratelimit, "_redis_away_until", 0.0)
        settings.REDIS_URL = "redis://127.0.0.1:1/0"
        page = enter(client, str(alice.email), "wrong").text
        assert "tries-left" not in page
        assert enter(client, str(alice.email), PASSWORD).status_code == 302
        monkeypatch.setattr(ratelimit, "_redis_away_until", 0.0)


class TestGuessesAtOnce:
    """Concurrent requests all read the session before it counts, but Redis counts each of them."""

    def test_of_a_sign_in_code(self, client: Client) -> None:
        ask(client, "dora@example.org")
        self.guess(client, CONFIRM, "account_login")
        assert client.post(CONFIRM, {"code": mailed_code()}).status_code == 429
        assert signed_in(client) is None
        client.post(CONFIRM, {"action": "resend"})
        client.post(CONFIRM, {"code": mailed_code()})
        assert signed_in(client), "another code has tries of its own"

    def test_nobody_guesses_on_by_asking_for_a_code_too_many(self, client: Client) -> None:
        """If no further code may be sent, allauth treats the form as an attempt."""
        ask(client, "dora@example.org")
        for _ in range(3):
            client.post(CONFIRM, {"action": "resend"})
        self.guess(client, CONFIRM, "account_login", action="resend")

    def test_of_a_code_that_proves_who_is_there(self, client: Client, alice: User) -> None:
        User.objects.filter(pk=alice.pk).update(password="!")
        client.force_login(User.objects.get(pk=alice.pk))
        page = "/accounts/reauthenticate/code/"
        client.post(page, {"action": "send"})
        self.guess(client, page, "proof_code")
        assert client.post(page, {"code": mailed_code()}).status_code == 429

    def guess(self, client: Client, page: str, kept: str, **more: str) -> None:
        before = client.session[kept]
        answers = []
        for _ in range(20):
            session = client.session
            session[kept] = before  # as a concurrent request reads it
            session.save()
            answers.append(client.post(page, {"code": "WRONG1", **more}).status_code)
        assert answers == [200] * 8 + [429] * 12
