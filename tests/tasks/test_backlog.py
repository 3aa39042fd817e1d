"""Imported conversations wait in the backlog until rankers need work, and then reach the data set."""

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path
from uuid import uuid4

import pytest
from django.core.management import call_command

from oasst.accounts.models import User
from oasst.site.invariants import find_differences
from tasks import assignment, backlog, queries, submission
from tasks.kinds import Kind
from tests.factories import conversation, new_people
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import MessageTree, TreeTransition

pytestmark = pytest.mark.django_db
POLICY = TreePolicy(min_active_rankings=1, num_required_rankings=2)


def bring(tmp_path: Path, *trees: dict[str, object]) -> list[str]:
    """Import trees as backlog; return their ids in the order of the file."""
    file = tmp_path / f"{uuid4()}.jsonl"
    file.write_text("".join(json.dumps(tree) + "\n" for tree in trees))
    call_command("import_trees", "--backlog", file, stdout=StringIO())
    return [str(tree["message_tree_id"]) for tree in trees]


def states() -> dict[str, str]:
    return {str(pk): state for pk, state in MessageTree.objects.values_list("pk", "state")}


def rank(person: User, policy: TreePolicy = POLICY) -> None:
    task = assignment.request_task(user=person, lang="en", kind=Kind.RANK_ASSISTANT_REPLIES, policy=policy)
    submission.submit_ranking(task_id=task.pk, user=person, ordered_ids=task.reply_ids[::-1], policy=policy)


def test_from_the_file_to_the_data_set(tmp_path: Path, alice: User, bob: User, carol: User) -> None:
    first, second = bring(tmp_path, conversation(), conversation(3))
    assert states() == {first: State.BACKLOG_RANKING, second: State.BACKLOG_RANKING}
    for person in (alice, bob, carol):
        rank(person)
    # The request of the third user activated the second tree, since the first was finished.
    assert states() == {first: State.READY_FOR_EXPORT, second: State.RANKING}
    rank(alice)
    assert states() == {first: State.READY_FOR_EXPORT, second: State.READY_FOR_EXPORT}
    assert list(find_differences(POLICY)) == []
    out = StringIO()
    call_command("export_trees", stdout=out, stderr=StringIO())
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [line["message_tree_id"] for line in lines] == [first, second]
    assert sorted(reply["rank"] for reply in lines[1]["prompt"]["replies"]) == [0, 1, 2]


def test_rankers_get_no_more_than_they_have_room_for(tmp_path: Path, alice: User) -> None:
    bring(tmp_path, *(conversation() for _ in range(3)))
    two = replace(POLICY, min_active_rankings=2)
    assert [backlog.activate("en", two) for _ in range(4)] == [1, 1, 0, 0]
    assert sorted(states().values()) == [State.BACKLOG_RANKING, State.RANKING, State.RANKING]


def test_what_can_not_be_ranked_is_not_accepted_and_the_next_comes(tmp_path: Path) -> None:
    lonely, rejected, good = bring(tmp_path, conversation(1), conversation(accepted=False), conversation())
    assert backlog.activate("en", POLICY) == 1
    assert states() == {
        lonely: State.ABORTED_LOW_GRADE,
        rejected: State.ABORTED_LOW_GRADE,
        good: State.RANKING,
    }
    assert "Nothing in it can be ranked." in TreeTransition.objects.filter(tree=lonely).values_list("reason", flat=True)


def test_other_languages_wait_for_their_own_people(tmp_path: Path, alice: User) -> None:
    (german,) = bring(tmp_path, conversation(lang="de"))
    with pytest.raises(assignment.NothingToDo):
        rank(alice)
    assert states() == {german: State.BACKLOG_RANKING}


def test_looking_promises_the_work_and_changes_nothing(tmp_path: Path, alice: User) -> None:
    """In the reference (E12, C4), page views and accepted prompts activated trees."""
    (tree,) = bring(tmp_path, conversation())
    assert queries.availability(alice, "en", POLICY)[Kind.RANK_ASSISTANT_REPLIES] == 1
    assert states() == {tree: State.BACKLOG_RANKING}


def test_the_backlog_leaves_the_room_for_prompts_alone(tmp_path: Path) -> None:
    before = queries.availability(new_people(1)[0], "en", POLICY)[Kind.INITIAL_PROMPT]
    bring(tmp_path, *(conversation() for _ in range(3)))
    backlog.activate("en", POLICY)
    assert queries.availability(new_people(1)[0], "en", POLICY)[Kind.INITIAL_PROMPT] == before
