"""What operators do with API clients in the admin."""

import time
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from oasst.accounts import api_clients
from oasst.accounts.groups import Duty
from oasst.accounts.models import ApiClient, ApiKey, User
from oasst.core.models import AuditEntry
from tests.factories import new_people, new_person
from tests.tasks.test_pages import signed_in

pytestmark = pytest.mark.django_db
LIST = "/admin/accounts/apiclient/"
NEW = {"name": "Bot of the forum", "frontend_type": "bot", "admin_email": "ada@example.org", "reason": "For the forum."}


@pytest.fixture
def olga() -> User:
    person = new_person("Olga")
    User.objects.filter(pk=person.pk).update(duties=[Duty.OPERATOR])
    return User.objects.get(pk=person.pk)


@pytest.fixture
def admin(olga: User) -> Client:
    return signed_in(olga)


@pytest.fixture
def bot() -> ApiClient:
    return api_clients.create_api_client(name="bot")[0]


def page_of(client: ApiClient, more: str = "change/") -> str:
    return f"{LIST}{client.pk}/{more}"


def act(http: Client, action: str, client: ApiClient, reason: str = "Because.") -> str:
    data = {"action": action, "_selected_action": str(client.pk), "_from_details": "1", "reason": reason}
    return http.post(LIST, data, follow=True).text


class TestMaking:
    def test_an_operator_makes_one_and_sees_its_key_once(self, admin: Client) -> None:
        assert "shown once" in admin.get(f"{LIST}add/").text
        text = admin.post(f"{LIST}add/", {**NEW, "trusted": "on"}, follow=True).text
        made = ApiClient.objects.get()
        assert (made.name, made.frontend_type, made.admin_email, made.trusted) == (
            *("Bot of the forum", "bot", "ada@example.org"),
            True,
        )
        assert f"told only now: {made.keys.get().prefix}" in text
        assert "told only now" not in admin.get(page_of(made)).text

    def test_a_refusal_keeps_what_was_typed(self, admin: Client, bot: ApiClient) -> None:
        for change, sentence in (
            ({"name": "Bot"}, "Another API client has this name."),
            ({"admin_email": "nobody"}, "This is no mail address."),
            ({"reason": ""}, "This field is required."),
            ({"name": "x" * 257}, "1 too many"),
        ):
            answer = admin.post(f"{LIST}add/", {**NEW, **change})
            assert answer.status_code == 422 and sentence in answer.text
            assert "For the forum." in answer.text or "reason" in change
        assert ApiClient.objects.count() == 1

    def test_it_asks_who_is_there(self, admin: Client, bot: ApiClient) -> None:
        session = admin.session
        session["signed_in_at"] = time.time() - 3600
        session.save()
        for url, given in ((f"{LIST}add/", NEW), (page_of(bot, "rotate/"), {"ends": "now", "reason": "Seen."})):
            for answer in (admin.get(url), admin.post(url, given)):
                assert answer.status_code == 302 and "reauthenticate" in answer["Location"], url
        act(admin, "trust", bot)
        bot.refresh_from_db()
        assert not bot.trusted and ApiClient.objects.count() == ApiKey.objects.count() == 1
        act(admin, "switch_off", bot)
        bot.refresh_from_db()
        assert not bot.enabled, "in an emergency nobody is asked again"
        act(admin, "switch_on", bot)
        bot.refresh_from_db()
        assert not bot.enabled, "it gives all rights back"


class TestActs:
    def test_each_says_what_it_did(self, admin: Client, olga: User, bot: ApiClient) -> None:
        for action, words in (
            ("trust", "is trusted from now on"),
            ("distrust", "is not trusted any more"),
            ("switch_off", "its keys are refused"),
            ("switch_on", "is switched on"),
        ):
            assert words in act(admin, action, bot)
            assert "already" in act(admin, action, bot) or "is not trusted." in act(admin, action, bot)
        made = AuditEntry.objects.filter(actor=olga).values_list("act", flat=True)
        assert sorted(made) == ["api_client.switch"] * 2 + ["api_client.trust"] * 2

    def test_only_what_is_possible_is_offered(self, admin: Client, bot: ApiClient) -> None:
        text = admin.get(page_of(bot)).text
        assert 'value="trust"' in text and 'value="distrust"' not in text and 'value="new_key"' in text
        api_clients.create_api_key(bot)
        assert 'value="new_key"' not in admin.get(page_of(bot)).text

    def test_change(self, admin: Client, bot: ApiClient) -> None:
        given = {"initial-name": "bot", "name": "Bot of the forum", "initial-admin_email": "", "reason": "It moved."}
        text = admin.post(page_of(bot, "edit/"), {**given, "admin_email": "ada@example.org"}, follow=True).text
        assert "Changed: Name, Mail address of the person responsible." in text
        bot.refresh_from_db()
        assert (bot.name, bot.admin_email) == ("Bot of the forum", "ada@example.org")
        assert (
            "Nothing was different" in admin.post(page_of(bot, "edit/"), {**given, "name": bot.name}, follow=True).text
        )

    def test_rotation(self, admin: Client, bot: ApiClient) -> None:
        form = admin.get(page_of(bot, "rotate/")).text
        assert f"Valid now: {bot.keys.get().prefix}…" in form
        known = str(bot.keys.get().pk)
        text = admin.post(
            page_of(bot, "rotate/"), {"ends": "day", "known": known, "reason": "Yearly."}, follow=True
        ).text
        assert "told only now: " in text and "in 23 h" in text
        answer = admin.post(page_of(bot, "rotate/"), {"ends": "now", "known": known, "reason": "Yearly."})
        assert answer.status_code == 422 and "changed meanwhile" in answer.text
        answer = admin.post(page_of(bot, "rotate/"), {"ends": "year", "known": "x", "reason": "Yearly."})
        assert answer.status_code == 422 and bot.keys.count() == 2


class TestPage:
    def test_it_warns(self, admin: Client, bot: ApiClient) -> None:
        text = admin.get(page_of(bot)).text
        assert "was not used for" not in text and "never ends and is" not in text
        long_ago = timezone.now() - timedelta(days=400)
        ApiKey.objects.update(created_at=long_ago, last_used_at=timezone.now() - timedelta(days=100))
        text = admin.get(page_of(bot)).text
        assert "was not used for 3 months" in text and "never ends and is 13 months old" in text
        ApiKey.objects.update(expires_at=timezone.now())
        assert "It has no valid key" in admin.get(page_of(bot)).text and "no valid key" in admin.get(LIST).text
        ApiClient.objects.update(enabled=False)
        assert "Switched off: the API refuses its keys" in admin.get(page_of(bot)).text

    def test_what_it_did_in_a_day(self, admin: Client) -> None:
        bot, key = api_clients.create_api_client(name="forum", trusted=True)
        http = Client(headers={"X-API-Key": key})
        user = {"id": "ada", "display_name": "Ada", "auth_method": "local"}
        asked = http.post("/api/v1/tasks/", {"type": "initial_prompt", "user": user}, content_type="application/json")
        assert asked.status_code == 200
        text = " ".join(admin.get(page_of(bot)).text.split())
        assert "<dt>task asked for</dt><dd>1</dd>" in text and "<dt>messages written</dt><dd>0</dd>" in text

    def test_people_s_own_programs_and_the_development_key_stay_out(self, admin: Client, mo: User) -> None:
        own = ApiClient.objects.create(name="Own programs of a person", person=mo)
        website, _ = api_clients.create_api_client(name="website", key="1234")
        assert own.name not in admin.get(LIST).text
        for more in ("edit/", "rotate/"):
            assert admin.get(page_of(own, more)).status_code == 404
        text = admin.get(page_of(website)).text
        assert "There is no key." in text and "the development key 1234" in text and "no valid key, so" not in text

    def test_ten_times_the_keys_cost_no_more(self, admin: Client, bot: ApiClient) -> None:
        def cost(url: str) -> int:
            admin.get(url)
            with CaptureQueriesContext(connection) as captured:
                assert admin.get(url).status_code == 200
            return len(captured)

        few = [cost(url) for url in (LIST, page_of(bot))]
        for number in range(20):
            api_clients.create_api_client(name=f"bot {number}")
            ApiKey.objects.create(api_client=bot, digest=str(number), expires_at=timezone.now())
        assert [cost(url) for url in (LIST, page_of(bot))] == few and max(few) <= 12

    def test_others(self, mo: User, alice: User, bot: ApiClient) -> None:
        audrey = new_people(1)[0]
        User.objects.filter(pk=audrey.pk).update(duties=[Duty.AUDITOR])
        auditor = signed_in(audrey)
        text = auditor.get(page_of(bot)).text
        assert "Rotate the keys" not in text and 'value="trust"' not in text and "Begins with" in text
        tries: list[tuple[str, dict[str, Any]]] = [
            (f"{LIST}add/", NEW),
            (page_of(bot, "edit/"), {"name": "mine", "reason": "Mine."}),
            (page_of(bot, "rotate/"), {"ends": "now", "reason": "Mine."}),
        ]
        for http in (auditor, signed_in(mo), signed_in(alice)):
            for url, given in tries:
                assert http.get(url).status_code == 403 and http.post(url, given).status_code == 403, url
        assert (ApiClient.objects.count(), ApiKey.objects.count()) == (1, 1)
        act(auditor, "switch_off", bot)
        bot.refresh_from_db()
        assert bot.enabled and bot.name == "bot"
