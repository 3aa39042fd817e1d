"""Sign-in by a mailed code, the same for new and existing users."""

import re
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.test import Client, RequestFactory, override_settings
from django.urls import NoReverseMatch, reverse

from oasst.accounts import closing, registration
from oasst.accounts.authentication import attempt_limits
from oasst.accounts.models import Role, User
from tests.factories import PASSWORD

pytestmark = pytest.mark.django_db

ASK, CONFIRM, DOOR = "/accounts/login/code/", "/accounts/login/code/confirm/", "/accounts/login/"


def asked_from(address: str) -> Any:
    return RequestFactory().post(DOOR, REMOTE_ADDR=address)


def ask(client: Client, email: str, **kwargs: Any) -> Any:
    return client.post(ASK, {"email": email}, **kwargs)


def mailed_code(number: int = -1) -> str:
    found = re.search(r"^ {4}(\S+)$", str(mail.outbox[number].body), re.MULTILINE)
    assert found, mail.outbox[number].body
    return found[1]


def signed_in(client: Client) -> str | None:
    return client.session.get("_auth_user_id")


class TestByCode:
    def test_a_new_person(self, client: Client) -> None:
        response = ask(client, "Dora@Example.org")
        assert response.status_code == 302 and response["Location"] == CONFIRM
        assert mail.outbox[0].to == ["dora@example.org"]
        assert not User.objects.exists(), "nobody is made before the code was right"
        response = client.post(CONFIRM, {"code": mailed_code()})
        assert response["Location"] == "/dashboard/"
        dora = User.objects.get()
        assert signed_in(client) == str(dora.pk)
        assert (dora.email, dora.role) == ("dora@example.org", Role.GENERAL)
        assert len(dora.display_name.split()) == 2
        assert EmailAddress.objects.get(user=dora).verified

    def test_a_returning_person(self, client: Client, alice: User) -> None:
        ask(client, str(alice.email).upper())
        client.post(CONFIRM, {"code": mailed_code()})
        assert signed_in(client) == str(alice.pk)
        assert User.objects.count() == 1

    def test_nobody_can_find_out_who_has_an_account(self, alice: User) -> None:
        known, unknown = Client(), Client()
        answers = [ask(known, str(alice.email)), ask(unknown, "nobody@example.org")]
        assert answers[0].status_code == answers[1].status_code == 302
        assert answers[0]["Location"] == answers[1]["Location"]
        subjects = [message.subject.replace(mailed_code(n), "") for n, message in enumerate(mail.outbox)]
        assert subjects[0] == subjects[1]
        bodies = [str(message.body).replace(mailed_code(n), "") for n, message in enumerate(mail.outbox)]
        bodies = [re.sub(r"key=\S+", "", body) for body in bodies]
        assert bodies[0] == bodies[1]
        pages = [
            re.sub(r'value="[^"]{30,}"', "", browser.get(CONFIRM).text).replace(email, "")
            for browser, email in ((known, str(alice.email)), (unknown, "nobody@example.org"))
        ]
        assert pages[0] == pages[1]

    @pytest.mark.parametrize(
        "lookalike", ["v\u0131ctim@example.org", "victim@example.or\u0261", "vict\u0131m@\u017fite.org"]
    )
    def test_letters_that_look_alike_are_another_mailbox(self, client: Client, lookalike: str) -> None:
        victim = registration.create_user(email=lookalike.translate({0x131: "i", 0x17F: "s", 0x261: "g"}))
        ask(client, lookalike)
        assert mail.outbox[0].to == [lookalike], "the code goes to whoever owns the other address"
        client.post(CONFIRM, {"code": mailed_code()})
        assert signed_in(client) not in (None, str(victim.pk))
        victim.refresh_from_db()
        assert victim.email and victim.email.isascii()

    def test_where_they_wanted_to_go(self, client: Client, alice: User) -> None:
        response = client.post(f"{ASK}?next=/me/", {"email": str(alice.email)})
        response = client.post(response["Location"], {"code": mailed_code()})
        assert response["Location"] == "/me/"

    @pytest.mark.parametrize(
        "evil", ["https://evil.example/", "//evil.example", "javascript:alert(1)", "/\\evil.example"]
    )
    def test_never_to_another_site(self, client: Client, alice: User, evil: str) -> None:
        response = client.post(ASK, {"email": str(alice.email), "next": evil})
        response = client.post(CONFIRM, {"code": mailed_code(), "next": evil})
        assert response["Location"] == "/dashboard/"

    def test_a_wrong_code(self, client: Client) -> None:
        ask(client, "dora@example.org")
        response = client.post(CONFIRM, {"code": "WRONG1"})
        assert response.status_code == 200
        assert signed_in(client) is None
        assert not User.objects.exists()
        client.post(CONFIRM, {"code": mailed_code()})
        assert signed_in(client)

    def test_only_a_few_tries(self, client: Client) -> None:
        ask(client, "dora@example.org")
        for _ in range(5):
            response = client.post(CONFIRM, {"code": "WRONG1"})
        assert "This code is used up" in response.text
        client.post(CONFIRM, {"code": mailed_code()})
        assert signed_in(client) is None
        assert not User.objects.exists()

    def test_a_code_works_once_and_in_one_browser(self, client: Client) -> None:
        ask(client, "dora@example.org")
        other = Client()
        other.post(CONFIRM, {"code": mailed_code()})
        assert signed_in(other) is None
        client.post(CONFIRM, {"code": mailed_code()})
        client.post("/accounts/logout/")
        client.post(CONFIRM, {"code": mailed_code()})
        assert signed_in(client) is None

    def test_an_old_code(self, client: Client, settings: Any) -> None:
        ask(client, "dora@example.org")
        settings.ACCOUNT_LOGIN_BY_CODE_TIMEOUT = -1
        assert client.post(CONFIRM, {"code": mailed_code()})["Location"] == DOOR
        assert signed_in(client) is None

    def test_another_code(self, client: Client) -> None:
        ask(client, "dora@example.org")
        assert client.post(CONFIRM, {"action": "resend"})["Location"] == CONFIRM
        assert len(mail.outbox) == 2 and mailed_code(0) != mailed_code(1)
        client.post(CONFIRM, {"code": mailed_code(0)})
        assert signed_in(client) is None
        client.post(CONFIRM, {"code": mailed_code(1)})
        assert signed_in(client)

    def test_a_mailbox_is_not_flooded(self, client: Client) -> None:
        for _ in range(5):
            assert ask(Client(), "victim@example.org").status_code == 302
        response = ask(Client(), "Victim@example.org")
        assert response.status_code == 429
        assert int(response["Retry-After"]) > 0
        assert len(mail.outbox) == 5
        assert ask(Client(), "other@example.org").status_code == 302

    def test_codes_are_not_guessed_through_many_windows(self, client: Client) -> None:
        for _ in range(21):
            fresh = Client()
            ask(fresh, f"a{_}@example.org", REMOTE_ADDR=f"10.0.0.{_}")
            for _try in range(5):
                response = fresh.post(CONFIRM, {"code": "WRONG1"}, REMOTE_ADDR="10.9.9.9")
        assert response.status_code == 429

    def test_what_is_no_address(self, client: Client) -> None:
        response = ask(client, "nonsense")
        assert response.status_code == 200
        assert "nonsense" in response.text
        assert not mail.outbox

    def test_an_address_that_no_column_holds(self, alice: User) -> None:
        long = f"{'a' * 60}@{'.'.join(['b' * 50] * 4)}.example"
        assert len(long) > 254
        came = Client()
        came.post(DOOR, {"login": alice.email, "password": PASSWORD})
        for client, path, sent in (
            (Client(), ASK, {"email": long}),
            (Client(), "/accounts/password/reset/", {"email": long}),
            (came, "/accounts/email/", {"action_add": "", "email": long}),
        ):
            page = client.post(path, sent)
            assert page.status_code == 200 and "This address is too long." in page.text, path
            assert "maxlength" not in page.text and mail.outbox == []
        assert Client().post(DOOR, {"login": long, "password": PASSWORD}).status_code == 200

    def test_the_session_is_a_new_one(self, client: Client) -> None:
        ask(client, "dora@example.org")
        before = client.cookies["sessionid"].value
        client.post(CONFIRM, {"code": mailed_code()})
        assert client.cookies["sessionid"].value != before

    def test_without_redis(self, client: Client, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        from oasst.core import ratelimit

        monkeypatch.setattr(ratelimit, "_redis_away_until", 0.0)
        away = "redis://127.0.0.1:1/0"
        settings.REDIS_URL = away
        settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": away}}
        ask(client, "dora@example.org")
        client.post(CONFIRM, {"code": mailed_code()})
        assert signed_in(client)
        monkeypatch.setattr(ratelimit, "_redis_away_until", 0.0)


class TestWithoutMail:
    """Codes come only by mail, even for requests that seem to come from this machine: a plain proxy looks the
    same."""

    HERE = {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost"}

    @pytest.fixture(autouse=True)
    def _no_mail(self, settings: Any) -> None:
        settings.SENDS_MAIL = False
        settings.EMAIL_BACKEND = "oasst.accounts.mail.LogBackend"

    @pytest.mark.parametrize("page", [DOOR, ASK, "/accounts/password/reset/"])
    def test_the_page_says_what_to_do(self, page: str) -> None:
        text = Client(**self.HERE).get(page).text
        assert "sends no mail" in text and "sign-in link" in text
        assert 'name="email"' not in text and "We mail you" not in text

    @pytest.mark.parametrize(
        "page",
        ["/", "/accounts/email/", "/accounts/password/change/", "/accounts/password/set/", "/accounts/3rdparty/"],
    )
    def test_no_page_promises_a_mail(self, client: Client, alice: User, page: str) -> None:
        if page != "/":
            alice.set_password(None if page == "/accounts/password/set/" else PASSWORD)
            alice.save()
            client.force_login(alice)
        response = client.get(page)
        assert response.status_code == 200
        for promise in (
            "No password needed",
            "action_add",
            "action_send",
            "code keeps",
            "code always",
            "code by e-mail",
        ):
            assert promise not in response.text
        if page == "/accounts/email/":
            assert "This site sends no mail" in response.text

    @pytest.mark.parametrize("has_password", [True, False])
    def test_who_has_no_other_way_in_gets_a_link_before_they_sign_out(
        self, client: Client, alice: User, has_password: bool
    ) -> None:
        if not has_password:
            alice.set_unusable_password()
            alice.save()
        client.force_login(alice)
        text = client.get("/me/sign-in-again/").text
        assert (f"manage.py sign_in_link {alice.email}" in text) is not has_password

    def test_somebody_new_needs_an_account_first(self, client: Client) -> None:
        assert "manage.py create_user EMAIL" in client.get(DOOR).text

    @pytest.mark.parametrize("page", [ASK, "/accounts/password/reset/"])
    def test_asking_all_the_same(self, alice: User, page: str) -> None:
        emails = (str(alice.email), "nobody@example.org")
        answers = [Client(**self.HERE).post(page, {"email": email}) for email in emails]
        assert [answer.status_code for answer in answers] == [403, 403]
        assert all("sends no mail" in answer.text for answer in answers)

    def test_a_password_still_works(self, client: Client, alice: User) -> None:
        client.post(DOOR, {"login": str(alice.email), "password": PASSWORD})
        assert signed_in(client) == str(alice.pk)

    def test_what_a_mail_says_stays_out_of_the_log(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level("DEBUG")
        mail.send_mail("K7TQ2M is your code", "The code: K7TQ2M", None, ["dora@example.org"])
        lines = [str(record.msg) for record in caplog.records]
        assert any("mail_not_sent" in line and "dora@example.org" in line for line in lines)
        assert not any("K7TQ2M" in line for line in lines)


class TestByPassword:
    def enter(self, client: Client, email: str, password: str, **kwargs: Any) -> Any:
        return client.post(DOOR, {"login": email, "password": password}, **kwargs)

    def test_it_works(self, client: Client, alice: User) -> None:
        response = self.enter(client, str(alice.email), PASSWORD)
        assert response["Location"] == "/dashboard/"
        assert signed_in(client) == str(alice.pk)

    def test_wrong(self, client: Client, alice: User) -> None:
        response = self.enter(client, str(alice.email), "wrong")
        assert response.status_code == 200
        assert signed_in(client) is None

    def test_the_tries_that_are_left_are_read_out_with_the_field(self, client: Client, alice: User) -> None:
        password = re.compile(r"<input[^>]*name=\"password\"[^>]*>")
        [field] = password.findall(client.get(DOOR).text)
        assert "aria-describedby" not in field, "it would name what is not on the page"
        page = client.post(DOOR, {"login": alice.email, "password": "wrong"}).text
        [field] = password.findall(page)
        assert 'aria-describedby="id_password_helptext"' in field
        told = page.partition('id="id_password_helptext"')[2].partition("</div>")[0]
        assert "tries</strong> left" in told and page.count("tries-left") == 1
        assert "That did not work" in page and "Nothing is lost" not in page

    def test_unknown_people_hear_the_same(self, client: Client, alice: User) -> None:
        pages = [
            re.sub(r'value="[^"]{30,}"', "", self.enter(Client(), email, "wrong").text).replace(email, "")
            for email in (str(alice.email), "nobody@example.org")
        ]
        assert pages[0] == pages[1]

    def test_guessing_one_account_from_many_places(self, alice: User) -> None:
        for n in range(99):
            attempt_limits.count_password(asked_from(f"10.0.0.{n}"), str(alice.email))
        assert self.enter(Client(), str(alice.email), "wrong", REMOTE_ADDR="10.0.1.1").status_code == 200
        response = self.enter(Client(), str(alice.email), PASSWORD, REMOTE_ADDR="10.0.1.2")
        assert response.status_code == 429, "a hundred in an hour are the most for one account, from wherever"

    def test_an_account_has_one_spelling(self, client: Client) -> None:
        """Each spelling has its own attempts, so another one must not lead to the same account."""
        registration.create_user(email="pisik@example.org", password=PASSWORD)
        assert self.enter(client, "p\u0131\u017fik@example.org", PASSWORD).status_code == 200
        assert self.enter(client, "Pisik@Example.org", PASSWORD).status_code == 302

    def test_guessing_many_accounts_from_one_place(self) -> None:
        for n in range(50):
            self.enter(Client(), f"a{n}@example.org", "wrong")
        assert self.enter(Client(), "b@example.org", "wrong").status_code == 429

    def test_a_closed_account(self, client: Client, alice: User) -> None:
        email = str(alice.email)
        closing.close_account(alice)
        self.enter(client, email, PASSWORD)
        assert signed_in(client) is None

    def test_there_is_no_form_to_sign_up_with(self, client: Client) -> None:
        data = {"email": "x@example.org", "password1": "some long password"}
        assert client.post("/accounts/signup/", data)["Location"] == DOOR
        assert not User.objects.exists()


def test_links_in_mails_lead_to_us(alice: User, settings: Any) -> None:
    """The sender of a request chooses its Host and port, but must not change the links in a mail to somebody else."""
    client = Client(HTTP_HOST="localhost:1337")
    client.post("/accounts/password/reset/", {"email": str(alice.email)})
    client.force_login(alice)
    client.post("/accounts/email/", {"action_add": "", "email": "second@example.org"})
    *with_links, notice = mail.outbox
    assert notice.subject == "An address was added" and "http" not in notice.body
    assert len(with_links) == 2
    for message in with_links:
        links = re.findall(r"https?://\S+", str(message.body))
        assert links and all(link.startswith(f"{settings.PUBLIC_URL}/accounts/") for link in links)


class TestRolesAtTheDoor:
    def test_listed_people_are_raised_when_they_come_in(self, client: Client, settings: Any) -> None:
        settings.ADMIN_EMAILS = ["boss@example.org"]
        ask(client, "boss@example.org")
        client.post(CONFIRM, {"code": mailed_code()})
        assert User.objects.get().role == Role.ADMIN


class TestTheDoorPage:
    def test_it_shows_every_way_in(self, client: Client) -> None:
        page = client.get(DOOR).text
        assert 'name="email"' in page and 'name="password"' in page
        assert "Debug door" not in page

    def test_no_debug_door_without_debug(self, client: Client) -> None:
        with pytest.raises(NoReverseMatch):
            reverse("debug_login")
        assert client.post("/accounts/debug/", {"name": "x", "role": "admin"}).status_code == 404
        assert not User.objects.exists()

    def test_the_debug_view_itself_asks_again(self, client: Client) -> None:
        from django.http import Http404
        from django.test import RequestFactory

        from oasst.accounts.views import debug_login

        with pytest.raises(Http404):
            debug_login(RequestFactory().post("/", {"name": "x", "role": "admin"}))

    @override_settings(DEBUG=True, ROOT_URLCONF="tests.accounts.authentication.debug_urls")
    def test_the_debug_door(self, client: Client) -> None:
        page = client.get(DOOR).text
        assert "Debug door" in page
        response = client.post("/accounts/debug/", {"name": "Grace H", "role": "moderator", "next": "/terms/"})
        assert response["Location"] == "/terms/"
        grace = User.objects.get()
        assert (grace.display_name, grace.role) == ("Grace H", Role.MODERATOR)
        assert signed_in(client) == str(grace.pk)
        client.post("/accounts/debug/", {"name": "Grace H", "role": "general"})
        assert User.objects.get().role == Role.GENERAL

    @pytest.mark.parametrize(
        "elsewhere", [{"REMOTE_ADDR": "10.1.2.3"}, {"HTTP_X_FORWARDED_FOR": "127.0.0.1"}, {"BIND_ADDRESS": "0.0.0.0"}]
    )
    def test_the_debug_door_is_for_one_machine(self, settings: Any, elsewhere: dict[str, str]) -> None:
        # Not together with `override_settings`, which would leave DEBUG on for all later tests.
        settings.DEBUG, settings.ROOT_URLCONF = True, "tests.accounts.authentication.debug_urls"
        settings.BIND_ADDRESS = elsewhere.pop("BIND_ADDRESS", settings.BIND_ADDRESS)
        client = Client(**elsewhere)
        assert "Debug door" not in client.get(DOOR).text
        assert client.post("/accounts/debug/", {"name": "Eve", "role": "admin"}).status_code == 404
        assert not User.objects.exists()

    def test_signing_out_takes_a_post(self, client: Client, alice: User) -> None:
        client.force_login(alice)
        assert client.get("/accounts/logout/").status_code == 200
        assert signed_in(client)
        assert client.post("/accounts/logout/")["Location"] == "/"
        assert signed_in(client) is None
