"""A moderator undoes decisions of the desk: everything is as before, or nothing happens."""

from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from inference.chats import feedback
from inference.chats import moderation as chats
from inference.models import ChatReport
from oasst.accounts import account_changes, appeals
from oasst.accounts.models import Appeal, Ban, SuspendedIdentity, User
from oasst.core.audit.recording import collected_entries
from oasst.core.errors import Conflict, DomainError, Invalid, NotAllowed
from oasst.core.models import AuditEntry
from oasst.site import purging
from oasst.site.desk import decisions, undoing
from oasst.site.desk.subjects import Subject
from oasst.site.models import DeskDecision, Escalation
from tests.factories import growing_tree, new_person, new_prompt, new_reply, review, state_of
from tests.inference.talking import answered, ask
from tests.trees.moderation.test_act_undo import effects, whole
from trees.enrichment import pairs
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import Message, MessageReading, NearDuplicate, Purge, ReadingKind
from trees.moderation import banned_authors, bans, moderator_actions, personal_data

pytestmark = pytest.mark.django_db
POLICY = TreePolicy(goal_tree_size=4, max_tree_depth=1)


def decided(mo: User, *acts: Callable[[], object], session: str = "s", **about: Any) -> DeskDecision:
    """Do these acts as one decision of the desk."""
    with collected_entries() as entries:
        for act in acts:
            act()
    about = {"subject_kind": "person", "subject_id": "1", "act": "some", "reason": "Rude.", **about}
    return DeskDecision.objects.create(moderator=mo, session=session, entries=[one.pk for one in entries], **about)


def undo(decision: DeskDecision, actor: User) -> None:
    undoing.undo_decision(decision, actor=actor, reason="A slip.", policy=POLICY)


def refused(decision: DeskDecision, actor: User, error: type[DomainError] = Conflict) -> str:
    with pytest.raises(error) as refusal:
        undo(decision, actor)
    return refusal.value.code


def account(user: User) -> dict[str, Any]:
    """Return everything about the standing of this user."""
    columns = [one.attname for one in User._meta.concrete_fields if one.attname != "last_activity_at"]
    return {
        "user": User.objects.filter(pk=user.pk).values(*columns).get(),
        "bans": list(Ban.objects.filter(user=user).order_by("pk").values()),
        "appeals": list(Appeal.objects.filter(user=user).order_by("pk").values()),
        "suspended": list(SuspendedIdentity.objects.filter(user=user).order_by("pk").values()),
    }


def passed_on(person: User, mo: User) -> DeskDecision:
    subject = Subject("person", str(person.pk))
    return decisions.decide(moderator=mo, session="s", subject=subject, act="pass_on", reason="Please look.")


def ban(user: User, mo: User, reason: str = "Rude.") -> Callable[[], object]:
    return lambda: bans.ban(user, actor=mo, reason=reason)


def undoable(moderator: User) -> list[DeskDecision]:
    return [one for one, may_undo in undoing.latest_decisions(moderator, "s") if may_undo]


class TestAccounts:
    def assert_undone(self, user: User, mo: User, act: Callable[[], object]) -> None:
        before = account(user)
        decision = decided(mo, act)
        assert account(user) != before
        undo(decision, mo)
        assert account(user) == before
        assert undoable(mo) == []

    def test_a_ban(self, alice: User, mo: User) -> None:
        self.assert_undone(alice, mo, ban(alice, mo))

    def test_a_second_ban(self, alice: User, mo: User) -> None:
        ban(alice, mo)()
        self.assert_undone(alice, mo, ban(alice, mo, "And spam."))

    def test_the_end_of_a_ban_with_an_appeal(self, alice: User, mo: User) -> None:
        ban(alice, mo)()
        appeals.appeal(alice, "I promise to be kind.")
        self.assert_undone(alice, mo, lambda: bans.unban(alice, actor=mo, reason="They promised."))

    def test_an_appeal_since_the_ban_is_granted(self, alice: User, mo: User) -> None:
        decision = decided(mo, ban(alice, mo))
        appeals.appeal(alice, "It was not me.")
        undo(decision, mo)
        assert Appeal.objects.get().status == "granted"

    def test_a_refused_appeal(self, alice: User, mo: User) -> None:
        ban(alice, mo)()
        row = appeals.appeal(alice, "I promise to be kind.")
        self.assert_undone(alice, mo, lambda: appeals.refuse(row.pk, actor=mo, answer="No."))

    @pytest.mark.parametrize(
        "change",
        [{"display_name": "Somebody"}, {"notes": "Odd."}, {"show_on_leaderboard": False}, {"role": "moderator"}],
    )
    def test_a_change_of_the_account(self, alice: User, change: dict[str, Any]) -> None:
        admin = new_person("Max", "admin")
        self.assert_undone(
            alice, admin, lambda: account_changes.change_account(alice, actor=admin, reason="Asked.", **change)
        )

    def test_waiting_prompts_wait_again(self, alice: User, mo: User) -> None:
        prompt = new_prompt(alice, policy=POLICY)
        before = whole(prompt)
        decision = decided(mo, ban(alice, mo))
        banned_authors.stop_or_resume_prompts(person_id=alice.pk, policy=POLICY)
        assert state_of(prompt) == State.HALTED_BY_MODERATOR
        undo(decision, mo)
        banned_authors.stop_or_resume_prompts(person_id=alice.pk, policy=POLICY)
        assert whole(prompt) == before

    def test_what_others_changed_since_is_respected(self, alice: User, mo: User) -> None:
        decision = decided(mo, ban(alice, mo))
        bans.unban(alice, actor=new_person("Max", "moderator"), reason="No reason.")
        before = account(alice)
        assert refused(decision, mo) == "built_on"
        assert account(alice) == before

    def test_a_name_that_is_taken_by_now(self, alice: User, bob: User, mo: User) -> None:
        name = alice.display_name
        decision = decided(
            mo, lambda: account_changes.change_account(alice, actor=mo, reason="Rude.", display_name="Somebody")
        )
        account_changes.change_account(bob, actor=mo, reason="Asked.", display_name=name)
        assert refused(decision, mo, Invalid) == "name_taken"
        alice.refresh_from_db()
        assert alice.display_name == "Somebody"

    def test_only_what_is_still_so_is_put_back(self, alice: User, mo: User) -> None:
        decision = decided(
            mo, lambda: account_changes.change_account(alice, actor=mo, reason="Rude.", display_name="One", notes="Odd")
        )
        account_changes.change_account(alice, actor=mo, reason="More.", display_name="Two")
        undo(decision, mo)
        alice.refresh_from_db()
        assert (alice.display_name, alice.notes) == ("Two", "")


class TestSeveralActs:
    def test_all_or_nothing(self, alice: User, mo: User) -> None:
        """A message is deleted and its author banned; somebody ends the ban: then the message stays deleted, too."""
        reply = new_reply(growing_tree(new_person("Dora"), POLICY), alice, policy=POLICY)
        remove = lambda: moderator_actions.delete_message(  # noqa: E731
            message_id=reply.pk, actor=mo, reason="Rude.", policy=POLICY
        )
        before = whole(reply), account(alice)
        undo(decided(mo, remove, ban(alice, mo)), mo)
        assert (whole(reply), account(alice)) == before
        decision = decided(mo, remove, ban(alice, mo))
        bans.unban(alice, actor=new_person("Max", "moderator"), reason="No reason.")
        done = effects(reply), account(alice)
        assert refused(decision, mo) == "built_on"
        assert (effects(reply), account(alice)) == done
        assert DeskDecision.objects.get(pk=decision.pk).undone_at is None

    def test_two_acts_on_one_message(self, alice: User, mo: User) -> None:
        reply = new_reply(growing_tree(new_person("Dora"), POLICY), alice, policy=POLICY)
        review(reply, new_person("Reader"), policy=POLICY)
        about: dict[str, Any] = {"actor": mo, "reason": "Rude.", "policy": POLICY}
        before = whole(reply)
        undo(
            decided(
                mo,
                lambda: moderator_actions.hide(message_id=reply.pk, **about),
                lambda: moderator_actions.halt(tree_id=reply.tree_id, **about),
            ),
            mo,
        )
        assert whole(reply) == before


class TestOtherSubjects:
    def test_reports_of_a_chat(self, alice: User, mo: User, settings: Any) -> None:
        settings.OASST_CHAT_MODEL = "tiny"
        answer = answered(ask(alice, "A question"), "A rude answer")
        report = feedback.report(user=alice, message_id=answer.pk, kind="offensive", reason="It swears.")
        before = ChatReport.objects.values().get()
        undo(decided(mo, lambda: chats.resolve_report(report_id=report.pk, actor=mo, outcome="Right.")), mo)
        assert ChatReport.objects.values().get() == before

    def test_personal_data(self, alice: User, mo: User) -> None:
        prompt = new_prompt(alice)
        MessageReading.objects.create(
            revision=prompt.revision, kind=ReadingKind.PERSONAL_DATA, result={"spans": []}, flagged=True, due_at=None
        )
        before = MessageReading.objects.values().get()
        undo(
            decided(
                mo,
                lambda: personal_data.keep(message_id=prompt.pk, revision_id=str(prompt.revision_id), actor=mo),
            ),
            mo,
        )
        assert MessageReading.objects.values().get() == before

    def test_near_duplicates(self, alice: User, bob: User, mo: User) -> None:
        first, second = sorted((new_prompt(alice), new_prompt(bob)), key=lambda one: one.pk)
        pair = NearDuplicate.objects.create(first=first, second=second, wording=0.9)
        before = NearDuplicate.objects.values().get()
        undo(
            decided(
                mo,
                lambda: pairs.decide(pair_id=pair.pk, actor=mo, reason="Fine.", status=NearDuplicate.Status.DISMISSED),
            ),
            mo,
        )
        assert NearDuplicate.objects.values().get() == before

    def test_what_was_passed_on(self, alice: User, mo: User) -> None:
        decision = passed_on(alice, mo)
        assert undoing.latest_decisions(mo, "s") == [(decision, True)]
        undo(decision, mo)
        assert not Escalation.objects.exists()
        decision = passed_on(alice, mo)
        Escalation.objects.update(closed_at=timezone.now())
        assert refused(decision, mo) == "built_on"

    def test_the_answer_of_an_administrator(self, alice: User, mo: User) -> None:
        admin = new_person("Max", "admin")
        passed_on(alice, mo)
        subject = Subject("person", str(alice.pk))
        decision = decisions.decide(moderator=admin, session="s", subject=subject, act="keep", reason="All is well.")
        assert Escalation.objects.get().closed_at is not None
        undo(decision, admin)
        assert Escalation.objects.get().closed_at is None
        told = AuditEntry.objects.filter(target_id=str(alice.pk)).order_by("pk").values_list("act", "person_id")
        assert list(told) == [("desk.pass_on", alice.pk), ("desk.answer", alice.pk)]

    def test_a_purge_is_undone_by_its_job(self, alice: User, mo: User) -> None:
        prompt = growing_tree(alice, POLICY)
        before = whole(prompt), account(alice)["user"]["enabled"]
        decision = decided(mo, lambda: purging.start_purge(user=alice, actor=mo, reason="Spam."))
        purge = Purge.objects.get()
        purging.continue_purge(purge_id=purge.pk, policy=POLICY)
        assert Message.objects.get(pk=prompt.pk).deleted
        undo(decision, mo)
        purging.continue_purge(purge_id=purge.pk, policy=POLICY)
        assert (whole(prompt), account(alice)["user"]["enabled"]) == before


class TestRefusals:
    def test_who_and_how_often(self, alice: User, bob: User, mo: User) -> None:
        decision = decided(mo, ban(alice, mo))
        assert refused(decision, bob, NotAllowed) == "moderators_only"
        assert refused(decision, new_person("Max", "admin"), NotAllowed) == "not_yours"
        undo(decision, mo)
        assert refused(decision, mo) == "already_undone"

    def test_what_cannot_be_undone(self, mo: User) -> None:
        entry = AuditEntry.objects.create(act="account.merge", actor=mo, target_type="accounts.user", target_id="1")
        decision = decided(mo)
        DeskDecision.objects.filter(pk=decision.pk).update(entries=[entry.pk])
        assert undoable(mo) == []
        decision.refresh_from_db()
        assert refused(decision, mo) == "not_undoable"

    def test_the_last_of_this_session(self, mo: User) -> None:
        mine = [decided(mo) for _ in range(12)]
        other = decided(mo, session="another")
        undo(mine[11], mo)
        assert undoable(mo) == mine[10:0:-1]
        assert [one for one, _ in undoing.latest_decisions(mo)][:2] == [other, mine[11]], (
            "of all sessions, undone or not"
        )
