"""A moderator undoes what they did a moment ago: the tree, the queue and all scores are as they were before."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from oasst.accounts.models import User
from oasst.core.audit import chain
from oasst.core.errors import Conflict, DomainError, NotAllowed, NotFound
from oasst.core.models import AuditEntry, AuditText
from oasst.site.invariants import find_differences
from tasks import upkeep
from tasks.kinds import Kind
from tests.crowd import answer, take
from tests.factories import (
    decide,
    growing_tree,
    new_people,
    new_person,
    new_prompt,
    new_reply,
    new_veterans,
    review,
    state_of,
    work_until_state,
)
from tests.tasks.test_undo import picture
from trees.contributing import reactions, withdrawal
from trees.lifecycle import reply_ranks
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import (
    Deletion,
    Message,
    MessageReading,
    MessageTree,
    NearDuplicate,
    Opening,
    Proposal,
    Reaction,
    ReadingKind,
    Report,
    Revision,
    Withdrawal,
)
from trees.moderation import auto_moderation, moderator_actions

pytestmark = pytest.mark.django_db
POLICY = TreePolicy(goal_tree_size=4, max_tree_depth=1, auto_mod_red_flags=3)
STAGES = (
    *(State.INITIAL_PROMPT_REVIEW, State.PROMPT_LOTTERY_WAITING, State.GROWING, State.RANKING),
    *(State.READY_FOR_EXPORT, State.ABORTED_LOW_GRADE),
)


@pytest.fixture(autouse=True)
def _everything_agrees(db: None) -> Iterator[None]:
    yield
    assert [one for one in find_differences(POLICY) if one.check != "answers_come_from_a_task"] == []
    assert upkeep.advance_active_trees(policy=POLICY) == 0


def tree_in(stage: State, author: User) -> Message:
    if stage == State.ABORTED_LOW_GRADE:
        prompt = new_prompt(author, policy=POLICY)
        decide(prompt, accept=False, policy=POLICY)
        return prompt
    if stage in (State.INITIAL_PROMPT_REVIEW, State.PROMPT_LOTTERY_WAITING):
        prompt = new_prompt(author, policy=POLICY)
        if stage == State.PROMPT_LOTTERY_WAITING:
            decide(prompt, policy=POLICY)
        return prompt
    prompt = growing_tree(author, POLICY)
    reply = new_reply(prompt, new_person("Writer"), policy=POLICY)
    review(reply, new_person("Reader"), policy=POLICY)
    if stage != State.GROWING:
        work_until_state(prompt.pk, stage, POLICY)
    return prompt


def flagged(message: Message, number: int = 3) -> Proposal:
    for person in new_veterans(number):
        reactions.report(message_id=message.pk, reporter=person, category="spam")
    auto_moderation.moderate(message_id=message.pk, policy=POLICY)
    return Proposal.objects.get(message=message, status=Proposal.Status.OPEN)


def queue(message: Message) -> dict[str, Any]:
    """Return what waits for moderators about a tree."""
    tree = message.tree_id
    return {
        "all messages": list(
            Message.objects.filter(tree=tree)
            .order_by("pk")
            .values(
                *("pk", "text", "revision", "deleted", "hidden", "kept_hidden", "withdrawn"),
                *("kept_at", "edited", "looks_like", "lang"),
            )
        ),
        "language": MessageTree.objects.get(pk=tree).lang,
        "languages of openings": set(Opening.objects.filter(tree=tree).values_list("lang", flat=True)),
        "proposals": list(Proposal.objects.filter(tree=tree).order_by("pk").values("pk", "status", "hides", "stops")),
        "pairs": list(NearDuplicate.objects.order_by("pk").values("pk", "status", "reason")),
        "readings": list(MessageReading.objects.order_by("pk").values("pk", "flagged", "settled_at")),
        "reports": list(Report.objects.filter(message__tree=tree).order_by("pk").values("pk", "status", "outcome")),
        "withdrawals": list(Withdrawal.objects.filter(tree=tree).order_by("pk").values("pk", "status", "answer")),
        "flags": list(
            Reaction.everything.filter(message__tree=tree).order_by("pk").values("pk", "voided_at", "overruled")
        ),
        "deletions in force": list(Deletion.objects.filter(tree=tree, undone_at=None).order_by("pk").values_list("pk")),
        "texts": list(Revision.objects.filter(message__tree=tree).order_by("pk").values_list("pk")),
    }


def effects(message: Message) -> dict[str, Any]:
    """Return the tree and the scores; a row of a board may have gone and come back."""
    seen = picture(message.tree_id)
    return {**seen, "boards": sorted(seen["boards"], key=str)}


def whole(message: Message) -> dict[str, Any]:
    return {**effects(message), **queue(message)}


def undo_last(mo: User) -> None:
    entry = AuditEntry.objects.filter(actor=mo).order_by("-pk")[0]
    moderator_actions.undo(entry_id=entry.pk, actor=mo, reason="A slip.", policy=POLICY)


def assert_undone(message: Message, mo: User, act: Callable[[], object]) -> None:
    """Do it, undo it, and do it again: it has the same effect as the first time."""
    before = whole(message)
    act()
    done = effects(message)
    assert whole(message) != before
    undo_last(mo)
    now = whole(message)
    assert {name: now[name] for name in now if now[name] != before[name]} == {}
    act()
    assert effects(message) == done


def halt(message: Message, mo: User) -> None:
    moderator_actions.halt(tree_id=message.tree_id, actor=mo, reason="Odd.", policy=POLICY)


def resume(message: Message, mo: User) -> None:
    moderator_actions.resume(tree_id=message.tree_id, actor=mo, reason="Fine.", policy=POLICY)


def delete(message: Message, mo: User) -> Deletion:
    return moderator_actions.delete_message(message_id=message.pk, actor=mo, reason="Junk.", policy=POLICY)


def keep(message: Message, mo: User) -> None:
    moderator_actions.keep(message_id=message.pk, actor=mo, reason="It is fine.", policy=POLICY)


def hide(message: Message, mo: User) -> None:
    moderator_actions.hide(message_id=message.pk, actor=mo, reason="Junk.", policy=POLICY)


def move(message: Message, mo: User, lang: str = "de") -> None:
    moderator_actions.move_to_language(
        tree_id=message.tree_id, lang=lang, actor=mo, reason="It is German.", policy=POLICY
    )


def complained_about(message: Message, alice: User) -> None:
    """Everything waits about it at once: reports, flags, a proposal, a pair, personal data."""
    flagged(message)
    for other in (new_prompt(alice, policy=POLICY), Message.objects.filter(pk__lt=message.pk).first()):
        if other is not None:
            first, second = sorted([message, other], key=lambda m: m.pk)
            NearDuplicate.objects.create(first=first, second=second, wording=0.9)
    MessageReading.objects.create(
        revision=message.revision, kind=ReadingKind.PERSONAL_DATA, result={"spans": []}, flagged=True, due_at=None
    )


def edit(message: Message, mo: User, text: str = "This is a much better text.") -> Revision:
    return moderator_actions.edit_message(
        message_id=message.pk, actor=mo, text=text, reason="Typing errors.", policy=POLICY
    )


class TestEverythingIsAsBefore:
    @pytest.mark.parametrize(
        "stage", [State.PROMPT_LOTTERY_WAITING, State.RANKING, State.READY_FOR_EXPORT, State.ABORTED_LOW_GRADE]
    )
    def test_halt(self, alice: User, mo: User, stage: State) -> None:
        prompt = tree_in(stage, alice)
        assert_undone(prompt, mo, lambda: halt(prompt, mo))

    @pytest.mark.parametrize("stage", [stage for stage in STAGES if stage != State.ABORTED_LOW_GRADE])
    def test_resume(self, alice: User, mo: User, stage: State) -> None:
        prompt = tree_in(stage, alice)
        halt(prompt, mo)
        assert_undone(prompt, mo, lambda: resume(prompt, mo))

    @pytest.mark.parametrize("stage", STAGES)
    def test_delete_the_prompt(self, alice: User, mo: User, stage: State) -> None:
        prompt = tree_in(stage, alice)
        assert_undone(prompt, mo, lambda: delete(prompt, mo))

    @pytest.mark.parametrize("stage", [State.RANKING, State.READY_FOR_EXPORT])
    def test_delete_a_reply(self, alice: User, mo: User, stage: State) -> None:
        reply = Message.objects.filter(parent=tree_in(stage, alice)).order_by("position")[0]
        assert_undone(reply, mo, lambda: delete(reply, mo))

    @pytest.mark.parametrize("stage", [State.GROWING, State.READY_FOR_EXPORT])
    def test_bring_back(self, alice: User, mo: User, stage: State) -> None:
        reply = Message.objects.filter(parent=tree_in(stage, alice)).order_by("position")[0]
        deletion = delete(reply, mo)
        assert_undone(
            reply,
            mo,
            lambda: moderator_actions.undelete(deletion_id=deletion.pk, actor=mo, reason="It was fine.", policy=POLICY),
        )

    @pytest.mark.parametrize("stage", STAGES)
    def test_edit_the_prompt(self, alice: User, mo: User, stage: State) -> None:
        prompt = tree_in(stage, alice)
        assert_undone(prompt, mo, lambda: edit(prompt, mo))

    @pytest.mark.parametrize("stage", [State.GROWING, State.RANKING])
    def test_edit_a_reply(self, alice: User, mo: User, stage: State) -> None:
        reply = Message.objects.filter(parent=tree_in(stage, alice)).order_by("position")[0]
        assert_undone(reply, mo, lambda: edit(reply, mo))

    @pytest.mark.parametrize("stage", STAGES)
    def test_hide_the_prompt(self, alice: User, mo: User, stage: State) -> None:
        prompt = tree_in(stage, alice)
        assert_undone(prompt, mo, lambda: hide(prompt, mo))

    @pytest.mark.parametrize("stage", [State.RANKING, State.READY_FOR_EXPORT])
    def test_hide_a_reply(self, alice: User, mo: User, stage: State) -> None:
        reply = Message.objects.filter(parent=tree_in(stage, alice)).order_by("position")[0]
        assert_undone(reply, mo, lambda: hide(reply, mo))

    @pytest.mark.parametrize("stage", [State.INITIAL_PROMPT_REVIEW, State.GROWING, State.READY_FOR_EXPORT])
    def test_show_what_was_hidden(self, alice: User, mo: User, stage: State) -> None:
        prompt = tree_in(stage, alice)
        message = Message.objects.filter(parent=prompt).order_by("position").first() or prompt
        hide(message, mo)
        assert_undone(message, mo, lambda: keep(message, mo))

    @pytest.mark.parametrize("stage", [State.INITIAL_PROMPT_REVIEW, State.GROWING, State.READY_FOR_EXPORT])
    def test_move_to_another_language(self, alice: User, mo: User, stage: State) -> None:
        prompt = tree_in(stage, alice)
        assert_undone(prompt, mo, lambda: move(prompt, mo))

    @pytest.mark.parametrize("act", [keep, hide, delete])
    @pytest.mark.parametrize("of_prompt", [True, False])
    def test_answer_everything(
        self, alice: User, mo: User, act: Callable[[Message, User], object], of_prompt: bool
    ) -> None:
        prompt = tree_in(State.GROWING, alice)
        message = prompt if of_prompt else Message.objects.get(parent=prompt)
        complained_about(message, new_person("Dora"))
        assert_undone(message, mo, lambda: act(message, mo))

    @pytest.mark.parametrize("decision", ["uphold", "dismiss"])
    @pytest.mark.parametrize("of_prompt", [True, False])
    def test_decide_about_complaints(self, alice: User, mo: User, decision: str, of_prompt: bool) -> None:
        prompt = tree_in(State.GROWING, alice)
        message = prompt if of_prompt else Message.objects.get(parent=prompt)
        proposal = flagged(message)
        act = getattr(moderator_actions, decision)
        assert_undone(
            message, mo, lambda: act(proposal_id=proposal.pk, actor=mo, reason="We looked at it.", policy=POLICY)
        )

    def test_delete_what_complaints_hide(self, alice: User, mo: User) -> None:
        reply = Message.objects.get(parent=tree_in(State.GROWING, alice))
        flagged(reply)
        assert_undone(reply, mo, lambda: delete(reply, mo))

    def test_resume_what_complaints_had_halted_and_decide_afterwards(self, alice: User, mo: User) -> None:
        prompt = tree_in(State.GROWING, alice)
        proposal = flagged(prompt)
        assert state_of(prompt) == State.HALTED_BY_MODERATOR
        before = effects(prompt)
        resume(prompt, mo)
        undo_last(mo)
        assert effects(prompt) == before
        moderator_actions.dismiss(proposal_id=proposal.pk, actor=mo, reason="It is fine.", policy=POLICY)
        assert state_of(prompt) == State.GROWING, "the halt is one by complaints again"

    def test_the_sizes_of_a_tree_that_is_larger_than_they_are(self, alice: User, mo: User) -> None:
        prompt = tree_in(State.GROWING, alice)
        MessageTree.objects.filter(pk=prompt.pk).update(goal_tree_size=1, max_children_count=0)
        before = MessageTree.objects.values("goal_tree_size", "max_children_count").get()
        delete(Message.objects.get(parent=prompt), mo)
        undo_last(mo)
        assert MessageTree.objects.values("goal_tree_size", "max_children_count").get() == before
        upkeep.advance_active_trees(policy=POLICY)

    @pytest.mark.parametrize("status", ["upheld", "dismissed"])
    def test_settle_a_report(self, alice: User, bob: User, mo: User, status: str) -> None:
        reply = Message.objects.get(parent=tree_in(State.GROWING, alice))
        report = reactions.report(message_id=reply.pk, reporter=bob, category="spam")
        assert_undone(
            reply,
            mo,
            lambda: moderator_actions.settle_report(
                report_id=report.pk, actor=mo, status=status, outcome="We looked.", policy=POLICY
            ),
        )

    @pytest.mark.parametrize("decision", ["grant_withdrawal", "refuse_withdrawal"])
    def test_decide_about_a_withdrawal(self, alice: User, mo: User, decision: str) -> None:
        prompt = tree_in(State.GROWING, alice)
        withdrawal.withdraw(message_id=prompt.pk, author=alice, reason="Private.", policy=POLICY)
        row = Withdrawal.objects.get()
        act = getattr(moderator_actions, decision)
        assert_undone(
            prompt, mo, lambda: act(withdrawal_id=row.pk, actor=mo, reason="We talked about it.", policy=POLICY)
        )

    def test_retry_a_scoring(self, alice: User, mo: User, monkeypatch: pytest.MonkeyPatch) -> None:
        prompt = tree_in(State.RANKING, alice)
        with monkeypatch.context() as broken:
            broken.setattr(reply_ranks, "score", lambda *_: 1 / 0)
            work_until_state(prompt.pk, State.SCORING_FAILED, POLICY)
        assert_undone(
            prompt,
            mo,
            lambda: moderator_actions.retry_scoring(tree_id=prompt.tree_id, actor=mo, reason="Mended.", policy=POLICY),
        )

    def test_who_was_at_work_goes_on(self, alice: User, mo: User) -> None:
        prompt = new_prompt(alice, policy=POLICY)
        task = take(new_person("Reader"), POLICY, Kind.LABEL_INITIAL_PROMPT)
        assert_undone(prompt, mo, lambda: halt(prompt, mo))
        undo_last(mo)
        answer(task, POLICY)
        assert Message.objects.get(pk=prompt.pk).review_count == 1


class TestOthersWentOn:
    def test_a_judged_text_stays(self, alice: User, mo: User) -> None:
        prompt = tree_in(State.INITIAL_PROMPT_REVIEW, alice)
        edit(prompt, mo)
        review(prompt, new_person("Reader"), policy=POLICY)
        before = whole(prompt)
        with pytest.raises(Conflict) as refusal:
            undo_last(mo)
        assert refusal.value.code == "built_on"
        assert whole(prompt) == before, "nothing is half undone"

    def test_a_second_edit_is_undone_before_the_first(self, alice: User, mo: User) -> None:
        prompt = tree_in(State.INITIAL_PROMPT_REVIEW, alice)
        first_text = Message.objects.get(pk=prompt.pk).text
        edit(prompt, mo, "This is the second text of it.")
        first = AuditEntry.objects.get()
        edit(prompt, mo, "This is the third text of it.")
        with pytest.raises(Conflict) as refusal:
            moderator_actions.undo(entry_id=first.pk, actor=mo, reason="A slip.", policy=POLICY)
        assert refusal.value.code == "built_on"
        undo_last(mo)
        moderator_actions.undo(entry_id=first.pk, actor=mo, reason="A slip.", policy=POLICY)
        assert Message.objects.get(pk=prompt.pk).text == first_text

    def test_work_after_a_resume_stays_and_the_tree_is_halted_where_it_is(self, alice: User, mo: User) -> None:
        prompt = tree_in(State.INITIAL_PROMPT_REVIEW, alice)
        halt(prompt, mo)
        resume(prompt, mo)
        entry = AuditEntry.objects.order_by("-pk")[0]
        decide(prompt, policy=POLICY)
        moderator_actions.undo(entry_id=entry.pk, actor=mo, reason="A slip.", policy=POLICY)
        assert state_of(prompt) == State.HALTED_BY_MODERATOR
        resume(prompt, mo)
        assert state_of(prompt) == State.PROMPT_LOTTERY_WAITING

    def test_later_complaints_are_one_case_with_the_former(self, alice: User, mo: User) -> None:
        reply = Message.objects.get(parent=tree_in(State.GROWING, alice))
        first = flagged(reply)
        keep(reply, mo)
        entry = AuditEntry.objects.get()
        later = flagged(reply)
        moderator_actions.undo(entry_id=entry.pk, actor=mo, reason="A slip.", policy=POLICY)
        assert Proposal.objects.get() == first
        assert later != first
        reply.refresh_from_db()
        assert reply.hidden
        assert Report.objects.filter(status=Report.Status.OPEN).count() == 6

    def test_a_later_decision_of_another_stays(self, alice: User, mo: User) -> None:
        reply = Message.objects.get(parent=tree_in(State.GROWING, alice))
        flagged(reply)
        keep(reply, mo)
        entry = AuditEntry.objects.get()
        hide(reply, new_person("Max", "moderator"))
        before = whole(reply)
        moderator_actions.undo(entry_id=entry.pk, actor=mo, reason="A slip.", policy=POLICY)
        now = whole(reply)
        assert {name for name in now if now[name] != before[name]} <= {"reports", "flags"}
        reply.refresh_from_db()
        assert reply.kept_hidden

    def test_complaints_that_came_later_stay(self, alice: User, bob: User, mo: User) -> None:
        reply = Message.objects.get(parent=tree_in(State.GROWING, alice))
        report = reactions.report(message_id=reply.pk, reporter=bob, category="spam")
        moderator_actions.settle_report(
            report_id=report.pk, actor=mo, status="dismissed", outcome="Fine.", policy=POLICY
        )
        entry = AuditEntry.objects.get()
        reactions.report(message_id=reply.pk, reporter=new_person("Dora"), category="spam")
        moderator_actions.undo(entry_id=entry.pk, actor=mo, reason="A slip.", policy=POLICY)
        assert sorted(Report.objects.values_list("status", flat=True)) == ["open", "open"]
        assert Reaction.objects.filter(voided_at=None).count() == 2


class TestRefusals:
    def refused(self, entry_id: int, actor: User, error: type[DomainError]) -> str:
        with pytest.raises(error) as refusal:
            moderator_actions.undo(entry_id=entry_id, actor=actor, reason="A slip.", policy=POLICY)
        return refusal.value.code

    def test_who_and_what(self, alice: User, bob: User, mo: User) -> None:
        prompt = tree_in(State.GROWING, alice)
        halt(prompt, mo)
        entry = AuditEntry.objects.get()
        assert self.refused(entry.pk, bob, NotAllowed) == "moderators_only"
        assert self.refused(entry.pk, new_person("Max", "admin"), NotAllowed) == "not_yours"
        assert self.refused(entry.pk + 1, mo, NotFound) == "act_not_found"
        undo_last(mo)
        assert self.refused(entry.pk, mo, Conflict) == "already_undone"
        undone = AuditEntry.objects.order_by("-pk")[0]
        assert self.refused(undone.pk, mo, Conflict) == "not_undoable"

    def test_erased_words(self, alice: User, mo: User) -> None:
        prompt = tree_in(State.GROWING, alice)
        halt(prompt, mo)
        AuditText.objects.update(salt="", reason="", before="", after="", erased_at=timezone.now())
        assert self.refused(AuditEntry.objects.get().pk, mo, Conflict) == "erased"


def test_each_act_is_in_the_log(alice: User, mo: User) -> None:
    prompt = tree_in(State.GROWING, alice)
    reply = Message.objects.get(parent=prompt)
    halt(prompt, mo)
    resume(prompt, mo)
    edit(reply, mo)
    delete(reply, mo)
    undo_last(mo)
    rows = AuditEntry.objects.order_by("pk").values_list("act", "actor", "target_type", "person")
    author = reply.author_id
    assert list(rows) == [
        ("tree.halt", mo.pk, "trees.messagetree", alice.pk),
        ("tree.resume", mo.pk, "trees.messagetree", alice.pk),
        ("message.edit", mo.pk, "trees.message", author),
        ("message.delete", mo.pk, "trees.message", author),
        ("act.undo", mo.pk, "core.auditentry", author),
    ]
    assert MessageTree.objects.get(pk=prompt.pk).state == State.GROWING
    chain.link_new()
    assert list(chain.verify()) == []


@pytest.mark.parametrize("act", [delete, move, hide])
def test_statements_do_not_grow_with_the_tree(alice: User, mo: User, act: Callable[[Message, User], object]) -> None:
    counts = []
    for replies in (3, 20):
        policy = replace(POLICY, goal_tree_size=replies + 9, max_children_count=replies)
        prompt = growing_tree(alice, policy)
        for writer in new_people(replies):
            new_reply(prompt, writer, policy=policy)
        with CaptureQueriesContext(connection) as done:
            act(prompt, mo)
        with CaptureQueriesContext(connection) as undone:
            undo_last(mo)
        counts.append((len(done), len(undone)))
    assert counts[0] == counts[1]
