"""check_invariants: no difference after what services do, and each broken rule is found."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from oasst.accounts import api_clients, closing, identities, names
from oasst.accounts.models import User
from oasst.core.models import WaitingJob
from oasst.site.invariants import find_differences
from oasst.site.schedules import check_invariants
from tasks import assignment
from tasks.kinds import Kind
from tasks.models import Task
from tests.crowd import answer, start_tree, take, work_until
from tests.factories import growing_tree, new_people, new_person
from tests.paths import SAMPLE
from trees.interchange.importer import import_files
from trees.lifecycle import transitions
from trees.lifecycle.locked_tree import lock_tree
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import (
    Happening,
    Message,
    MessageTree,
    Opening,
    Proposal,
    Ranking,
    Reaction,
    Review,
    Skip,
    TreeTransition,
    Withdrawal,
)
from trees.moderation.moderator_actions import delete_message, edit_message, undelete

pytestmark = pytest.mark.django_db
POLICY = TreePolicy(goal_tree_size=6, max_tree_depth=2)


def broken() -> set[str]:
    """Return the names of the checks that find something."""
    return {difference.check for difference in find_differences(POLICY)}


class TestClean:
    def test_every_state_on_the_way(self) -> None:
        tree = start_tree(POLICY)
        for state in (State.PROMPT_LOTTERY_WAITING, State.GROWING, State.RANKING, State.READY_FOR_EXPORT):
            work_until(tree, state, POLICY)
            assert list(find_differences(POLICY)) == [], state

    def test_a_rejected_prompt(self) -> None:
        tree = start_tree(POLICY)
        for person in new_people(2):
            answer(take(person, POLICY, Kind.LABEL_INITIAL_PROMPT), POLICY, spam=1)
        tree.refresh_from_db()
        assert tree.state == State.ABORTED_LOW_GRADE
        assert list(find_differences(POLICY)) == []

    def test_work_held_skipped_and_left(self) -> None:
        start_tree(POLICY)
        holder, skipper = new_people(2)
        take(holder, POLICY, Kind.LABEL_INITIAL_PROMPT)
        assignment.skip(task_id=take(skipper, POLICY, Kind.LABEL_INITIAL_PROMPT).pk, user=skipper, policy=POLICY)
        assert list(find_differences(POLICY)) == []
        Opening.objects.exclude(lease=None).update(held_until=timezone.now() - timedelta(hours=1))
        assert list(find_differences(POLICY)) == []

    def test_the_sample(self) -> None:
        import_files([SAMPLE], policy=POLICY)
        assert list(find_differences(POLICY)) == []

    def test_names_of_people_and_programs(self, alice: User, bob: User) -> None:
        """Also while the job waits that marks names that look alike."""
        bring("A bot"), bring("A forum"), bring("A game", "Admin"), bring("A shop", "Yasmin")
        closing.close_account(bob)
        closing.close_account(gone := bring("A club", "Yasmin"))
        identities.update_person(api_clients.create_api_client(name="A guild")[0], gone.pk, {"display_name": "Gone"})
        assert list(find_differences(POLICY)) == []
        mark_waiting()
        assert list(find_differences(POLICY)) == []
        assert User.objects.exclude(program_beside="").count() == 3

    def test_unfinished_imports_and_work_on_them(self, tmp_path: Path) -> None:
        """States come from the file and stay until somebody works on the tree."""
        line = SAMPLE.read_text().split("\n")[0]
        file = tmp_path / "ranking.jsonl"
        file.write_text(line.replace('"tree_state": "ready_for_export"', '"tree_state": "ranking"'))
        import_files([file], policy=POLICY)
        assert Opening.objects.exists()
        assert list(find_differences(POLICY)) == []
        work_until(MessageTree.objects.get(), State.READY_FOR_EXPORT, POLICY)
        assert list(find_differences(POLICY)) == []

    def test_a_reply_that_is_brought_back_beside_the_one_in_its_place(self, mo: User) -> None:
        """Restoring is exact, so the tree may then have one reply too many."""
        policy = replace(POLICY, max_children_count=1)
        work_until(start_tree(policy), State.GROWING, policy)
        first = answer(take(new_person("Writer"), policy, Kind.ASSISTANT_REPLY), policy).result_message
        assert first is not None
        deletion = delete_message(message_id=first.pk, actor=mo, reason="Copied.", policy=policy)
        answer(take(new_person("Writer"), policy, Kind.ASSISTANT_REPLY), policy)
        undelete(deletion_id=deletion.pk, actor=mo, reason="Not copied.", policy=policy)
        assert list(find_differences(policy)) == []

    def test_a_message_of_a_file_that_is_edited_and_reviewed_anew(self, mo: User, tmp_path: Path) -> None:
        line = SAMPLE.read_text().split("\n")[0]
        file = tmp_path / "growing.jsonl"
        file.write_text(line.replace('"tree_state": "ready_for_export"', '"tree_state": "growing"'))
        import_files([file], policy=POLICY)
        edit_message(message_id=one_reply().pk, actor=mo, text="Better.", reason="Typo.", policy=POLICY)
        person = new_person("Reviewer")
        task = take(person, POLICY, Kind.LABEL_ASSISTANT_REPLY)
        assert task.message_id == one_reply().pk
        answer(task, POLICY)
        assert one_reply().review_result is None
        assert list(find_differences(POLICY)) == []


class TestCost:
    def test_the_same_number_of_statements_for_any_batch(self) -> None:
        def statements() -> int:
            with CaptureQueriesContext(connection) as captured:
                assert list(find_differences(POLICY)) == []
            return len(captured)

        start_tree(POLICY)
        few = statements()
        for _ in range(5):
            start_tree(POLICY)
        assert statements() == few <= 39

    def test_batches_cover_everything(self) -> None:
        for _ in range(5):
            start_tree(POLICY)
        TreeTransition.objects.all().delete()
        found = list(find_differences(POLICY, batch=2))
        assert len([one for one in found if one.check == "history_is_one_path"]) == 5


class TestCommand:
    def test_clean(self) -> None:
        start_tree(POLICY)
        out = StringIO()
        call_command("check_invariants", stdout=out)
        assert out.getvalue() == "1 trees agree with their facts.\n"

    def test_a_difference_is_printed_and_fails(self) -> None:
        tree = start_tree(POLICY)
        Message.objects.update(review_count=7)
        out = StringIO()
        with pytest.raises(CommandError, match="1 difference in 1 trees"):
            call_command("check_invariants", stdout=out)
        assert out.getvalue() == f"review_counts: message {tree.pk}: expected 0, found 7\n"

    def test_the_nightly_job_fails_loudly(self) -> None:
        start_tree(POLICY)
        check_invariants()
        Message.objects.update(review_count=7)
        with pytest.raises(AssertionError, match="1 differences"):
            check_invariants()


def one_reply() -> Message:
    reply = Message.objects.filter(parent__isnull=False).order_by("created_at").first()
    assert reply is not None
    return reply


def change(**fields: object) -> Callable[[], object]:
    return lambda: Message.objects.filter(pk=one_reply().pk).update(**fields)


def in_another_tree() -> None:
    other = start_tree(POLICY)
    Message.objects.filter(pk=one_reply().pk).update(tree=other)


def react_uncounted() -> None:
    Reaction.objects.create(message=one_reply(), author=User.objects.all()[0], emoji="+1")


def swap_ranks() -> None:
    first, second = Message.objects.filter(rank__in=[0, 1]).order_by("parent_id", "rank")[:2]
    Message.objects.filter(pk=first.pk).update(rank=1)
    Message.objects.filter(pk=second.pk).update(rank=0)


def unskipped() -> None:
    task = Task.objects.filter(status="done", message__isnull=False)[0]
    Task.objects.filter(pk=task.pk).update(
        status="skipped", result_message=None, result_review=None, result_ranking=None
    )


FINISHED: dict[str, tuple[Callable[[], object], str]] = {
    "a lost review count": (change(review_count=0), "review_counts"),
    "a lost ranking count": (change(ranking_count=0), "ranking_counts"),
    "a result against the votes": (change(review_result=False), "review_results"),
    "swapped ranks": (swap_ranks, "ranks"),
    "a reaction that nobody counted": (react_uncounted, "reaction_counts"),
    "a count of reactions without people": (change(emojis={"+1": 3}), "reaction_counts"),
    "a reply in another tree": (in_another_tree, "parent_is_in_the_same_tree"),
    "a wrong depth": (change(depth=7), "depth_follows_the_parent"),
    "two turns of one side": (change(role="prompter"), "roles_alternate"),
    "a gap between siblings": (change(position=9), "positions_are_dense"),
    "a tree beyond its size": (lambda: MessageTree.objects.update(goal_tree_size=2), "sizes_are_kept"),
    "too many replies": (lambda: MessageTree.objects.update(max_children_count=1), "sizes_are_kept"),
    "a text that no revision has": (change(text="Changed behind its back"), "texts_are_their_revisions"),
    "a state without a step": (lambda: MessageTree.objects.update(state="ranking"), "history_is_one_path"),
    "a history with a hole": (
        lambda: TreeTransition.objects.filter(to_state="ranking").delete(),
        "history_is_one_path",
    ),
    "a tree that should move on": (lambda: MessageTree.objects.update(state="growing"), "nothing_is_due"),
    "scored but not moved": (lambda: MessageTree.objects.update(state="ready_for_scoring"), "nothing_is_due"),
    "work on a finished tree": (
        lambda: Opening.objects.create(
            tree_id=one_reply().tree_id, message=one_reply(), work="assistant_reply", lang="en"
        ),
        "openings_are_offered",
    ),
    "a fact told twice": (
        lambda: Happening.objects.create(kind="message_posted", tree_id=one_reply().tree_id, message_id=one_reply().pk),
        "facts_are_told_once",
    ),
    "a fact never told": (
        lambda: Happening.objects.filter(kind="message_reviewed").delete(),
        "facts_are_told_once",
    ),
    "a task without its answer": (
        lambda: Task.objects.filter(kind="assistant_reply").update(result_message=None),
        "done_tasks_have_their_result",
    ),
    "an open task with an answer": (
        lambda: Task.objects.filter(kind="assistant_reply").update(status="open"),
        "done_tasks_have_their_result",
    ),
    "the answer of somebody else": (change(author=None), "done_tasks_have_their_result"),
    "a message without a task": (
        lambda: Task.objects.filter(result_message=one_reply()).delete(),
        "answers_come_from_a_task",
    ),
    "a review without a task": (
        lambda: Task.objects.filter(result_review__isnull=False).delete(),
        "answers_come_from_a_task",
    ),
    "a ranking without a task": (
        lambda: Task.objects.filter(result_ranking__isnull=False).delete(),
        "answers_come_from_a_task",
    ),
    "a skip that left no trace": (unskipped, "skipped_tasks_left_a_skip"),
    "a name that does not look so": (
        lambda: User.objects.filter(pk=User.objects.all()[0].pk).update(name_skeleton="nobody"),
        "names_are_marked_as_they_look",
    ),
    "a name that is owned and brought": (lambda: brought_and_owned(), "names_are_marked_as_they_look"),
    "two programs that are not beside a name": (lambda: alike_and_unmarked(), "names_are_marked_as_they_look"),
    "a program beside a name that is chosen here": (
        lambda: User.objects.filter(pk=User.objects.all()[0].pk).update(program_beside="A bot"),
        "names_are_marked_as_they_look",
    ),
    "terms that nobody agreed to": (
        lambda: User.objects.update(terms_version="never"),
        "people_stand_by_their_newest_terms",
    ),
}

GROWING: dict[str, tuple[Callable[[], object], str]] = {
    "a missing place for a reply": (lambda: Opening.objects.all()[0].delete(), "replies_wanted"),
    "a place too many": (lambda: double(Opening.objects.all()[0]), "replies_wanted"),
    "work about a deleted message": (lambda: Message.objects.update(deleted=True), "openings_are_offered"),
    "work in another language": (lambda: Opening.objects.update(lang="de"), "openings_are_offered"),
    "a hold without a task": (lambda: expired_with_its_place(), "leases_are_open_tasks"),
    "hidden although nobody proposed it": (
        lambda: Message.objects.update(hidden=True),
        "hidden_messages_wait_for_a_moderator",
    ),
    "a proposal that does not hide": (lambda: propose(hides=True), "hidden_messages_wait_for_a_moderator"),
    "a withdrawal that does not hide": (lambda: withdraw(), "hidden_messages_wait_for_a_moderator"),
    "hidden for good although nobody decided it": (
        lambda: Message.objects.update(kept_hidden=True),
        "moderators_hid_what_stays_hidden",
    ),
    "withdrawn although nobody did": (
        lambda: Message.objects.update(withdrawn=True),
        "withdrawn_messages_have_a_withdrawal",
    ),
    "a proposal that acts against a decision": (
        lambda: (Message.objects.update(kept_at=timezone.now()), propose(stops=True)),
        "what_moderators_decided_stands",
    ),
    "a stop that waits for nothing": (lambda: stop_for_complaints(), "stopped_trees_wait_for_a_moderator"),
    "a complaint that outlived a decision": (
        lambda: (flag_long_ago(), Message.objects.update(kept_at=timezone.now())),
        "complaints_before_a_decision_are_void",
    ),
}


def bring(program: str, name: str = "Zelda") -> User:
    client, _ = api_clients.create_api_client(name=program)
    return identities.get_or_create_person(client, auth_method="local", username="z", display_name=name)


def brought_and_owned() -> None:
    User.objects.filter(pk=bring("A bot").pk).update(owns_name=True)


def alike_and_unmarked() -> None:
    bring("A bot"), bring("A forum")
    mark_waiting()
    User.objects.update(program_beside="")


def mark_waiting() -> None:
    """Do what the worker does after the commit."""
    for job in WaitingJob.objects.filter(job=names.MARK_ALIKE):
        names.update_lookalikes(*job.args)
        job.delete()


def stop_for_complaints() -> None:
    with transaction.atomic():
        locked = lock_tree(MessageTree.objects.get().pk, POLICY)
        transitions.halt(locked, reason=transitions.TOO_MANY_FLAGS)
        transitions.advance(locked)


def propose(**acts: bool) -> None:
    root = Message.objects.get(parent=None)
    Proposal.objects.create(
        tree=root.tree, message=root, revision_id=root.revision_id, kind=Proposal.Kind.FLAGS, voices=4, **acts
    )


def withdraw() -> None:
    root = Message.objects.get(parent=None)
    Withdrawal.objects.create(tree=root.tree, message=root)


def flag_long_ago() -> None:
    root = Message.objects.get(parent=None)
    long_ago = timezone.now() - timedelta(hours=2)
    Reaction.objects.create(message=root, author=User.objects.all()[0], emoji="red_flag", created_at=long_ago)


def double(opening: Opening) -> None:
    opening.pk = None
    opening.save(force_insert=True)


def expired_with_its_place() -> None:
    take(new_people(1)[0], POLICY, Kind.ASSISTANT_REPLY)
    Task.objects.filter(status="open").update(status="expired", finished_at=timezone.now())


def unnoticed(ways: dict[str, tuple[Callable[[], object], str]]) -> dict[str, set[str]]:
    """Break each rule in turn and undo it; returns those whose check found nothing, with what was found instead."""
    missed = {}
    for how, (act, check) in ways.items():
        before = transaction.savepoint()
        act()
        found = broken()
        transaction.savepoint_rollback(before)
        if check not in found:
            missed[how] = found
    return missed


class TestBreaking:
    def test_in_a_finished_tree(self) -> None:
        work_until(start_tree(POLICY), State.READY_FOR_EXPORT, POLICY)
        assert broken() == set()
        assert unnoticed(FINISHED) == {}
        assert broken() == set()

    def test_in_a_growing_tree(self) -> None:
        work_until(start_tree(POLICY), State.GROWING, POLICY)
        assert broken() == set()
        assert unnoticed(GROWING) == {}
        assert broken() == set()

    def test_places_for_judgements(self) -> None:
        start_tree(POLICY)
        assert broken() == set()
        Opening.objects.all()[0].delete()
        assert broken() == {"judgements_wanted"}

    def test_a_tree_without_its_prompt(self) -> None:
        start_tree(POLICY)
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM tasks_task; DELETE FROM trees_opening; DELETE FROM trees_happening")
            cursor.execute("SET CONSTRAINTS ALL DEFERRED; DELETE FROM trees_message; DELETE FROM trees_revision")
        assert "tree_has_its_prompt" in broken()

    def test_writing_around_the_tasks_is_noticed(self, alice: User) -> None:
        growing_tree(alice, POLICY)
        assert broken() == {"answers_come_from_a_task"}
        assert Review.objects.exists() and not Ranking.objects.exists() and not Skip.objects.exists()
