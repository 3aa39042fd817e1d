"""The page of the desk without a script: start, decide, leave for now, undo, and what is said when nothing waits."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from inference.models import Chat, ChatMessage, ChatReport
from leaderboard.models import TrollStanding
from leaderboard.time_frames import Frame
from oasst.accounts import appeals
from oasst.accounts.models import User
from oasst.core.audit.recording import record
from oasst.site import acts
from oasst.site.models import DeskClaim, DeskDecision
from tests.factories import growing_tree, new_people, new_person, new_prompt, new_reply, review
from trees.contributing import reactions
from trees.lifecycle.policy import TreePolicy
from trees.models import Message
from trees.moderation import bans

pytestmark = pytest.mark.django_db
DESK = "/admin/desk/"
MOST = 12
WIDE = TreePolicy(goal_tree_size=40, max_children_count=20, num_reviews_reply=20)


def signed_in(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


@pytest.fixture
def desk(mo: User) -> Client:
    return signed_in(mo)


def send(client: Client, what: str, **data: Any) -> str:
    """Send a form of the desk, follow it, and return the page that comes."""
    return client.post(reverse(f"admin:desk_{what}"), data, follow=True).text


def about(message: Message, **more: Any) -> dict[str, Any]:
    return {"subject_kind": "message", "subject_id": str(message.pk), "seen": "0", **more}


def report(message: Message, *people: User, text: str = "") -> None:
    for person in people or new_people(1):
        reactions.report(message_id=message.pk, reporter=person, category="spam", text=text)


class TestFlow:
    def test_one_item_after_the_other(self, desk: Client, mo: User, bob: User) -> None:
        first, second = new_prompt(new_person("Anna"), "Buy my flour!"), new_prompt(new_person("Ben"), "Buy my salt!")
        report(first, bob, text="He says that everywhere.")
        report(second)
        page = desk.get(DESK).text
        assert "2 items wait" in page and "Buy my flour" not in page and not DeskClaim.objects.exists()
        page = send(desk, "take")
        assert "Buy my flour!" in page and "He says that everywhere." in page and "Junk or advertising" in page
        assert "Buy my flour!" in desk.get(DESK).text, "it is theirs while they look"
        page = send(desk, "decide", **about(first, act="delete", reason="Advertising."))
        assert "Buy my salt!" in page and "Removed." in page and "Advertising." in page
        page = send(desk, "decide", **about(second, act="keep", prepared="1"))
        assert "Nothing waits" in page and DeskDecision.objects.order_by("-pk")[0].reason.startswith("We read it")

    def test_a_refusal_keeps_what_was_typed(self, desk: Client) -> None:
        message = new_prompt(new_person("Anna"))
        report(message)
        send(desk, "take")
        page = send(desk, "decide", **about(message, act="move", reason="It is Dutch.", lang="xx"))
        assert (
            "It is Dutch." in page and "What you typed is still here" in page and "Please choose the language" in page
        )
        page = send(desk, "decide", **about(message, act="delete", also="ban"))
        assert 'value="ban" data-key="b" checked' in page
        assert not DeskDecision.objects.exists()

    def test_undo_shows_the_item_again(self, desk: Client, mo: User) -> None:
        message = new_prompt(new_person("Anna"), "Buy my flour!")
        report(message)
        send(desk, "take")
        send(desk, "decide", **about(message, act="delete", reason="Advertising."))
        decision = DeskDecision.objects.get()
        assert "cannot be undone here" in send(signed_in(mo), "undo", decision=decision.pk), "another session"
        assert not DeskDecision.objects.exclude(undone_at=None).exists()
        page = send(desk, "undo", decision=decision.pk)
        assert "Here it is again" in page and "Buy my flour!" in page
        assert not Message.objects.get(pk=message.pk).deleted

    def test_leaving_for_now_and_looking_again(self, desk: Client) -> None:
        messages = [new_prompt(new_person(name), f"Buy my {name}!") for name in ("flour", "salt")]
        for message in messages:
            report(message)
        assert "Buy my flour!" in send(desk, "take")
        assert "Buy my salt!" in send(desk, "take", later=1, **about(messages[0]))
        page = send(desk, "take", later=1, **about(messages[1]))
        assert "Only what you left for now" in page and not DeskClaim.objects.exists()
        assert "Buy my flour!" in send(desk, "take", again=1)

    def test_leaving_the_desk(self, desk: Client, mo: User) -> None:
        message = new_prompt(new_person("Anna"))
        report(message)
        send(desk, "take")
        assert desk.post(reverse("admin:desk_leave"), {"closed": "1"}).status_code == 204
        left = DeskClaim.objects.get(moderator=mo).until - timezone.now()
        assert timedelta(0) < left < timedelta(minutes=1), "a reload is no leaving"
        assert desk.post(reverse("admin:desk_renew"), about(message)).json() == {"holds": True}
        desk.post(reverse("admin:desk_leave"))
        assert not DeskClaim.objects.exists()

    def test_a_lease_that_somebody_else_took(self, desk: Client) -> None:
        message, other = new_prompt(new_person("Anna")), signed_in(new_person("Max", "moderator"))
        report(message)
        send(desk, "take")
        DeskClaim.objects.update(until=timezone.now() - timedelta(seconds=1))
        send(other, "take")
        assert desk.post(reverse("admin:desk_renew"), about(message)).status_code == 409
        assert "Others are on it" in desk.get(DESK).text
        page = send(desk, "decide", **about(message, act="keep", reason="Fine."))
        assert "Somebody else has this item now." in page and not DeskDecision.objects.exists()

    def test_filters(self, desk: Client) -> None:
        english, german = new_prompt(new_person("Anna"), "Flour"), new_prompt(new_person("Ben"), "Mehl", lang="de")
        report(english)
        report(german)
        TrollStanding.objects.create(frame=Frame.WEEK.value, person=new_person("Eve"), red_flags=4)
        assert "1 item waits" in desk.get(f"{DESK}?in_lang=de").text
        assert "Mehl" in send(desk, "take", in_lang="de")
        assert "Eve" in send(desk, "take", source="troll")
        send(desk, "leave")
        assert "Nothing of this kind waits" in desk.get(f"{DESK}?source=appeal").text

    def test_what_is_no_item(self, desk: Client) -> None:
        for what in ("decide", "renew"):
            for key in ("", "1", "\0"):
                found = desk.post(reverse(f"admin:desk_{what}"), {"subject_kind": "message", "subject_id": key})
                assert found.status_code == 404
        assert "no decision of this session" in send(desk, "undo", decision="x")

    def test_contributors_and_strangers_have_no_desk(self, alice: User) -> None:
        assert signed_in(alice).get(DESK).status_code == 403
        assert signed_in(alice).post(reverse("admin:desk_take")).status_code == 403
        assert Client().post(reverse("admin:desk_take")).status_code == 302 and not DeskClaim.objects.exists()


def reported_message(number: int) -> None:
    prompt = growing_tree(new_person("Writer"), WIDE)
    reply = new_reply(prompt, author := new_person("Author"), "Buy my flour!", policy=WIDE)
    for person in new_people(number):
        new_reply(prompt, person, policy=WIDE)
        review(reply, person, policy=WIDE)
        report(reply, person)
        new_prompt(author)


def appealing_person(number: int) -> None:
    person = new_person("Person")
    for _ in range(number):
        new_prompt(person)
        bans.ban(person, actor=new_person("Max", "moderator"), reason="Rude.")
        person.refresh_from_db()
    appeals.appeal(person, "I did not know that.")


def reported_answer(number: int) -> None:
    chat = Chat.objects.create(user=new_person("Chatter"))
    last = None
    for _ in range(number):
        asked = ChatMessage.objects.create(chat=chat, parent=last, role="prompter", content="Hello?")
        last = ChatMessage.objects.create(chat=chat, parent=asked, role="assistant", content="Buy my flour!")
    for person in new_people(number):
        ChatReport.objects.create(message=last, user=person, kind="spam", reason="Advertising.")


def failed_tree(number: int) -> None:
    prompt = growing_tree(new_person("Writer"), WIDE)
    for person in new_people(number):
        new_reply(prompt, person, policy=WIDE)
    prompt.tree.state = "scoring_failed"
    prompt.tree.save()


@pytest.mark.parametrize("make", [reported_message, appealing_person, reported_answer, failed_tree])
@pytest.mark.parametrize("number", [1, 10])
def test_twelve_statements_however_much_is_said(desk: Client, make: Any, number: int) -> None:
    make(number)
    send(desk, "take")
    for _ in range(12):
        DeskDecision.objects.create(
            moderator=DeskClaim.objects.get().moderator, subject_kind="tree", subject_id="1", act="keep", reason="Fine."
        )
    with CaptureQueriesContext(connection) as found:
        page = desk.get(DESK)
    assert "mod-decide" in page.text
    assert len(found) <= MOST, "\n".join(one["sql"][:150] for one in found)


def test_an_administrator_reads_the_note(mo: User) -> None:
    message = new_prompt(new_person("Anna"))
    report(message)
    send(signed_in(mo), "decide", **about(message, act="pass_on", reason="Is this a joke?"))
    page = send(signed_in(new_person("Ada", "admin")), "take")
    assert "Is this a joke?" in page and "Mo passed this on" in page


def test_the_page_of_a_purge_takes_the_reason_along(desk: Client, alice: User) -> None:
    address = reverse("admin:accounts_user_purge", args=[alice.pk])
    assert 'name="reason" value="Spam &amp; lies"' in desk.get(address, {"reason": "Spam & lies"}).text


def test_what_cannot_be_undone_says_so(desk: Client, mo: User) -> None:
    message = new_prompt(new_person("Anna"))
    report(message)
    page = send(desk, "decide", **about(message, act="keep", reason="Fine by me."))
    assert 'data-key="u"' in page and "cannot be undone" not in page
    entry = record(acts.EXPORT_LOG, "core.auditentry", actor=mo)
    DeskDecision.objects.update(entries=[entry.pk])
    page = desk.get(DESK).text
    assert 'data-key="u"' not in page and "This cannot be undone here." in page


@pytest.mark.parametrize("number", [1, 10])
def test_what_deciding_and_taking_the_next_one_costs(desk: Client, bob: User, number: int) -> None:
    first, second = new_prompt(new_person("Anna")), new_prompt(new_person("Ben"))
    report(first, *new_people(number + 1))
    report(second, bob)
    send(desk, "take")
    with CaptureQueriesContext(connection) as found:
        desk.post(reverse("admin:desk_decide"), about(first, act="keep", reason="Fine by me."))
    assert DeskClaim.objects.get().subject_id == str(second.pk)
    assert len(found) <= 68, "\n".join(one["sql"][:150] for one in found)
