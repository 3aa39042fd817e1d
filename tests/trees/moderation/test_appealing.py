"""Appeals against single decisions: who may send one, who answers, and what granting undoes."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.core import mail
from django.test import Client
from django.utils import timezone

from oasst.accounts import account_bans, appeals
from oasst.accounts.jobs import mail_about_appeal
from oasst.accounts.models import Appeal, User
from oasst.core.errors import Conflict, DomainError, NotAllowed, NotFound
from oasst.core.models import AuditEntry
from oasst.site.desk import queue
from oasst.site.models import Notice
from oasst.site.notices import personal, queries
from tests.concurrency.together import at_once
from tests.factories import decide, growing_tree, new_person, new_reply
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import Message, MessageTree
from trees.moderation import appealing, moderator_actions

pytestmark = pytest.mark.django_db
POLICY = TreePolicy(goal_tree_size=6, max_tree_depth=3)
WORDS = "That was my own text."


@pytest.fixture
def reply(alice: User, bob: User) -> Message:
    return new_reply(growing_tree(bob, POLICY), alice, policy=POLICY)


@pytest.fixture
def other(db: None) -> User:
    """A second moderator, who was here lately."""
    moderator = new_person("Mia", "moderator")
    User.objects.filter(pk=moderator.pk).update(last_login=timezone.now())
    return moderator


def delete(message: Message, mo: User) -> int:
    moderator_actions.delete_message(message_id=message.pk, actor=mo, reason="Copied <b>words</b>.", policy=POLICY)
    return newest(mo)


def newest(mo: User) -> int:
    return AuditEntry.objects.filter(actor=mo).order_by("-pk").values_list("pk", flat=True)[0]


def signed_in(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


class TestSending:
    def test_what_and_why_and_how(self, reply: Message, alice: User, mo: User, other: User) -> None:
        entry_id = delete(reply, mo)
        browser, url = signed_in(alice), f"/me/decisions/{entry_id}/"
        page = browser.get(url).text
        assert "A moderator removed your reply." in page and "Copied &lt;b&gt;words&lt;/b&gt;." in page
        assert "Mo</" not in page and reply.text not in page, "who decided is not said; removed texts are for staff"
        assert f'href="{url}"' in browser.get("/me/contributions/").text
        assert browser.post(f"{url}appeal/", {"text": WORDS})["Location"] == url
        page = browser.get(url).text
        assert "Waiting for an answer" in page and WORDS in page and "Send the appeal" not in page

    def test_without_words_it_is_not_sent(self, reply: Message, alice: User, mo: User) -> None:
        response = signed_in(alice).post(f"/me/decisions/{delete(reply, mo)}/appeal/", {"text": " "})
        assert response.status_code == 422 and "id_text_error" in response.text and not Appeal.objects.exists()

    def test_nobody_else_sees_it(self, reply: Message, bob: User, carol: User, mo: User) -> None:
        entry_id = delete(reply, mo)
        for person in (bob, carol, mo):
            client = signed_in(person)
            assert client.get(f"/me/decisions/{entry_id}/").status_code == 404
            assert client.post(f"/me/decisions/{entry_id}/appeal/", {"text": WORDS}).status_code == 404
        assert signed_in(bob).get(f"/me/decisions/{'9' * 25}/").status_code == 404
        assert not Appeal.objects.exists()

    def test_those_below_see_it_but_neither_reason_nor_appeal(
        self, reply: Message, alice: User, carol: User, mo: User
    ) -> None:
        tree = MessageTree.objects.get(pk=reply.tree_id)
        decide(reply, policy=POLICY)
        new_reply(Message.objects.get(pk=reply.pk), carol, policy=POLICY)
        entry_id = delete(Message.objects.get(pk=tree.pk), mo)
        page = signed_in(carol).get(f"/me/decisions/{entry_id}/").text
        assert "because a moderator removed a message above it" in page
        assert "Copied &lt;" not in page and "Send the appeal" not in page
        with pytest.raises(Conflict, match="nothing to appeal"):
            appealing.appeal(carol, entry_id, WORDS)

    def test_in_a_month_once_at_a_time_and_not_soon_after_a_refusal(
        self, reply: Message, alice: User, mo: User, other: User, monkeypatch: Any
    ) -> None:
        entry_id = delete(reply, mo)
        sent = appealing.appeal(alice, entry_id, WORDS)
        with pytest.raises(Conflict, match="waiting"):
            appealing.appeal(alice, entry_id, WORDS)
        appeals.refuse(sent.pk, actor=other, answer="Word for word.")
        with pytest.raises(Conflict, match="lately"):
            appealing.appeal(alice, entry_id, WORDS)
        Appeal.objects.update(decided_at=timezone.now() - appeals.AGAIN_AFTER)
        appealing.appeal(alice, entry_id, WORDS)
        Appeal.objects.all().delete()
        monkeypatch.setattr(appealing, "WITHIN", timedelta(0))
        with pytest.raises(Conflict, match="month"):
            appealing.appeal(alice, entry_id, WORDS)
        assert "An appeal is possible in the month" in signed_in(alice).get(f"/me/decisions/{entry_id}/").text

    def test_they_are_limited(self, reply: Message, alice: User, mo: User, settings: Any) -> None:
        settings.RATE_LIMITS, settings.LIMITS = True, {"appeal": "1 per hour"}
        url = f"/me/decisions/{delete(reply, mo)}/appeal/"
        browser = signed_in(alice)
        browser.post(url, {"text": WORDS})
        Appeal.objects.all().delete()
        assert browser.post(url, {"text": WORDS}).status_code == 429

    def test_the_suspended_appeal_too(self, reply: Message, alice: User, mo: User) -> None:
        entry_id = delete(reply, mo)
        account_bans.ban(alice, actor=mo, reason="Copied a novel.")
        browser = signed_in(alice)
        assert browser.get(f"/me/decisions/{entry_id}/").status_code == 200
        browser.post(f"/me/decisions/{entry_id}/appeal/", {"text": WORDS})
        assert appeals.latest_appeal(alice) is None, "it is not about the suspension"
        browser.post("/suspended/appeal/", {"text": WORDS})
        assert Appeal.objects.filter(user=alice, status="open").count() == 2

    @pytest.mark.django_db(transaction=True)
    def test_of_many_at_once_one_is_stored(self, bob: User, mo: User) -> None:
        author = new_person("Dora")
        entry_id = delete(new_reply(growing_tree(bob, POLICY), author, policy=POLICY), mo)
        results = at_once([partial(appealing.appeal, author, entry_id, WORDS) for _ in range(4)])
        assert sum(isinstance(result, Appeal) for result in results) == Appeal.objects.count() == 1


def stop(message: Message, mo: User) -> None:
    moderator_actions.halt(tree_id=message.tree_id, actor=mo, reason="Stop.", policy=POLICY)


def edit(message: Message, mo: User) -> None:
    moderator_actions.edit_message(message_id=message.pk, actor=mo, text="Other.", reason="Names.", policy=POLICY)


def hide(message: Message, mo: User) -> None:
    moderator_actions.hide(message_id=message.pk, actor=mo, reason="Names.", policy=POLICY)


class TestAnswering:
    @pytest.mark.parametrize("act", [delete, stop, edit, hide])
    def test_granting_undoes_it(self, act: Callable[..., object], alice: User, mo: User, other: User) -> None:
        prompt = growing_tree(alice, POLICY)
        before = Message.objects.values("text", "deleted", "hidden").get(pk=prompt.pk)
        act(prompt, mo)
        sent = appealing.appeal(alice, newest(mo), WORDS)
        appealing.grant(sent.pk, actor=other, answer="You are right.", policy=POLICY)
        sent.refresh_from_db()
        assert (sent.status, sent.decided_by, sent.answer) == ("granted", other, "You are right.")
        assert Message.objects.values("text", "deleted", "hidden").get(pk=prompt.pk) == before
        assert MessageTree.objects.get(pk=prompt.pk).state == State.GROWING
        assert "Taken back" in signed_in(alice).get(f"/me/decisions/{sent.entry_id}/").text
        with pytest.raises(Conflict, match="answered already"):
            appealing.grant(sent.pk, actor=other, answer="Again.", policy=POLICY)

    def test_another_moderator_answers(self, reply: Message, alice: User, mo: User, other: User) -> None:
        sent = appealing.appeal(alice, delete(reply, mo), WORDS)
        for answer in (
            partial(appealing.grant, sent.pk, actor=mo, answer="Yes.", policy=POLICY),
            partial(appeals.refuse, sent.pk, actor=mo, answer="No."),
        ):
            with pytest.raises(NotAllowed) as refusal:
                answer()
            assert refusal.value.code == "own_decision"
        assert [item.subject.id for item in queue.read_board(other).waiting] == [str(reply.pk)]
        assert queue.read_board(mo).waiting == []
        User.objects.filter(pk=other.pk).update(last_login=timezone.now() - 2 * appeals.PRESENT)
        assert [item.subject.id for item in queue.read_board(mo).waiting] == [str(reply.pk)], "there is nobody else"
        appeals.refuse(sent.pk, actor=mo, answer="No.")

    def test_also_about_a_suspension(self, alice: User, mo: User, other: User) -> None:
        account_bans.ban(alice, actor=mo, reason="Spam.")
        sent = appeals.appeal(alice, WORDS)
        with pytest.raises(NotAllowed):
            appeals.refuse(sent.pk, actor=mo, answer="No.")
        assert queue.read_board(mo).waiting == []
        appeals.refuse(sent.pk, actor=other, answer="No.")

    def test_nobody_answers_their_own(self, bob: User, mo: User, other: User) -> None:
        own = new_reply(growing_tree(bob, POLICY), other, policy=POLICY)
        sent = appealing.appeal(other, delete(own, mo), WORDS)
        with pytest.raises(NotAllowed):
            appealing.grant(sent.pk, actor=other, answer="Yes.", policy=POLICY)
        with pytest.raises(NotAllowed):
            appeals.refuse(sent.pk, actor=bob, answer="No.")

    def test_what_others_built_on_is_granted_without_undoing(self, alice: User, mo: User, other: User) -> None:
        prompt = growing_tree(alice, POLICY)
        edit(prompt, mo)
        entry_id = newest(mo)
        moderator_actions.edit_message(message_id=prompt.pk, actor=mo, text="Third.", reason="More.", policy=POLICY)
        sent = appealing.appeal(alice, entry_id, WORDS)
        with pytest.raises(Conflict) as refusal:
            appealing.grant(sent.pk, actor=other, answer="Yes.", policy=POLICY)
        assert refusal.value.code == "built_on"
        sent.refresh_from_db()
        assert sent.status == "open"
        appealing.grant(sent.pk, actor=other, answer="Yes.", policy=POLICY, undoes=False)
        sent.refresh_from_db()
        assert sent.status == "granted"

    def test_undone_otherwise_it_is_granted(self, reply: Message, alice: User, mo: User) -> None:
        entry_id = delete(reply, mo)
        sent = appealing.appeal(alice, entry_id, WORDS)
        moderator_actions.undo(entry_id=entry_id, actor=mo, reason="A slip.", policy=POLICY)
        sent.refresh_from_db()
        assert (sent.status, sent.answer) == ("granted", "A slip.")
        with pytest.raises(Conflict, match="taken back"):
            appealing.appeal(alice, entry_id, WORDS)

    @pytest.mark.parametrize(
        ("action", "answered"), [("grant", "granted"), ("grant_only", "granted"), ("refuse", "refused")]
    )
    def test_in_the_admin(self, action: str, answered: str, reply: Message, alice: User, mo: User, other: User) -> None:
        sent = appealing.appeal(alice, delete(reply, mo), WORDS)
        desk = signed_in(other)
        page = desk.get(f"/admin/accounts/appeal/{sent.pk}/change/").text
        assert WORDS in page and "removed a message" in page and f"/admin/trees/message/{reply.pk}/change/" in page
        data = {"action": action, "reason": "I looked again.", "_selected_action": str(sent.pk)}
        desk.post("/admin/accounts/appeal/", data, follow=True)
        sent.refresh_from_db()
        assert (sent.status, sent.answer) == (answered, "I looked again.")
        assert Message.objects.get(pk=reply.pk).deleted == (action != "grant")

    @pytest.mark.django_db(transaction=True)
    def test_two_at_once(self, bob: User, mo: User) -> None:
        author, others = new_person("Dora"), [new_person(name, "moderator") for name in ("Mia", "Max")]
        reply = new_reply(growing_tree(bob, POLICY), author, policy=POLICY)
        sent = appealing.appeal(author, delete(reply, mo), WORDS)
        both = [partial(appealing.grant, sent.pk, actor=one, answer="Yes.", policy=POLICY) for one in others]
        results = at_once([*both, partial(appeals.refuse, sent.pk, actor=others[0], answer="No.")])
        assert all(result is None or isinstance(result, DomainError) for result in results)
        sent.refresh_from_db()
        assert (sent.status == "granted") == (not Message.objects.get(pk=reply.pk).deleted)


class TestHearing:
    @pytest.mark.parametrize(("granted", "words"), [(True, "Your appeal was granted."), (False, "was refused.")])
    def test_on_the_site_and_by_mail(
        self, granted: bool, words: str, reply: Message, alice: User, mo: User, other: User
    ) -> None:
        sent = appealing.appeal(alice, delete(reply, mo), WORDS)
        if granted:
            appealing.grant(sent.pk, actor=other, answer="I looked.", policy=POLICY)
        else:
            appeals.refuse(sent.pk, actor=other, answer="I looked.")
        for _ in range(2):
            personal.tell_of_appeal(sent.pk)
        assert Notice.objects.filter(kind="appeal_answered").count() == 1
        entry = queries.page_of(alice.pk).entries[0]
        assert words in entry.text and "I looked." in entry.text and entry.url == f"/me/decisions/{sent.entry_id}/"
        mail.outbox.clear()
        Appeal.objects.update(mailed=False)
        assert [mail_about_appeal(str(sent.pk)) for _ in range(2)] == [True, False]
        assert "I looked." in mail.outbox[0].body and entry.url in mail.outbox[0].body


def test_unknown_appeals(mo: User, reply: Message) -> None:
    with pytest.raises(NotFound):
        appealing.grant(reply.pk, actor=mo, answer="Yes.", policy=POLICY)
