"""What moderators and automatic moderation do to a tree, and that all of it can be undone."""

from uuid import uuid4

import pytest
from django.db import transaction

from oasst.accounts.models import User
from oasst.core.errors import Conflict, Gone, Invalid, NotAllowed, NotFound
from oasst.site.invariants import find_differences
from tasks import upkeep
from tests.factories import (
    decide,
    growing_tree,
    new_person,
    new_prompt,
    new_reply,
    new_veterans,
    rank,
    review,
    state_of,
    work_until_state,
)
from trees.contributing import reactions, reviews
from trees.lifecycle import transitions
from trees.lifecycle.locked_tree import lock_tree
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State, Work
from trees.models import (
    Deletion,
    Message,
    MessageTree,
    Opening,
    Proposal,
    Reaction,
    Report,
    Review,
    Skip,
    TreeTransition,
)
from trees.moderation import auto_moderation, moderator_actions

pytestmark = pytest.mark.django_db
POLICY = TreePolicy()
SMALL = TreePolicy(goal_tree_size=4, max_tree_depth=1)


@pytest.fixture(autouse=True)
def _nothing_disagrees(db: None) -> object:
    yield
    # The factories call the services directly, without tasks.
    assert [one for one in find_differences(POLICY) if one.check != "answers_come_from_a_task"] == []
    assert upkeep.advance_active_trees(policy=POLICY) == 0


def halt(prompt: Message, mo: User, policy: TreePolicy = POLICY) -> None:
    moderator_actions.halt(tree_id=prompt.tree_id, actor=mo, reason="Looks odd.", policy=policy)


def resume(prompt: Message, mo: User, policy: TreePolicy = POLICY) -> None:
    moderator_actions.resume(tree_id=prompt.tree_id, actor=mo, reason="It is fine.", policy=policy)


def delete(message: Message, mo: User, policy: TreePolicy = POLICY) -> Deletion:
    return moderator_actions.delete_message(message_id=message.pk, actor=mo, reason="Copied.", policy=policy)


def undelete(deletion: Deletion, mo: User, policy: TreePolicy = POLICY) -> Deletion:
    return moderator_actions.undelete(deletion_id=deletion.pk, actor=mo, reason="Not copied.", policy=policy)


class TestHaltAndResume:
    @pytest.mark.parametrize("stage", ["review", "waiting", "growing", "ranking", "finished", "rejected"])
    def test_it_goes_back_to_where_it_was(self, alice: User, mo: User, stage: str) -> None:
        prompt = new_prompt(alice, policy=SMALL)
        if stage == "rejected":
            decide(prompt, accept=False, policy=SMALL)
        elif stage != "review":
            decide(prompt, policy=SMALL)
            if stage != "waiting":
                target = {"growing": State.GROWING, "ranking": State.RANKING, "finished": State.READY_FOR_EXPORT}
                from tasks import lottery

                lottery.draw("en", SMALL)
                work_until_state(prompt.pk, target[stage], SMALL)
        before = state_of(prompt)
        work = set(Opening.objects.values_list("work", "message"))
        halt(prompt, mo, SMALL)
        assert state_of(prompt) == State.HALTED_BY_MODERATOR
        assert not Opening.objects.exists()
        halt(prompt, mo, SMALL)
        resume(prompt, mo, SMALL)
        assert state_of(prompt) == before
        assert set(Opening.objects.values_list("work", "message")) == work
        last = TreeTransition.objects.filter(tree=prompt.pk).order_by("-id")[0]
        assert (last.reason, last.actor) == ("It is fine.", mo)

    def test_refusals(self, alice: User, bob: User, mo: User) -> None:
        prompt = new_prompt(alice)
        with pytest.raises(NotAllowed):
            halt(prompt, bob)
        with pytest.raises(Conflict):
            resume(prompt, mo)
        with pytest.raises(Invalid):
            moderator_actions.halt(tree_id=prompt.tree_id, actor=mo, reason="  ", policy=POLICY)
        assert state_of(prompt) == State.INITIAL_PROMPT_REVIEW

    def test_nothing_is_taken_while_it_is_stopped(self, alice: User, bob: User, mo: User) -> None:
        prompt = growing_tree(alice)
        halt(prompt, mo)
        with pytest.raises(Gone):
            new_reply(prompt, bob)
        assert Message.objects.count() == 1


class TestDeleteAndUndelete:
    def test_a_reply_goes_with_everything_below_and_its_place_is_free(self, alice: User, mo: User) -> None:
        policy = TreePolicy(goal_tree_size=6)
        prompt = growing_tree(alice, policy)
        reply = new_reply(prompt, new_person("Writer"), policy=policy)
        decide(reply, policy=policy)
        below = new_reply(reply, new_person("Asker"), policy=policy)
        places = Opening.objects.filter(message=prompt).count()
        deletion = delete(reply, mo, policy)
        assert set(deletion.message_ids) == {reply.pk, below.pk}
        assert not Message.objects.filter(pk__in=[reply.pk, below.pk], deleted=False).exists()
        assert Opening.objects.filter(message=prompt, work=Work.ASSISTANT_REPLY).count() >= places
        assert not Opening.objects.filter(message__in=[reply, below]).exists()
        undelete(deletion, mo, policy)
        assert Message.objects.filter(deleted=False).count() == 3
        assert Opening.objects.filter(message=below, work=Work.LABEL_PROMPTER_REPLY).exists()

    def test_undoing_brings_back_exactly_that_batch(self, alice: User, mo: User) -> None:
        policy = TreePolicy(goal_tree_size=6)
        prompt = growing_tree(alice, policy)
        reply = new_reply(prompt, new_person("Writer"), policy=policy)
        decide(reply, policy=policy)
        below = new_reply(reply, new_person("Asker"), policy=policy)
        first = delete(below, mo, policy)
        second = delete(reply, mo, policy)
        with pytest.raises(Conflict) as refusal:
            undelete(first, mo, policy)
        assert refusal.value.code == "parent_deleted"
        undelete(second, mo, policy)
        below.refresh_from_db()
        assert below.deleted
        with pytest.raises(Conflict):
            undelete(second, mo, policy)

    @pytest.mark.parametrize("stage", [State.INITIAL_PROMPT_REVIEW, State.GROWING, State.RANKING])
    def test_a_deleted_prompt_stops_its_tree_and_frees_its_quota(self, alice: User, mo: User, stage: State) -> None:
        prompt = new_prompt(alice, policy=SMALL) if stage == State.INITIAL_PROMPT_REVIEW else growing_tree(alice, SMALL)
        work_until_state(prompt.pk, stage, SMALL)
        deletion = delete(prompt, mo, SMALL)
        assert state_of(prompt) == State.HALTED_BY_MODERATOR
        with pytest.raises(Conflict):
            resume(prompt, mo, SMALL)
        undelete(deletion, mo, SMALL)
        assert state_of(prompt) == stage
        is_new = stage == State.INITIAL_PROMPT_REVIEW
        work_until_state(prompt.pk, State.PROMPT_LOTTERY_WAITING if is_new else State.READY_FOR_EXPORT, SMALL)

    def test_deleting_what_was_awaited_lets_the_tree_go_on(self, alice: User, mo: User) -> None:
        policy = TreePolicy(goal_tree_size=3, max_tree_depth=1, max_children_count=3)
        prompt = growing_tree(alice, policy)
        work_until_state(prompt.pk, State.RANKING, policy)
        replies = list(Message.objects.filter(parent=prompt).order_by("position"))
        delete(replies[0], mo, policy)
        assert state_of(prompt) == State.READY_FOR_EXPORT  # one answer alone cannot be ranked

    def test_ranks_of_a_finished_tree_follow(self, alice: User, mo: User) -> None:
        prompt = growing_tree(alice, SMALL)
        work_until_state(prompt.pk, State.READY_FOR_EXPORT, SMALL)
        first, second, third = Message.objects.filter(parent=prompt).order_by("position")
        deletion = delete(first, mo, SMALL)
        ranks = dict(Message.objects.filter(parent=prompt).values_list("pk", "rank"))
        assert (ranks[second.pk], ranks[third.pk]) == (0, 1)
        undelete(deletion, mo, SMALL)
        ranks = dict(Message.objects.filter(parent=prompt).values_list("pk", "rank"))
        assert [ranks[m.pk] for m in (first, second, third)] == [0, 1, 2]


class TestEdit:
    def test_the_new_text_is_reviewed_anew_and_old_reviews_stay_with_the_old_text(
        self, alice: User, bob: User, mo: User
    ) -> None:
        prompt = new_prompt(alice, "What is teh sky?")
        review(prompt, bob, spam=1)
        revision = moderator_actions.edit_message(
            message_id=prompt.pk, actor=mo, text="What is the sky?", reason="Typo.", policy=POLICY
        )
        prompt.refresh_from_db()
        assert (prompt.text, prompt.edited, prompt.revision) == ("What is the sky?", True, revision)
        assert prompt.author == alice
        assert Review.objects.get().revision_id == prompt.pk  # the first revision has the id of its message
        assert Opening.objects.filter(message=prompt).count() == 2
        review(prompt, bob)
        decide(prompt)
        assert state_of(prompt) == State.PROMPT_LOTTERY_WAITING

    def test_a_finished_tree_keeps_its_decisions(self, alice: User, mo: User) -> None:
        prompt = growing_tree(alice, SMALL)
        work_until_state(prompt.pk, State.READY_FOR_EXPORT, SMALL)
        reply = Message.objects.filter(parent=prompt)[0]
        moderator_actions.edit_message(message_id=reply.pk, actor=mo, text="Better.", reason="Typo.", policy=SMALL)
        reply.refresh_from_db()
        assert (reply.review_result, state_of(prompt)) == (True, State.READY_FOR_EXPORT)

    def test_a_reply_that_is_rejected_after_its_edit_takes_its_branch_out(self, alice: User, mo: User) -> None:
        policy = TreePolicy(goal_tree_size=6)
        prompt = growing_tree(alice, policy)
        reply = new_reply(prompt, new_person("Writer"), policy=policy)
        decide(reply, policy=policy)
        below = new_reply(reply, new_person("Asker"), policy=policy)
        decide(below, policy=policy)
        moderator_actions.edit_message(
            message_id=reply.pk, actor=mo, text="Now it is junk.", reason="Test.", policy=policy
        )
        decide(reply, accept=False, policy=policy)
        assert not Opening.objects.filter(message=below).exists()
        work_until_state(prompt.pk, State.READY_FOR_EXPORT, policy)

    def test_refusals(self, alice: User, mo: User) -> None:
        prompt = new_prompt(alice, "What is the sky?")
        for text, code in (("", "blank"), ("What is the sky?", "unchanged"), ("x" * 2001, "too_long")):
            with pytest.raises(Invalid) as refusal:
                moderator_actions.edit_message(
                    message_id=prompt.pk, actor=mo, text=text, reason="Why not.", policy=POLICY
                )
            assert refusal.value.code == code
        assert prompt.revisions.count() == 1


class TestReactions:
    def test_thumbs_exclude_each_other(self, alice: User, bob: User) -> None:
        prompt = new_prompt(alice)
        reactions.set_reaction(message_id=prompt.pk, user=bob, emoji="+1")
        reactions.set_reaction(message_id=prompt.pk, user=bob, emoji="-1")
        message = reactions.set_reaction(message_id=prompt.pk, user=bob, emoji="-1", on=True)
        assert message.emojis == {"-1": 1}
        assert Reaction.objects.get().emoji == "-1"
        assert reactions.set_reaction(message_id=prompt.pk, user=bob, emoji="-1").emojis == {}
        assert not Reaction.objects.exists()

    def test_nobody_thumbs_their_own_message(self, alice: User) -> None:
        prompt = new_prompt(alice)
        assert reactions.set_reaction(message_id=prompt.pk, user=alice, emoji="+1").emojis == {}
        assert reactions.set_reaction(message_id=prompt.pk, user=alice, emoji="rofl").emojis == {"rofl": 1}

    def test_an_unknown_reaction(self, alice: User, bob: User) -> None:
        prompt = new_prompt(alice)
        for emoji in ("_skip_reply", "heart", ""):
            with pytest.raises(Invalid):
                reactions.set_reaction(message_id=prompt.pk, user=bob, emoji=emoji)
        assert not Reaction.objects.exists()


class TestReports:
    def test_a_second_report_adds_to_the_first(self, alice: User, bob: User) -> None:
        prompt = new_prompt(alice)
        first = reactions.report(message_id=prompt.pk, reporter=bob, category="spam", text="An advertisement.")
        again = reactions.report(message_id=prompt.pk, reporter=bob, category="copied", text="From a shop.")
        assert first.pk == again.pk
        assert Report.objects.get().text == "An advertisement.\n\nFrom a shop."
        assert Message.objects.get(pk=prompt.pk).emojis == {"red_flag": 1}

    def test_refusals(self, alice: User, bob: User) -> None:
        prompt = new_prompt(alice)
        with pytest.raises(Invalid):
            reactions.report(message_id=prompt.pk, reporter=bob, category="boring")
        assert not Report.objects.exists()


class TestSettling:
    @pytest.fixture
    def report(self, alice: User, bob: User) -> Report:
        return reactions.report(message_id=new_prompt(alice).pk, reporter=bob, category="spam")

    @pytest.mark.parametrize("status", ["upheld", "dismissed"])
    def test_it_is_answered(self, report: Report, mo: User, status: str) -> None:
        moderator_actions.settle_report(
            report_id=report.pk, actor=mo, status=status, outcome="  We looked. ", policy=POLICY
        )
        report.refresh_from_db()
        assert (report.status, report.outcome, report.handled_by) == (status, "We looked.", mo)
        assert report.handled_at is not None

    def test_only_once(self, report: Report, mo: User) -> None:
        moderator_actions.settle_report(
            report_id=report.pk, actor=mo, status="upheld", outcome="Taken away.", policy=POLICY
        )
        with pytest.raises(Conflict) as refusal:
            moderator_actions.settle_report(
                report_id=report.pk, actor=new_person("Max", "admin"), status="dismissed", outcome="No.", policy=POLICY
            )
        assert refusal.value.code == "already_settled"
        report.refresh_from_db()
        assert (report.status, report.outcome, report.handled_by) == ("upheld", "Taken away.", mo)

    def test_the_same_person_says_nothing_new_about_the_same_text_afterwards(
        self, report: Report, bob: User, mo: User
    ) -> None:
        moderator_actions.settle_report(
            report_id=report.pk, actor=mo, status="dismissed", outcome="Nothing wrong.", policy=POLICY
        )
        again = reactions.report(message_id=report.message_id, reporter=bob, category="spam")
        assert (again.pk, again.status) == (report.pk, "dismissed")
        # A new text is a new case.
        moderator_actions.edit_message(
            message_id=report.message_id, actor=mo, text="Better.", reason="Typo.", policy=POLICY
        )
        again = reactions.report(message_id=report.message_id, reporter=bob, category="spam")
        assert (again.pk != report.pk, again.status) == (True, "open")

    def test_refusals(self, report: Report, bob: User, mo: User) -> None:
        with pytest.raises(NotAllowed):
            moderator_actions.settle_report(
                report_id=report.pk, actor=bob, status="upheld", outcome="Mine.", policy=POLICY
            )
        with pytest.raises(NotFound):
            moderator_actions.settle_report(
                report_id=uuid4(), actor=mo, status="upheld", outcome="Where?", policy=POLICY
            )
        for status, outcome, field in (
            ("upheld", " ", "outcome"),
            ("upheld", "x" * 1001, "outcome"),
            ("open", "Hm.", "status"),
        ):
            with pytest.raises(Invalid) as refusal:
                moderator_actions.settle_report(
                    report_id=report.pk, actor=mo, status=status, outcome=outcome, policy=POLICY
                )
            assert refusal.value.field == field
        report.refresh_from_db()
        assert (report.status, report.handled_at) == ("open", None)


class TestThresholds:
    """What enough complaints do. Whose complaints count is in tests/trees/moderation/test_complaints.py."""

    def flag(self, message: Message, times: int) -> None:
        for person in new_veterans(times):
            reactions.report(message_id=message.pk, reporter=person, category="spam")
        auto_moderation.moderate(message_id=message.pk, policy=POLICY)

    def test_four_flags_stop_the_tree_of_a_prompt_until_a_moderator_decides(self, alice: User) -> None:
        prompt = new_prompt(alice)
        self.flag(prompt, 3)
        assert state_of(prompt) == State.INITIAL_PROMPT_REVIEW
        self.flag(prompt, 1)
        assert state_of(prompt) == State.HALTED_BY_MODERATOR
        proposal = Proposal.objects.get()
        assert (proposal.message, proposal.voices, proposal.hides, proposal.stops) == (prompt, 4, True, True)
        assert not auto_moderation.moderate(message_id=prompt.pk, policy=POLICY)

    @pytest.mark.parametrize("stage", [State.INITIAL_PROMPT_REVIEW, State.PROMPT_LOTTERY_WAITING, State.GROWING])
    @pytest.mark.parametrize("by", ["resuming", "dismissing"])
    def test_a_moderator_lets_a_flagged_prompt_go_on(self, alice: User, mo: User, stage: State, by: str) -> None:
        prompt = growing_tree(alice) if stage == State.GROWING else new_prompt(alice)
        if stage == State.PROMPT_LOTTERY_WAITING:
            decide(prompt)
        work = set(Opening.objects.values_list("work", "message"))
        self.flag(prompt, 4)
        assert state_of(prompt) == State.HALTED_BY_MODERATOR
        if by == "resuming":
            resume(prompt, mo)
        else:
            moderator_actions.dismiss(proposal_id=Proposal.objects.get().pk, actor=mo, reason="Fine.", policy=POLICY)
        assert state_of(prompt) == stage
        assert set(Opening.objects.values_list("work", "message")) == work
        proposal = Proposal.objects.get()
        assert (proposal.status, proposal.decided_by) == ("dismissed", mo)
        assert not Message.objects.get(pk=prompt.pk).hidden

    def test_what_reviewers_rejected_stays_rejected(self, alice: User, mo: User) -> None:
        prompt = new_prompt(alice)
        decide(prompt, accept=False)
        with pytest.raises(Conflict) as refusal:
            resume(prompt, mo)
        assert (refusal.value.code, state_of(prompt)) == ("prompt_rejected", State.ABORTED_LOW_GRADE)

    def test_a_tree_that_flags_ended_before_there_were_proposals_goes_on_and_stays(self, alice: User, mo: User) -> None:
        prompt = new_prompt(alice)
        for person in new_veterans(4):
            reactions.report(message_id=prompt.pk, reporter=person, category="spam")
        with transaction.atomic():
            locked = lock_tree(prompt.tree_id, POLICY)
            transitions.abort(locked, reason="4 people flagged it.")
            transitions.advance(locked)
        resume(prompt, mo)
        assert state_of(prompt) == State.INITIAL_PROMPT_REVIEW
        assert not auto_moderation.moderate(message_id=prompt.pk, policy=POLICY)

    def test_four_flags_hide_a_reply_and_a_moderator_takes_it_away_or_brings_it_back(
        self, alice: User, mo: User
    ) -> None:
        prompt = growing_tree(alice)
        reply = new_reply(prompt, new_person("Writer"))
        self.flag(reply, 4)
        reply.refresh_from_db()
        assert (reply.hidden, reply.deleted, state_of(prompt)) == (True, False, State.GROWING)
        proposal = Proposal.objects.get()
        moderator_actions.uphold(proposal_id=proposal.pk, actor=mo, reason="Copied.", policy=POLICY)
        reply.refresh_from_db()
        assert (reply.hidden, reply.deleted, state_of(prompt)) == (False, True, State.GROWING)
        undelete(Deletion.objects.get(), mo)
        reply.refresh_from_db()
        assert not reply.is_withheld

    def test_many_skips_stop_the_tree(self, alice: User, mo: User) -> None:
        policy = TreePolicy(auto_mod_max_skip_reply=3)
        prompt = growing_tree(alice, policy)
        for person in new_veterans(3):
            reviews.record_skip(message=prompt, author=person, kind=Skip.Kind.REPLY)
        assert auto_moderation.moderate(message_id=prompt.pk, policy=policy)
        assert state_of(prompt) == State.HALTED_BY_MODERATOR
        assert MessageTree.objects.get(pk=prompt.pk).halted_from == State.GROWING
        assert not Message.objects.get(pk=prompt.pk).hidden
        resume(prompt, mo, policy)
        assert not auto_moderation.moderate(message_id=prompt.pk, policy=policy)
        assert (state_of(prompt), Proposal.objects.get().status) == (State.GROWING, "dismissed")

    def test_finished_trees_are_left_to_moderators(self, alice: User) -> None:
        prompt = growing_tree(alice, SMALL)
        work_until_state(prompt.pk, State.READY_FOR_EXPORT, SMALL)
        self.flag(prompt, 5)
        assert state_of(prompt) == State.READY_FOR_EXPORT
        proposal = Proposal.objects.get()
        assert (proposal.message, proposal.hides, proposal.stops) == (prompt, False, False)


class TestLateVotes:
    def test_a_ranking_of_a_stopped_tree_is_refused(self, alice: User, mo: User) -> None:
        prompt = growing_tree(alice, SMALL)
        work_until_state(prompt.pk, State.RANKING, SMALL)
        halt(prompt, mo, SMALL)
        with pytest.raises(Gone):
            rank(prompt, new_person("Late"), SMALL)
