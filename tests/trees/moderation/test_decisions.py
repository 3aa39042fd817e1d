"""One decision about a message answers all that waits about it: it stays, is hidden, is deleted, or moves."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest

from leaderboard.models import Standing
from oasst.accounts.models import User
from oasst.core.errors import Conflict, DomainError, Invalid, NotAllowed, NotFound
from oasst.site.invariants import find_differences
from tasks import upkeep
from tests.factories import growing_tree, new_person, new_prompt, new_reply, state_of, work_until_state
from tests.leaderboard.test_tallies import read_all
from tests.trees.moderation.test_act_undo import (
    POLICY,
    complained_about,
    flagged,
    hide,
    keep,
    move,
    tree_in,
    undo_last,
)
from trees.contributing import reactions, withdrawal
from trees.lifecycle import transitions
from trees.lifecycle.states import State
from trees.models import (
    Happening,
    Message,
    MessageReading,
    MessageTree,
    NearDuplicate,
    Opening,
    Proposal,
    Report,
    TreeTransition,
    Withdrawal,
)
from trees.moderation import auto_moderation, moderator_actions

pytestmark = pytest.mark.django_db
Act = Callable[[Message, User], object]


@pytest.fixture(autouse=True)
def _everything_agrees(db: None) -> Iterator[None]:
    yield
    read_all()
    assert [one for one in find_differences(POLICY) if one.check != "answers_come_from_a_task"] == []
    assert upkeep.advance_active_trees(policy=POLICY) == 0


def delete(message: Message, mo: User) -> None:
    moderator_actions.delete_message(message_id=message.pk, actor=mo, reason="Junk.", policy=POLICY)


def uphold(message: Message, mo: User) -> None:
    proposal = Proposal.objects.get(message=message, status=Proposal.Status.OPEN)
    moderator_actions.uphold(proposal_id=proposal.pk, actor=mo, reason="Junk.", policy=POLICY)


def dismiss(message: Message, mo: User) -> None:
    proposal = Proposal.objects.get(message=message, status=Proposal.Status.OPEN)
    moderator_actions.dismiss(proposal_id=proposal.pk, actor=mo, reason="Fine.", policy=POLICY)


def fresh(message: Message) -> Message:
    return Message.objects.get(pk=message.pk)


class TestEverythingIsAnswered:
    @pytest.mark.parametrize("act", [keep, dismiss])
    @pytest.mark.parametrize("of_prompt", [True, False])
    def test_it_stays(self, alice: User, mo: User, act: Act, of_prompt: bool) -> None:
        prompt = tree_in(State.GROWING, alice)
        message = prompt if of_prompt else Message.objects.get(parent=prompt)
        complained_about(message, new_person("Dora"))
        act(message, mo)
        assert (fresh(message).hidden, fresh(message).deleted) == (False, False)
        assert state_of(prompt) == State.GROWING
        assert set(Report.objects.values_list("status", flat=True)) == {"dismissed"}
        assert Proposal.objects.get().status == "dismissed"
        assert not MessageReading.objects.filter(flagged=True).exists()
        as_second = NearDuplicate.objects.filter(second=message)
        assert set(as_second.values_list("status", flat=True)) <= {"dismissed"}
        assert set(NearDuplicate.objects.filter(first=message).values_list("status", flat=True)) == {"open"}

    @pytest.mark.parametrize("act", [delete, uphold])
    def test_it_goes(self, alice: User, mo: User, act: Act) -> None:
        reply = Message.objects.get(parent=tree_in(State.GROWING, alice))
        complained_about(reply, new_person("Dora"))
        act(reply, mo)
        assert fresh(reply).deleted
        assert set(Report.objects.values_list("status", flat=True)) == {"upheld"}
        assert Proposal.objects.get().status == "upheld"
        assert set(NearDuplicate.objects.values_list("status", flat=True)) == {"removed"}

    @pytest.mark.parametrize(("act", "status"), [(keep, "dismissed"), (hide, "upheld"), (delete, "upheld")])
    def test_each_reporter_hears(self, alice: User, mo: User, act: Act, status: str) -> None:
        """Also without a proposal: two reports are too few for one."""
        reply = Message.objects.get(parent=tree_in(State.GROWING, alice))
        people = [new_person("Dora"), new_person("Emil")]
        for person in people:
            reactions.report(message_id=reply.pk, reporter=person, category="spam")
        act(reply, mo)
        told = Happening.objects.filter(kind=Happening.Kind.REPORT_SETTLED, actor=mo)
        assert {(event.subject_id, event.data["status"]) for event in told} == {(one.pk, status) for one in people}

    def test_a_withdrawal_is_refused(self, alice: User, mo: User) -> None:
        prompt = tree_in(State.GROWING, alice)
        withdrawal.withdraw(message_id=prompt.pk, author=alice, reason="Private.", policy=POLICY)
        keep(prompt, mo)
        assert Withdrawal.objects.get().status == "refused"
        assert (fresh(prompt).hidden, fresh(prompt).withdrawn) == (False, False)

    def test_in_the_data_set_its_author_decides(self, alice: User, mo: User) -> None:
        prompt = tree_in(State.READY_FOR_EXPORT, alice)
        withdrawal.withdraw(message_id=prompt.pk, author=alice, reason="Private.", policy=POLICY)
        keep(prompt, mo)
        assert Withdrawal.objects.get().status == "open"
        assert (fresh(prompt).hidden, fresh(prompt).withdrawn) == (True, True)


class TestHidden:
    def test_the_conversation_goes_on_without_it(self, alice: User, mo: User) -> None:
        prompt = growing_tree(alice, POLICY)
        junk = new_reply(prompt, new_person("Writer"), policy=POLICY)
        hide(junk, mo)
        assert not Opening.objects.filter(message=junk).exists()
        assert fresh(junk).hidden
        work_until_state(prompt.pk, State.READY_FOR_EXPORT, POLICY)
        shown = Message.objects.filter(tree=prompt.pk, hidden=False, review_result=True)
        assert shown.count() == POLICY.goal_tree_size, "another reply was asked for"
        assert sorted(shown.exclude(rank=None).values_list("rank", flat=True)) == [0, 1, 2]

    def test_its_prompt_stops_it(self, alice: User, mo: User) -> None:
        prompt = tree_in(State.GROWING, alice)
        hide(prompt, mo)
        assert state_of(prompt) == State.HALTED_BY_MODERATOR
        assert TreeTransition.objects.latest("pk").reason == transitions.PROMPT_HIDDEN
        moderator_actions.resume(tree_id=prompt.pk, actor=mo, reason="Fine.", policy=POLICY)
        assert state_of(prompt) == State.GROWING
        assert not fresh(prompt).hidden, "to resume is to keep the prompt"

    def test_a_halt_on_purpose_holds(self, alice: User, mo: User) -> None:
        prompt = tree_in(State.GROWING, alice)
        moderator_actions.halt(tree_id=prompt.pk, actor=mo, reason="Odd.", policy=POLICY)
        hide(prompt, mo)
        keep(prompt, mo)
        assert state_of(prompt) == State.HALTED_BY_MODERATOR

    def test_it_leaves_the_queue_and_complainants_were_right(self, alice: User, mo: User) -> None:
        reply = Message.objects.get(parent=tree_in(State.GROWING, alice))
        proposal = flagged(reply)
        hide(reply, mo)
        proposal.refresh_from_db()
        assert (proposal.status, proposal.hides, proposal.decided_by) == ("hidden", True, mo)
        assert not auto_moderation.moderate(message_id=reply.pk, policy=POLICY)
        for reporter in User.objects.filter(pk__in=Report.objects.values("reporter")):
            auto_moderation.recount(person_id=reporter.pk, policy=POLICY)
        assert fresh(reply).kept_hidden

    def test_ranks_close_up_and_come_back(self, alice: User, mo: User) -> None:
        prompt = tree_in(State.READY_FOR_EXPORT, alice)
        best = Message.objects.get(parent=prompt, rank=0)
        ranks = list(Message.objects.filter(parent=prompt).order_by("pk").values_list("rank", flat=True))
        hide(best, mo)
        assert sorted(Message.objects.filter(parent=prompt, hidden=False).values_list("rank", flat=True)) == [0, 1]
        keep(best, mo)
        assert list(Message.objects.filter(parent=prompt).order_by("pk").values_list("rank", flat=True)) == ranks

    def test_keeping_it_answers_reporters_once_more(self, alice: User, mo: User) -> None:
        """The last decision counts, for them and for how much their complaints weigh."""
        reply = Message.objects.get(parent=tree_in(State.GROWING, alice))
        first, second = new_person("Dora"), new_person("Emil")
        earlier = reactions.report(message_id=reply.pk, reporter=first, category="spam")
        moderator_actions.settle_report(
            report_id=earlier.pk, actor=mo, status="upheld", outcome="Right.", policy=POLICY
        )
        reactions.report(message_id=reply.pk, reporter=second, category="spam")
        hide(reply, mo)
        assert set(Report.objects.values_list("status", flat=True)) == {"upheld"}
        keep(reply, new_person("Max", "moderator"))
        assert dict(Report.objects.values_list("reporter", "status")) == {first.pk: "upheld", second.pk: "dismissed"}
        settled = Happening.objects.filter(kind=Happening.Kind.REPORT_SETTLED, subject_id=second.pk).order_by("pk")
        assert [event.data["status"] for event in settled] == ["upheld", "dismissed"]
        undo_last(User.objects.get(display_name="Max"))
        assert set(Report.objects.values_list("status", flat=True)) == {"upheld"}

    def test_deleting_it_ends_that(self, alice: User, mo: User) -> None:
        reply = Message.objects.get(parent=tree_in(State.GROWING, alice))
        hide(reply, mo)
        delete(reply, mo)
        assert (fresh(reply).kept_hidden, Proposal.objects.get().status) == (False, "upheld")

    def test_a_new_text_shows_it(self, alice: User, mo: User) -> None:
        reply = Message.objects.get(parent=tree_in(State.GROWING, alice))
        hide(reply, mo)
        moderator_actions.edit_message(
            message_id=reply.pk, actor=mo, text="A better text than before.", reason="Typos.", policy=POLICY
        )
        assert (fresh(reply).hidden, fresh(reply).kept_hidden) == (False, False)


class TestMove:
    @pytest.mark.parametrize("stage", [State.INITIAL_PROMPT_REVIEW, State.GROWING, State.READY_FOR_EXPORT])
    def test_everything_follows(self, alice: User, mo: User, stage: State) -> None:
        prompt = tree_in(stage, alice)
        move(prompt, mo)
        read_all()
        assert MessageTree.objects.get(pk=prompt.pk).lang == "de"
        assert set(Message.objects.filter(tree=prompt.pk).values_list("lang", flat=True)) == {"de"}
        assert set(Opening.objects.filter(tree=prompt.pk).values_list("lang", flat=True)) <= {"de"}
        boards = Standing.objects.filter(person=alice, frame="total", prompts__gt=0).exclude(lang="")
        assert list(boards.values_list("lang", "prompts")) == [("de", 1)]

    def test_a_message_in_a_third_language_stays_there(self, alice: User, mo: User) -> None:
        prompt = tree_in(State.GROWING, alice)
        reply = Message.objects.get(parent=prompt)
        Message.objects.filter(pk=reply.pk).update(lang="fr")
        move(prompt, mo)
        assert fresh(reply).lang == "fr"

    def test_machines_read_it_again(self, alice: User, mo: User) -> None:
        prompt = tree_in(State.GROWING, alice)
        read = MessageReading.objects.create(revision=prompt.revision, kind="toxicity", result={}, due_at=None)
        move(prompt, mo)
        read.refresh_from_db()
        assert read.due_at is not None


class TestRefusals:
    def code(self, error: type[DomainError], act: Callable[..., Any], message: Message, actor: User) -> str:
        with pytest.raises(error) as refusal:
            act(message, actor)
        return refusal.value.code

    def test_strangers(self, alice: User, bob: User, mo: User) -> None:
        prompt = tree_in(State.GROWING, alice)
        for act in (keep, hide, move):
            assert self.code(NotAllowed, act, prompt, bob) == "moderators_only"
        with pytest.raises(NotFound):
            moderator_actions.keep(message_id=uuid4(), actor=mo, reason="Fine.", policy=POLICY)
        with pytest.raises(Invalid):
            moderator_actions.hide(message_id=prompt.pk, actor=mo, reason=" ", policy=POLICY)

    def test_own_messages(self, mo: User) -> None:
        own = new_prompt(mo, policy=POLICY)
        assert self.code(NotAllowed, keep, own, mo) == "own_message"
        hide(own, mo)

    def test_what_is_gone(self, alice: User, mo: User) -> None:
        prompt = tree_in(State.GROWING, alice)
        hide(prompt, mo)
        assert self.code(Conflict, hide, prompt, mo) == "already_hidden"
        delete(prompt, mo)
        for act in (keep, hide, delete):
            assert self.code(Conflict, act, prompt, mo) == "already_deleted"

    def test_a_withdrawn_text_is_decided_otherwise(self, alice: User, mo: User) -> None:
        prompt = tree_in(State.GROWING, alice)
        withdrawal.withdraw(message_id=prompt.pk, author=alice, reason="Private.", policy=POLICY)
        assert self.code(Conflict, hide, prompt, mo) == "withdrawn"

    def test_the_same_language_and_none(self, alice: User, mo: User) -> None:
        prompt = tree_in(State.GROWING, alice)
        assert self.code(Conflict, lambda m, a: move(m, a, "en"), prompt, mo) == "same_language"
        assert self.code(Invalid, lambda m, a: move(m, a, "no such tag!"), prompt, mo) == "language"
