"""What broke or froze the reference system: a test for each weak point without one elsewhere. docs/weak-points.md lists
all.
"""

import re
from collections.abc import Iterator
from dataclasses import FrozenInstanceError
from typing import Any
from unittest import mock

import pytest
from django.db import IntegrityError, connection, models, transaction

from oasst.accounts.account_bans import ban
from oasst.accounts.models import ApiClient, User
from oasst.accounts.registration import get_or_create_by_email
from oasst.core.errors import Conflict, Gone, NotAllowed
from oasst.site.invariants import find_differences
from tasks import assignment, lottery, upkeep
from tasks.kinds import Kind
from tasks.models import Task
from tasks.supply import read_supply
from tests.clock import stopped_clock
from tests.crowd import answer, start_tree, take, work_until
from tests.factories import (
    decide,
    growing_tree,
    new_people,
    new_person,
    new_prompt,
    new_reply,
    new_veterans,
    state_of,
    work_until_state,
)
from tests.paths import ROOT
from trees import jobs
from trees.contributing import reactions
from trees.lifecycle import reply_ranks
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State, Work
from trees.models import Message, MessageTree, Opening, Ranking, Review
from trees.moderation import auto_moderation, moderator_actions

SMALL = TreePolicy(goal_tree_size=4, max_tree_depth=1)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _nothing_disagrees(db: None) -> Iterator[None]:
    yield
    # The factories call the services directly, without tasks.
    assert [str(one) for one in find_differences(SMALL) if one.check != "answers_come_from_a_task"] == []


class TestNothingIsStuck:
    def test_a_parent_whose_replies_were_all_deleted_is_offered_again(self, alice: User, mo: User) -> None:  # A1
        prompt = growing_tree(alice, SMALL)
        for writer in new_people(2):
            reply = new_reply(prompt, writer, policy=SMALL)
            moderator_actions.delete_message(message_id=reply.pk, actor=mo, reason="Copied.", policy=SMALL)
        assert take(new_person("Next"), SMALL, Kind.ASSISTANT_REPLY).message_id == prompt.pk

    def test_a_process_that_dies_while_scoring_leaves_no_half_of_it(self) -> None:  # A3, G3
        """The vote and its consequences are one transaction; sending it again finishes."""

        class Death(BaseException):
            pass

        tree = work_until(start_tree(SMALL), State.RANKING, SMALL)
        *first, last = (take(person, SMALL, Kind.RANK_ASSISTANT_REPLIES) for person in new_people(3))
        for task in first:
            answer(task, SMALL)
        with mock.patch.object(reply_ranks, "score", side_effect=Death), pytest.raises(Death):
            answer(last, SMALL)
        tree.refresh_from_db()
        assert (tree.state, Ranking.objects.count()) == (State.RANKING, 2)
        assert upkeep.advance_active_trees(policy=SMALL) == 0
        answer(last, SMALL)
        tree.refresh_from_db()
        assert tree.state == State.READY_FOR_EXPORT

    def test_a_deleted_prompt_that_waits_for_the_lottery_frees_its_place(self, alice: User, mo: User) -> None:  # A13
        prompt = new_prompt(alice, policy=SMALL)
        decide(prompt, policy=SMALL)
        assert read_supply("en", SMALL).waiting == 1
        moderator_actions.delete_message(message_id=prompt.pk, actor=mo, reason="Copied.", policy=SMALL)
        assert read_supply("en", SMALL).waiting == 0
        assert lottery.draw("en", SMALL) == 0

    def test_what_is_only_written_below_a_rejected_reply_holds_up_nothing(self, alice: User, mo: User) -> None:  # A28
        """A user answers a reply that is edited and then rejected: the opening is removed, and the tree goes on."""
        policy = TreePolicy(goal_tree_size=3, max_children_count=1)
        prompt = growing_tree(alice, policy)
        reply = new_reply(prompt, new_person("Writer"), policy=policy)
        decide(reply, policy=policy)
        task = take(new_person("Asker"), policy, Kind.PROMPTER_REPLY)
        moderator_actions.edit_message(message_id=reply.pk, actor=mo, text="Junk now.", reason="Test.", policy=policy)
        assert Opening.objects.filter(lease=task.pk).exists()  # it may be accepted again
        decide(reply, accept=False, policy=policy)
        assert not Opening.objects.filter(message=reply).exists()
        with pytest.raises(Gone) as refusal:
            answer(task, policy)
        assert refusal.value.code == "no_place_left"
        assert take(new_person("Next"), policy, Kind.ASSISTANT_REPLY).message_id == prompt.pk


class TestVotes:
    def test_one_person_gets_one_ranking_of_the_same_replies(self) -> None:  # A2, G2
        tree = work_until(start_tree(SMALL), State.RANKING, SMALL)
        person = new_person("Eager")
        task = take(person, SMALL, Kind.RANK_ASSISTANT_REPLIES)
        for _ in range(2):  # while it is open and when done
            with pytest.raises(assignment.NothingToDo):
                take(person, SMALL, Kind.RANK_ASSISTANT_REPLIES)
            answer(task, SMALL)
        tree.refresh_from_db()
        assert (tree.state, Ranking.objects.count()) == (State.RANKING, 1)

    def test_the_review_that_settles_it_decides_in_the_same_call(self) -> None:  # A8
        tree = start_tree(SMALL)
        for person in new_people(2):
            answer(take(person, SMALL, Kind.LABEL_INITIAL_PROMPT), SMALL)
        root = Message.objects.get(pk=tree.pk)
        assert (root.review_count, root.review_result, root.tree.state) == (2, True, State.PROMPT_LOTTERY_WAITING)

    @pytest.mark.parametrize("stop", ["halted", "rejected"])
    def test_a_late_review_overwrites_no_state(self, mo: User, stop: str) -> None:  # A11
        tree = start_tree(SMALL)
        with stopped_clock() as clock:
            late = take(new_person("Late"), SMALL, Kind.LABEL_INITIAL_PROMPT)
            clock.forward(assignment.PAGE_LEASE)
            if stop == "halted":
                moderator_actions.halt(tree_id=tree.pk, actor=mo, reason="Odd.", policy=SMALL)
            else:
                for person in new_people(2):
                    answer(take(person, SMALL, Kind.LABEL_INITIAL_PROMPT), SMALL, spam=1)
            before = MessageTree.objects.get(pk=tree.pk).state
            with pytest.raises(Gone) as refusal:
                answer(late, SMALL, spam=1)
        assert refusal.value.code == "tree_stopped"
        root = Message.objects.get(pk=tree.pk)
        assert (root.tree.state, root.review_result) == (before, None if stop == "halted" else False)

    def test_a_review_is_about_the_message_and_the_text_of_its_task(self, alice: User) -> None:  # A25
        tree, other = start_tree(SMALL), start_tree(SMALL)
        task = take(new_person("Reviewer"), SMALL, Kind.LABEL_INITIAL_PROMPT)
        review = answer(task, SMALL).result_review
        assert review is not None
        assert (review.message_id, [review.revision_id]) == (task.message_id, task.revision_ids)
        assert Review.objects.exclude(message__in=[tree.pk, other.pk]).count() == 0


class TestPlaces:
    def test_a_reply_that_comes_after_the_tree_was_ranked_is_refused_and_not_lost(self) -> None:  # A15
        tree = work_until(start_tree(SMALL), State.GROWING, SMALL)
        with stopped_clock() as clock:
            late = take(new_person("Late"), SMALL, Kind.ASSISTANT_REPLY)
            clock.forward(assignment.PAGE_LEASE)
            work_until(tree, State.READY_FOR_EXPORT, SMALL)
            with pytest.raises(Gone) as refusal:
                answer(late, SMALL)
        assert (refusal.value.code, refusal.value.hint) == ("no_place_left", "What you wrote is kept as a draft.")
        assert Message.objects.filter(tree=tree).count() == 4

    def test_who_was_rejected_is_offered_what_they_may_send(self, alice: User, bob: User) -> None:  # A18
        prompt = growing_tree(alice, SMALL)
        decide(new_reply(prompt, bob, policy=SMALL), accept=False, policy=SMALL)
        assert answer(take(bob, SMALL, Kind.ASSISTANT_REPLY), SMALL).status == Task.Status.DONE
        with pytest.raises(assignment.NothingToDo):  # a user with an accepted reply is not asked again
            take(bob, SMALL, Kind.ASSISTANT_REPLY)

    def test_a_skipped_task_keeps_its_reason_when_time_is_over(self, bob: User) -> None:  # A26
        start_tree(SMALL)
        with stopped_clock() as clock:
            task = take(bob, SMALL, Kind.LABEL_INITIAL_PROMPT)
            assignment.skip(task_id=task.pk, user=bob, policy=SMALL, reason="unclear")
            clock.forward(assignment.VALIDITY)
            assert upkeep.expire_tasks(policy=SMALL) == 0
        task.refresh_from_db()
        assert (task.status, task.skip_reason) == (Task.Status.SKIPPED, "unclear")

    def test_a_client_names_a_task_only_once(self, alice: User, bob: User) -> None:  # A26
        client = ApiClient.objects.create(name="A program")
        first, second = take(alice, SMALL, Kind.INITIAL_PROMPT), take(bob, SMALL, Kind.INITIAL_PROMPT)
        Task.objects.filter(pk=first.pk).update(api_client=client, frontend_message_id="one")
        with pytest.raises(IntegrityError), transaction.atomic():
            Task.objects.filter(pk=second.pk).update(api_client=client, frontend_message_id="one")


class TestPolicy:
    def test_nothing_changes_the_policy_of_the_site(self) -> None:  # A19
        with pytest.raises(FrozenInstanceError):
            SMALL.p_full_labeling_review_reply_prompter = 0.1  # type: ignore[misc]

    @pytest.mark.parametrize("wrong", [{"mandatory_labels": ()}, {"num_reviews_reply": 0}])
    def test_a_policy_that_could_not_decide_is_refused_at_the_start(self, wrong: dict[str, Any]) -> None:  # A27
        with pytest.raises(ValueError, match="must"):
            TreePolicy(**wrong)


class TestSearch:
    def test_an_edited_text_is_found_at_once_and_the_old_one_no_more(self, alice: User, mo: User) -> None:  # A29
        prompt = new_prompt(alice, "Where do penguins sleep?")
        moderator_actions.edit_message(
            message_id=prompt.pk, actor=mo, text="Where do walruses sleep?", reason="Test.", policy=TreePolicy()
        )
        found = [Message.objects.filter(search=word).count() for word in ("walruses", "penguins")]
        assert found == [1, 0]


class TestTransactions:
    def test_the_fourth_flag_hides_a_reply_without_anybody_asking_for_work(  # A9, G11
        self, alice: User, django_capture_on_commit_callbacks: Any
    ) -> None:
        prompt = growing_tree(alice, SMALL)
        reply = new_reply(prompt, new_person("Writer"), policy=SMALL)
        sent: list[Any] = []
        with (
            mock.patch.object(jobs.moderate_message, "apply_async", lambda args, **_: sent.append(args)),
            django_capture_on_commit_callbacks(execute=True),
        ):
            for person in new_veterans(4, SMALL):
                reactions.report(message_id=reply.pk, reporter=person, category="spam")
        assert sent == [(str(reply.pk),)] * 4
        jobs.moderate_message(*sent[-1])
        reply.refresh_from_db()
        assert (reply.hidden, reply.deleted) == (True, False)
        assert not Opening.objects.filter(message=reply).exists()
        # It keeps its slot until a moderator has decided.
        assert Opening.objects.filter(message=prompt, work=Work.ASSISTANT_REPLY).count() == 2

    def test_what_did_not_happen_enqueues_nothing(  # B6
        self, alice: User, bob: User, django_capture_on_commit_callbacks: Any
    ) -> None:
        prompt = new_prompt(alice)
        with django_capture_on_commit_callbacks() as callbacks, pytest.raises(RuntimeError), transaction.atomic():
            reactions.report(message_id=prompt.pk, reporter=bob, category="spam")
            raise RuntimeError
        assert callbacks == []

    def test_a_unique_violation_is_a_conflict_that_says_what(self, alice: User, bob: User) -> None:  # B7
        """Racing reviews of one user meet in the constraint; here the earlier check does not see the first one."""
        start_tree(SMALL)
        with stopped_clock() as clock:
            first = take(bob, SMALL, Kind.LABEL_INITIAL_PROMPT)
            clock.forward(assignment.PAGE_LEASE)
            Task.objects.filter(pk=first.pk).update(status=Task.Status.EXPIRED, finished_at=clock.now)
            second = take(bob, SMALL, Kind.LABEL_INITIAL_PROMPT)
            Task.objects.filter(pk=first.pk).update(status=Task.Status.OPEN, finished_at=None)
            answer(second, SMALL)
            with pytest.raises(Conflict) as refusal:
                answer(first, SMALL)
        assert refusal.value.code == "already_reviewed"
        assert Review.objects.count() == 1

    def test_a_database_error_while_scoring_keeps_the_vote(self) -> None:  # B10
        tree = work_until(start_tree(SMALL), State.RANKING, SMALL)
        tasks = [take(person, SMALL, Kind.RANK_ASSISTANT_REPLIES) for person in new_people(3)]

        def broken(*_: object) -> set[Any]:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1/0")
            return set()

        for task in tasks[:2]:
            answer(task, SMALL)
        with mock.patch.object(reply_ranks, "score", broken):
            answer(tasks[2], SMALL)
        tree.refresh_from_db()
        assert (tree.state, Ranking.objects.count()) == (State.SCORING_FAILED, 3)
        tasks[2].refresh_from_db()
        assert tasks[2].status == Task.Status.DONE


class TestRightsAndPrivacy:
    def test_only_moderators_bring_back(self, alice: User, bob: User, mo: User) -> None:  # D1
        prompt = new_prompt(alice)
        deletion = moderator_actions.delete_message(message_id=prompt.pk, actor=mo, reason="Copied.", policy=SMALL)
        with pytest.raises(NotAllowed):
            moderator_actions.undelete(deletion_id=deletion.pk, actor=bob, reason="Mine.", policy=SMALL)
        assert Message.objects.get().deleted

    def test_signing_in_again_lifts_no_ban(self, bob: User, mo: User) -> None:  # D2
        ban(bob, actor=mo, reason="Rude.")
        assert bob.email is not None
        assert get_or_create_by_email(bob.email).enabled is False
        bob.refresh_from_db()
        assert (bob.enabled, bob.ban_reason) == (False, "Rude.")

    def test_tasks_hold_no_copy_of_a_text(self) -> None:  # D8
        texts = {field.name for field in Task._meta.fields if isinstance(field, (models.TextField, models.JSONField))}
        assert texts == set()

    def test_flags_are_counted_people_and_leave_a_way_back(self, alice: User, mo: User) -> None:  # D10
        """One user is one flag, however often they press."""
        prompt = growing_tree(alice, SMALL)
        reply = new_reply(prompt, new_person("Writer"), policy=SMALL)
        (angry,) = new_veterans(1, SMALL)
        for _ in range(5):
            reactions.report(message_id=reply.pk, reporter=angry, category="spam")
        assert not auto_moderation.moderate(message_id=reply.pk, policy=SMALL)
        reply.refresh_from_db()
        assert not reply.is_withheld


class TestOneOutcome:
    @pytest.mark.parametrize("first", ["answer", "skip", "expiry"])
    def test_a_task_has_exactly_one(self, bob: User, first: str) -> None:  # G14
        start_tree(SMALL)
        with stopped_clock() as clock:
            task = take(bob, SMALL, Kind.LABEL_INITIAL_PROMPT)
            acts = {
                "answer": lambda: answer(task, SMALL),
                "skip": lambda: assignment.skip(task_id=task.pk, user=bob, policy=SMALL),
                "expiry": lambda: (clock.forward(assignment.VALIDITY), upkeep.expire_tasks(policy=SMALL)),
            }
            acts[first]()
            for other in ({"answer", "skip"} - {first}) if first != "expiry" else {"answer", "skip"}:
                with pytest.raises(Gone):
                    acts[other]()
            clock.forward(assignment.VALIDITY)
            upkeep.expire_tasks(policy=SMALL)
        task.refresh_from_db()
        assert task.status == {"answer": "done", "skip": "skipped", "expiry": "expired"}[first]
        assert Review.objects.count() == (first == "answer")


class TestResume:
    def test_ranks_follow_what_was_deleted_while_it_was_stopped(self, alice: User, mo: User) -> None:  # A12, G9
        prompt = growing_tree(alice, SMALL)
        work_until_state(prompt.pk, State.READY_FOR_EXPORT, SMALL)
        first, second, third = Message.objects.filter(parent=prompt).order_by("position")
        moderator_actions.halt(tree_id=prompt.tree_id, actor=mo, reason="Odd.", policy=SMALL)
        moderator_actions.delete_message(message_id=first.pk, actor=mo, reason="Copied.", policy=SMALL)
        moderator_actions.resume(tree_id=prompt.tree_id, actor=mo, reason="Fine.", policy=SMALL)
        ranks = dict(Message.objects.filter(parent=prompt).values_list("pk", "rank"))
        assert (state_of(prompt), ranks[second.pk], ranks[third.pk]) == (State.READY_FOR_EXPORT, 0, 1)


class TestTheTable:
    """docs/weak-points.md is correct."""

    TEXT = (ROOT / "docs" / "weak-points.md").read_text()

    def test_every_number_has_its_row(self) -> None:
        wanted = [f"A{n}" for n in range(1, 30)] + [f"B{n}" for n in range(1, 11)]
        wanted += ["D1", "D2", "D7", "D8", "D9", "D10", "D13", *(f"G{n}" for n in range(1, 16))]
        assert re.findall(r"^\| ([ABDG]\d+) \|", self.TEXT, re.MULTILINE) == wanted

    def test_every_test_that_is_named_exists(self) -> None:
        named = re.findall(r"`(tests/[^`]+)`", self.TEXT)
        assert named
        for name in named:
            path, *parts = name.split("::")
            source = (ROOT / path).read_text()
            for part in parts:
                assert re.search(rf"^\s*(class|def|async def) {part}\b", source, re.MULTILINE), name
