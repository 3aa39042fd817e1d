"""Webhooks are signed, have unique ids, are retried until answered, and delay nobody."""

import base64
import hashlib
import hmac
import html
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from oasst.accounts.models import User
from oasst.core.http import outgoing
from oasst.site.api_urls import document
from tests.clients.validity import validation_errors
from tests.factories import decide, delete, growing_tree, new_person, new_prompt
from tests.wire.conftest import Wire, code_of, person, problems
from tests.wire.receiver import Receiver
from trees.jobs import send_webhooks
from trees.models import Delivery, Happening, Webhook
from trees.outbox import deliveries, webhooks

pytestmark = pytest.mark.django_db
ADA = person("Ada")


@pytest.fixture(autouse=True)
def _all_is_as_published(db: None) -> Iterator[None]:
    """Every event that a test sent matches the published schema of its type."""
    yield
    for one in Delivery.objects.all():
        assert validation_errors(document(), "AnyEvent", json.loads(one.body)) == [], one.body


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    settings.WEBHOOKS_TO_LOOPBACK = True
    found = Receiver()
    yield found
    found.end()


@pytest.fixture
def second() -> Iterator[Receiver]:
    found = Receiver()
    yield found
    found.end()


def subscribe(wire: Wire, receiver: Receiver, *events: str) -> dict[str, Any]:
    response = wire.post("webhooks", {"url": receiver.url, "events": list(events)})
    assert response.status_code == 201, response.json()
    found: dict[str, Any] = response.json()
    return found


def signature(secret: str, headers: dict[str, str], body: bytes) -> str:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def later(**time: float) -> None:
    """Let everything that waits seem this much older."""
    ago = timedelta(**time)
    for one in Delivery.objects.filter(status=Delivery.Status.WAITING):
        Delivery.objects.filter(pk=one.pk).update(due_at=one.due_at - ago)
    for hook in Webhook.objects.all():
        past = {name: getattr(hook, name) - ago for name in ("retry_at", "failing_since") if getattr(hook, name)}
        Webhook.objects.filter(pk=hook.pk).update(**past)


class TestTelling:
    def test_it_works(self, bot: Wire, receiver: Receiver) -> None:
        hook = subscribe(bot, receiver)
        prompt = bot.write(ADA, "How do plants drink?", "m1")
        decide(prompt)
        send_webhooks()
        assert set(receiver.types()) == {"message.posted", "message.accepted", "tree.moved"}
        posted = next(one for one in receiver.events() if one["type"] == "message.posted")
        assert posted["data"] == {
            "message_tree_id": str(prompt.tree_id),
            "message_id": str(prompt.pk),
            "frontend_message_id": "m1",
        }
        moved = next(one for one in receiver.events() if one["type"] == "tree.moved")
        assert moved["data"]["state_before"] == "initial_prompt_review"
        for headers, body in receiver.got:
            assert headers["webhook-signature"] == signature(hook["secret"], headers, body)
            assert abs(int(headers["webhook-timestamp"]) - timezone.now().timestamp()) < 60
        assert b"plants" not in b"".join(body for _, body in receiver.got)
        told = bot.get(f"webhooks/{hook['id']}/deliveries", status="delivered").json()
        assert {one["id"] for one in told} == {one["id"] for one in receiver.events()}
        assert {headers["webhook-id"] for headers, _ in receiver.got} == {one["id"] for one in told}
        send_webhooks()
        assert len(receiver.got) == len(told)

    def test_only_what_was_asked_for(self, site: Wire, receiver: Receiver, alice: User) -> None:
        subscribe(site, receiver, "message.deleted")
        delete(growing_tree(alice))
        with transaction.atomic():
            pass
        send_webhooks()
        assert set(receiver.types()) <= {"message.deleted"}

    def test_others_messages_are_for_trusted_programs(
        self, bot: Wire, site: Wire, receiver: Receiver, second: Receiver, alice: User
    ) -> None:
        subscribe(bot, receiver)
        subscribe(site, second)
        decide(new_prompt(alice))
        send_webhooks()
        assert receiver.got == []
        assert "message.accepted" in second.types() and "tree.moved" in second.types()
        assert all(one["data"].get("frontend_message_id") is None for one in second.events())

    def test_nothing_is_told_of_what_was_rolled_back(self, site: Wire, receiver: Receiver, alice: User) -> None:
        subscribe(site, receiver)
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            new_prompt(alice)
            raise ZeroDivisionError
        send_webhooks()
        assert receiver.got == []

    def test_while_nobody_listens_facts_cost_nothing(self, alice: User) -> None:
        new_prompt(alice)
        assert not Happening.objects.filter(told=False).exists()

    def test_who_reviews_or_complains_is_not_told(self, site: Wire, receiver: Receiver, alice: User) -> None:
        subscribe(site, receiver)
        prompt = growing_tree(alice)
        site.post(f"messages/{prompt.pk}/emoji", {"user": ADA, "emoji": "red_flag"})
        send_webhooks()
        kinds = set(Happening.objects.values_list("kind", flat=True))
        assert {"message_reviewed", "message_reported"} <= kinds
        assert set(receiver.types()) == {"message.posted", "message.accepted", "tree.moved"}

    def test_reading_costs_the_same_for_any_number_of_facts(self, site: Wire, receiver: Receiver, alice: User) -> None:
        subscribe(site, receiver)

        def cost(prompts: int) -> int:
            for _ in range(prompts):
                new_prompt(alice)
            with CaptureQueriesContext(connection) as found:
                webhooks.read_outbox()
            return len(found)

        assert cost(1) == cost(10) <= 8


class TestFailing:
    def test_it_is_tried_again_under_the_same_id(self, site: Wire, receiver: Receiver) -> None:
        hook = subscribe(site, receiver)
        receiver.status = 500
        ping = site.post(f"webhooks/{hook['id']}/ping").json()
        send_webhooks()
        one = site.get(f"webhooks/{hook['id']}/deliveries").json()[0]
        assert (one["status"], one["attempts"], one["answer_status"]) == ("waiting", 1, 500)
        send_webhooks()
        assert len(receiver.got) == 1  # not yet
        later(minutes=2)
        receiver.status = 204
        send_webhooks()
        assert [headers["webhook-id"] for headers, _ in receiver.got] == [ping["id"]] * 2
        assert receiver.got[0][1] == receiver.got[1][1]
        one = site.get(f"webhooks/{hook['id']}/deliveries").json()[0]
        assert (one["status"], one["attempts"], one["error"]) == ("delivered", 2, "")
        assert site.get("webhooks").json()[0]["failures"] == 0

    def test_a_dead_receiver_gets_one_try_at_a_time_and_delays_nobody(
        self, site: Wire, receiver: Receiver, second: Receiver, alice: User, monkeypatch: Any
    ) -> None:
        subscribe(site, receiver)
        subscribe(site, second)
        receiver.status = 503
        new_prompt(alice)
        send_webhooks()
        assert len(receiver.got) == 1
        receiver.hold.clear()  # now it does not even respond
        monkeypatch.setattr(outgoing, "TOTAL_SECONDS", 1)
        later(minutes=10)
        for _ in range(5):
            new_prompt(alice)
        send_webhooks()
        assert len(receiver.got) == 2
        assert len(second.got) == 6
        assert Delivery.objects.filter(status="waiting", webhook__url=receiver.url).count() == 6
        assert "No answer within" in Delivery.objects.get(attempts=2).error

    def test_in_the_end_it_is_given_up(self, site: Wire, receiver: Receiver) -> None:
        hook = subscribe(site, receiver)
        receiver.status = 400
        site.post(f"webhooks/{hook['id']}/ping")
        for number in range(len(deliveries.RETRY_PAUSES) + 3):
            send_webhooks()
            later(days=1)
            Webhook.objects.update(failing_since=timezone.now())
            assert number < 20
        one = site.get(f"webhooks/{hook['id']}/deliveries").json()[0]
        assert (one["status"], one["attempts"]) == ("given_up", len(deliveries.RETRY_PAUSES) + 1)

    def test_after_days_it_is_switched_off(self, site: Wire, receiver: Receiver, alice: User) -> None:
        hook = subscribe(site, receiver)
        receiver.status = 500
        new_prompt(alice)
        send_webhooks()
        later(days=4)
        send_webhooks()
        shown = site.get("webhooks").json()[0]
        assert not shown["enabled"] and "No success for 3 days" in shown["switched_off_why"]
        assert not Delivery.objects.filter(status="waiting").exists()
        assert code_of(site.post(f"webhooks/{hook['id']}/ping")) == (409, 0)
        new_prompt(alice)
        assert not Happening.objects.filter(told=False).exists()
        assert site.put(f"webhooks/{hook['id']}", enabled=True).status_code == 204
        receiver.status = 200
        new_prompt(alice)
        send_webhooks()
        assert receiver.types()[-1] == "message.posted"

    def test_gone_is_gone(self, site: Wire, receiver: Receiver) -> None:
        hook = subscribe(site, receiver)
        receiver.status = 410
        site.post(f"webhooks/{hook['id']}/ping")
        send_webhooks()
        assert not site.get("webhooks").json()[0]["enabled"]

    def test_no_redirect_is_followed(self, site: Wire, receiver: Receiver, second: Receiver) -> None:
        hook = subscribe(site, receiver)
        receiver.status, receiver.headers = 302, {"Location": second.url}
        site.post(f"webhooks/{hook['id']}/ping")
        send_webhooks()
        assert second.got == []
        assert Delivery.objects.get().error == "The receiver answered 302."

    def test_an_emptied_redis_loses_nothing(
        self, site: Wire, receiver: Receiver, alice: User, redis_server: Any
    ) -> None:
        subscribe(site, receiver)
        new_prompt(alice)
        redis_server.flushdb()
        send_webhooks()  # as the clock does
        assert receiver.types() == ["message.posted"]

    def test_what_a_killed_worker_was_sending_is_sent_again(self, site: Wire, receiver: Receiver) -> None:
        hook = subscribe(site, receiver)
        site.post(f"webhooks/{hook['id']}/ping")
        assert len(deliveries._claim(())) == 1  # and the worker dies
        send_webhooks()
        assert receiver.got == []
        later(minutes=3)
        send_webhooks()
        assert receiver.types() == ["ping"]


class TestSecrets:
    def test_two_are_good_for_a_day(self, site: Wire, receiver: Receiver) -> None:
        hook = subscribe(site, receiver)
        fresh = site.post(f"webhooks/{hook['id']}/secret").json()
        assert fresh["secret"] != hook["secret"]
        site.post(f"webhooks/{hook['id']}/ping")
        send_webhooks()
        headers, body = receiver.got[0]
        marks = headers["webhook-signature"].split()
        assert marks == [signature(one["secret"], headers, body) for one in (fresh, hook)]
        Webhook.objects.update(old_until=timezone.now())
        site.post(f"webhooks/{hook['id']}/ping")
        send_webhooks()
        assert len(receiver.got[1][0]["webhook-signature"].split()) == 1

    def test_it_is_told_once_and_stands_nowhere(self, site: Wire, receiver: Receiver) -> None:
        hook = subscribe(site, receiver)
        assert hook["secret"] not in str(site.get("webhooks").json())
        assert hook["secret"] not in str(list(Webhook.objects.values()))


class TestWhose:
    def test_each_program_has_its_own(self, bot: Wire, other: Wire, receiver: Receiver) -> None:
        hook = subscribe(bot, receiver)
        assert other.get("webhooks").json() == []
        path = f"webhooks/{hook['id']}"
        refused = (
            other.put(path, enabled=False),
            other.delete(path),
            other.post(f"{path}/secret"),
            other.post(f"{path}/ping"),
            other.get(f"{path}/deliveries"),
            bot.get(f"webhooks/{uuid4()}/deliveries"),
        )
        assert {code_of(one) for one in refused} == {(404, 0)}
        assert bot.get("webhooks").json() == [{name: hook[name] for name in hook if name != "secret"}]
        assert bot.delete(path).status_code == 204
        assert not Webhook.objects.exists()

    def test_not_more_than_ten(self, bot: Wire, receiver: Receiver) -> None:
        for _ in range(webhooks.MAX_WEBHOOKS):
            subscribe(bot, receiver)
        assert code_of(bot.post("webhooks", {"url": receiver.url})) == (409, 0)
        assert Webhook.objects.count() == webhooks.MAX_WEBHOOKS

    def test_unknown_events(self, bot: Wire, receiver: Receiver) -> None:
        response = bot.post("webhooks", {"url": receiver.url, "events": ["message.eaten"]})
        assert problems(response) == {("body", "events", 0, "type_error.enum")}
        assert not Webhook.objects.exists()


class TestAddresses:
    @pytest.mark.parametrize(
        "url",
        [
            "http://example.org/",
            "ftp://example.org/",
            "https://",
            "https://user:secret@example.org/",
            "https://example.org/#x",
            "https://example.org:22/",
            "https://example.org:99999/",
            "https://exa mple.org/",
            "https://bücher.example/",
            "javascript:alert(1)",
        ],
    )
    def test_odd_ones_are_refused(self, bot: Wire, url: str) -> None:
        assert code_of(bot.post("webhooks", {"url": url})) == (400, 0)
        assert not Webhook.objects.exists()

    def test_the_check_is_made_when_it_is_sent(
        self, site: Wire, receiver: Receiver, settings: Any, alice: User
    ) -> None:
        subscribe(site, receiver)
        settings.WEBHOOKS_TO_LOOPBACK = False
        Webhook.objects.update(url=receiver.url.replace("http://127.0.0.1", "https://localhost"))
        new_prompt(alice)
        send_webhooks()
        assert receiver.got == []
        assert Delivery.objects.get().error == "The host is not on the public internet."


class TestAdmin:
    @pytest.fixture
    def browser(self) -> Client:
        found = Client()
        found.force_login(new_person("Ada", role="admin"))
        return found

    def act(self, browser: Client, action: str, hook: dict[str, Any]) -> str:
        data = {"action": action, "reason": "Because.", "_selected_action": [hook["id"]]}
        return browser.post("/admin/trees/webhook/", data, follow=True).text

    def test_everything_that_the_api_does(self, browser: Client, bot: Wire, receiver: Receiver) -> None:
        given = {"api_client": str(bot.client.pk), "url": receiver.url, "events": ["tree.moved"]}
        page = browser.post("/admin/trees/webhook/add/", given, follow=True)
        hook = bot.get("webhooks").json()[0]
        made = Webhook.objects.get()
        assert (hook["url"], hook["events"]) == (receiver.url, ["tree.moved"])
        assert webhooks.secret_of(made) in html.unescape(page.text)
        assert webhooks.secret_of(made) not in browser.get("/admin/trees/webhook/").text
        assert "a ping is on its way" in self.act(browser, "send_ping", hook)
        send_webhooks()
        assert receiver.types() == ["ping"]
        page_of = f"/admin/trees/webhook/{hook['id']}/change/"
        assert "delivered" in browser.get(page_of).text
        assert "ping" in browser.get(f"/admin/trees/delivery/{Delivery.objects.get().pk}/change/").text
        page_after = html.unescape(self.act(browser, "renew_secret", hook))
        made.refresh_from_db()
        assert webhooks.secret_of(made) in page_after
        self.act(browser, "switch_off", hook)
        assert not bot.get("webhooks").json()[0]["enabled"]
        self.act(browser, "switch_on", hook)
        assert bot.get("webhooks").json()[0]["enabled"]
        assert "deleted" in self.act(browser, "remove", hook)
        assert bot.get("webhooks").json() == []

    def test_a_bad_address_is_said_beside_the_field(self, browser: Client, bot: Wire) -> None:
        given = {"api_client": str(bot.client.pk), "url": "ftp://example.org", "events": []}
        page = browser.post("/admin/trees/webhook/add/", given)
        assert page.status_code == 200 and "This address cannot be used" in page.text
        assert not Webhook.objects.exists()

    def test_the_start_page_says_what_was_switched_off(
        self, browser: Client, mo: User, site: Wire, receiver: Receiver
    ) -> None:
        hook = subscribe(site, receiver)
        assert "switched off" not in browser.get("/admin/").text
        receiver.status = 410
        site.post(f"webhooks/{hook['id']}/ping")
        send_webhooks()
        assert "webhook switched off" in browser.get("/admin/").text
        moderator = Client()
        moderator.force_login(mo)
        assert "webhook" not in moderator.get("/admin/").text.lower()
        assert moderator.get("/admin/trees/webhook/").status_code == 403
        assert moderator.get("/admin/trees/delivery/").status_code == 403
