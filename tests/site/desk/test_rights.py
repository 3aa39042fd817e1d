"""Who may decide what at the desk, whatever a form says, and what is forgotten."""

from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone

from leaderboard.models import TrollStanding
from leaderboard.time_frames import Frame
from oasst.accounts.closing import close_account
from oasst.accounts.models import AccountWarning, Appeal, User
from oasst.core.errors import Conflict, NotAllowed, NotFound
from oasst.core.models import AuditEntry, WaitingJob
from oasst.site.bulk import previews, running
from oasst.site.bulk.acts import Act, kind_of
from oasst.site.desk import claims, decisions, queue, undoing
from oasst.site.desk.subjects import Subject
from oasst.site.forgetting import forget_words_of
from oasst.site.models import BulkAct, DeskClaim, DeskDecision, Escalation
from tests.factories import growing_tree, new_person, new_prompt, new_reply
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import Message, MessageTree
from trees.moderation import appealing, bans, moderator_actions

pytestmark = pytest.mark.django_db
POLICY = TreePolicy()
WHY = "Nothing is wrong with it."


@pytest.fixture
def german(db: None) -> User:
    return of_languages(new_person("Gerda", "moderator"), "de")


def of_languages(person: User, *langs: str) -> User:
    person.moderated_languages = list(langs)
    person.save(update_fields=["moderated_languages"])
    return person


def decide(mo: User, kind: str, key: object, act: str, reason: str = WHY, **more: Any) -> DeskDecision:
    subject = Subject(kind, str(key))
    return decisions.decide(moderator=mo, session="one", subject=subject, act=act, reason=reason, **more)


def closed_appeal(alice: User, bob: User, mo: User) -> tuple[Message, Appeal]:
    reply = new_reply(growing_tree(bob), alice)
    moderator_actions.delete_message(message_id=reply.pk, actor=mo, reason="Spam.", policy=POLICY)
    entry = AuditEntry.objects.filter(actor=mo).order_by("-pk")[0]
    return reply, appealing.appeal(alice, entry.pk, "It is no spam.")


class TestLanguages:
    @pytest.mark.parametrize("act", ["keep", "go_on", "stop", "delete", "pass_on"])
    def test_a_forged_form_decides_about_no_conversation_of_another_language(
        self, german: User, mo: User, alice: User, act: str
    ) -> None:
        prompt = growing_tree(alice)
        moderator_actions.halt(tree_id=prompt.pk, actor=mo, reason="Odd.", policy=POLICY)
        with pytest.raises(NotAllowed) as refusal:
            decide(german, "tree", prompt.pk, act)
        assert refusal.value.code == "other_language"
        assert MessageTree.objects.get(pk=prompt.pk).state == State.HALTED_BY_MODERATOR
        assert not DeskDecision.objects.exists() and not Escalation.objects.exists()

    def test_appeals_come_to_moderators_of_their_language(self, german: User, mo: User, alice: User, bob: User) -> None:
        User.objects.filter(pk=german.pk).update(last_login=timezone.now())
        reply, sent = closed_appeal(alice, bob, mo)
        assert not queue.read_board(german, ["de"]).waiting
        english = new_person("Ellen", "moderator")
        assert [item.lang for item in queue.read_board(english, ["en"]).waiting] == ["en"]
        for act in ("grant", "refuse"):
            with pytest.raises(NotAllowed) as refusal:
                decide(german, "message", reply.pk, act, "We looked.")
            assert refusal.value.code == "other_language"
        with pytest.raises(NotAllowed):
            appealing.grant(sent.pk, actor=german, answer="Yes.", policy=POLICY, undoes=False)
        with pytest.raises(NotAllowed):
            appealing.refuse(sent.pk, actor=german, answer="No.")
        assert not appealing.may_answer(sent, german) and appealing.may_answer(sent, english)
        claims.give_back(german)
        decide(english, "message", reply.pk, "refuse", "We looked.")
        sent.refresh_from_db()
        assert sent.status == Appeal.Status.REFUSED

    def test_whoever_moved_a_conversation_out_of_their_languages_can_take_it_back(
        self, german: User, alice: User, mo: User
    ) -> None:
        prompt = new_prompt(alice, lang="de")
        decision = decide(german, "message", prompt.pk, "move", "It is English.", lang="en")
        prompt.refresh_from_db()
        assert prompt.lang == "en"
        of_languages(german, "fr")
        with pytest.raises(NotAllowed):
            undoing.undo_decision(decision, actor=german, reason="A slip.")
        of_languages(german, "de")
        undoing.undo_decision(decision, actor=german, reason="A slip.")
        prompt.refresh_from_db()
        assert prompt.lang == "de"


class TestNothing:
    @pytest.mark.parametrize("kind", ["message", "tree", "person", "chat"])
    @pytest.mark.parametrize("act", ["keep", "pass_on"])
    def test_there_is_no_decision_about_what_is_not_there(self, mo: User, kind: str, act: str) -> None:
        with pytest.raises((NotFound, Conflict)):
            decide(mo, kind, uuid4(), act)
        assert not DeskDecision.objects.exists() and not Escalation.objects.exists()

    def test_nobody_says_of_themselves_that_nothing_is_to_be_done(self, mo: User) -> None:
        facts = ("id", "frame", "person", "updated_at", "score", "red_flags")
        zeros = {one.name: 0 for one in TrollStanding._meta.concrete_fields if one.name not in facts}
        TrollStanding.objects.create(frame=Frame.WEEK.value, person=mo, red_flags=50, **zeros)
        assert not queue.read_board(mo).waiting and queue.read_board(new_person("Max", "moderator")).waiting
        with pytest.raises(NotAllowed, match="yourself"):
            decide(mo, "person", mo.pk, "keep")

    def test_an_appeal_is_answered_and_not_left(self, mo: User, alice: User) -> None:
        bans.ban(alice, actor=mo, reason="Spam.")
        Appeal.objects.create(user=alice, text="Please.")
        with pytest.raises(Conflict, match="grant or refuse"):
            decide(mo, "person", alice.pk, "keep")
        decide(mo, "person", alice.pk, "grant")

    def test_a_proposed_ban_waits_for_others_until_they_leave_it(self, mo: User) -> None:
        admin, second, third = (new_person(name, "admin") for name in ("Alma", "Ada", "Abe"))
        assert not bans.ban(second, actor=admin, reason="Bad.")
        assert not queue.read_board(admin).waiting, "who proposed it cannot confirm it"
        assert not queue.read_board(second).waiting, "it is about them"
        assert [item.subject.id for item in queue.read_board(third).waiting] == [str(second.pk)]
        decide(third, "person", second.pk, "keep")
        assert not queue.read_board(third).waiting


class TestClaims:
    def test_nobody_holds_more_than_one_item(self, mo: User, alice: User) -> None:
        for prompt in [new_prompt(alice) for _ in range(3)]:
            assert claims.renew(mo, Subject("message", str(prompt.pk)))
        assert DeskClaim.objects.filter(moderator=mo).count() == 1

    def test_what_is_kept_of_a_refused_form_is_limited(self, mo: User, alice: User) -> None:
        client = Client()
        client.force_login(mo)
        sent = {"subject_kind": "message", "subject_id": new_prompt(alice).pk, "act": "edit", "reason": "x" * 100_000}
        client.post("/admin/desk/decide/", sent)
        assert len(client.session["desk_refused"]["reason"]) <= 20_000


class TestForgetting:
    def prepare(self, alice: User, mo: User) -> None:
        prompt = new_prompt(alice, "My secret recipe.")
        decide(mo, "message", prompt.pk, "keep", "Alice means well.", also="warn")
        decide(mo, "person", alice.pk, "pass_on", "Alice again.")
        Escalation.objects.update(closed_at=timezone.now())
        messages = Message.objects.filter(pk=prompt.pk)
        bulk = previews.draft_on_messages(
            actor=mo, kind=kind_of(Act.KEEP), messages=messages, chosen_by="Messages as: My secret recipe."
        )
        running.start(bulk_id=bulk.pk, actor=mo, reason="Fine.")

    def left(self) -> set[str]:
        rows = (
            DeskDecision.objects.values_list("reason", flat=True),
            Escalation.objects.values_list("note", flat=True),
            AccountWarning.objects.values_list("about", flat=True),
            BulkAct.objects.values_list("chosen_by", flat=True),
        )
        return {text for texts in rows for text in texts}

    def test_a_closed_account(self, alice: User, bob: User, mo: User) -> None:
        self.prepare(alice, mo)
        decide(mo, "message", new_prompt(bob).pk, "keep", "Bob is fine.")
        assert len(self.left()) == 5
        close_account(alice)
        assert WaitingJob.objects.filter(job__endswith="forget_words_of", args=[str(alice.pk)]).exists()
        forget_words_of(str(alice.pk))
        assert self.left() - {""} == {"Bob is fine."}
