"""Frequent statements find their rows by an index, and finished trees cost nothing."""

import random
from collections.abc import Callable, Iterator
from datetime import timedelta
from unittest.mock import patch

import pytest
from django.db import connection
from django.db.models import Count
from django.utils import timezone

from oasst.accounts.models import User
from tasks import assignment, hot, lottery, queries, submission, supply, upkeep
from tasks.kinds import TABLE, Kind
from tasks.models import Task
from tests.simulation.scale.conftest import POLICY, Site, undone
from tests.simulation.scale.plans import Plans, explained
from trees.interchange.selection import Selection
from trees.interchange.writer import read_lines
from trees.lifecycle.locked_tree import lock_tree
from trees.lifecycle.states import State
from trees.models import Message, MessageTree
from trees.queries import (
    KINDS,
    ContributionFilter,
    contribution_counts,
    contributions_of,
    conversation_to,
    get_tree_for,
    timeline_of,
)

pytestmark = pytest.mark.django_db
Acts = dict[str, Callable[[], object]]
LANG = "en"


def some_tree(state: State) -> MessageTree:
    return MessageTree.objects.filter(state=state.value, lang=LANG).order_by("number")[0]


def busiest() -> User:
    """Return the user who wrote most: most work does not fit them, and their pages are the longest."""
    authors = Message.objects.filter(lang=LANG).values("author").annotate(number=Count("pk")).order_by("-number")
    return User.objects.get(pk=authors[0]["author"])


def work(person: User, kind: Kind) -> None:
    """Request a task of this kind and answer it."""
    task = assignment.request_task(user=person, lang=LANG, policy=POLICY, kind=kind)
    given = {"task_id": task.pk, "user": person, "policy": POLICY}
    match TABLE[kind].answer:
        case "text":
            submission.submit_text(text=f"A text for {task.pk}.", **given)
        case "labels":
            submission.submit_labels(labels={"spam": 0}, **given)
        case "ranking":
            submission.submit_ranking(ordered_ids=task.reply_ids, **given)


def hot_acts(person: User) -> Acts:
    """Return name → act for everything that visitors do."""
    now = timezone.now()
    message = Message.objects.filter(tree=some_tree(State.READY_FOR_EXPORT)).order_by("-depth")[0]
    older = contributions_of(person).older
    kinds = [kind for kind in Kind if not kind.startswith("rank_prompter")]
    return {
        **{f"work, {kind}": lambda kind=kind: work(person, kind) for kind in kinds},  # type: ignore[misc]
        "any work": lambda: assignment.request_task(user=person, lang=LANG, policy=POLICY),
        "offered kinds": lambda: hot.available_kinds(person, LANG, now),
        "availability": lambda: queries.availability(person, LANG, POLICY),
        "nothing to do": lambda: queries.explain_no_work(person, LANG, POLICY),
        "supply": lambda: supply.read_supply(LANG, POLICY),
        "lottery": lambda: lottery.draw(LANG, POLICY),
        "lock a tree": lambda: lock_tree(message.tree_id, POLICY),
        "open tasks": lambda: list(queries.open_tasks(person)),
        "a conversation": lambda: conversation_to(message, None),
        "a tree": lambda: timeline_of(get_tree_for(person, message.pk)[0]),
        "contributions": lambda: contributions_of(person),
        "contributions, older": lambda: contributions_of(person, older=older),
        **{
            f"contributions, {kind}": lambda kind=kind: contributions_of(person, only=ContributionFilter(kind=kind))
            for kind in KINDS
        },  # type: ignore[misc]
        "expired tasks": lambda: upkeep.expire_tasks(policy=POLICY),
        "trees to move on": lambda: upkeep.advance_active_trees(policy=POLICY),
    }


def plans_of(act: Callable[[], object]) -> Plans:
    random.seed(1)
    with undone(), explained() as plans:
        act()
    return plans


def let_work_run_out(number: int) -> None:
    open_tasks = Task.objects.filter(status=Task.Status.OPEN).order_by("pk").values("pk")[:number]
    Task.objects.filter(pk__in=open_tasks).update(expires_at=timezone.now() - timedelta(hours=1))


@pytest.fixture(scope="module", autouse=True)
def _no_scores() -> Iterator[None]:
    """Skip scores: making them takes longer than everything else, and no statement here reads them."""
    with patch("oasst.simulation.scale.fill.rebuild.rebuild"):
        yield


@pytest.fixture(scope="class")
def many_trees(site: Site) -> Iterator[None]:
    with site(1500, 100):
        let_work_run_out(5)
        yield


@pytest.mark.slow
@pytest.mark.usefixtures("many_trees")
class TestIndexes:
    def test_no_hot_statement_reads_a_table_from_end_to_end(self) -> None:
        found = {name: plans_of(act) for name, act in hot_acts(busiest()).items()}
        assert [(name, plans.scanned_whole) for name, plans in found.items() if plans.scanned_whole] == []
        too_many = {name: plans.rows for name, plans in found.items() if plans.rows > 3000}
        assert not too_many, "bounded by the open work and by a page, not by the tables"

    @pytest.mark.parametrize(
        ("name", "index"),
        [
            ("work, assistant_reply", "opening_draw"),
            ("offered kinds", "opening_draw"),
            ("supply", "tree_supply"),
            ("supply", "task_in_progress"),
            ("lottery", "tree_supply"),
            ("any work", "task_pending"),
            ("open tasks", "task_pending"),
            ("expired tasks", "task_expiry"),
            # Three indexes begin with the state, and the planner finds them equally good.
            ("trees to move on", "tree_by_state tree_explored tree_explored_lang"),
            ("contributions, prompt", "message_by_author"),
            ("contributions, review", "review_by_author"),
            ("contributions, ranking", "ranking_by_author"),
        ],
    )
    def test_each_has_its_index(self, name: str, index: str) -> None:
        assert plans_of(hot_acts(busiest())[name]).indexes & set(index.split())

    def test_export_reads_by_state_and_by_tree(self) -> None:
        plans = plans_of(lambda: list(read_lines(Selection(limit=300))))
        assert {"tree_by_state"} <= plans.indexes
        assert not [table for table, _ in plans.scanned_whole if table == "trees_messagetree"]

    @pytest.mark.parametrize(
        ("table", "column", "index"),
        [
            ("trees_message", "parent_id", "message_position_once"),
            ("trees_message", "author_id", "message_by_author"),
            ("trees_message", "api_client_id", "message_by_client"),
            ("trees_review", "author_id", "review_by_author"),
            ("trees_ranking", "author_id", "ranking_by_author"),
            ("trees_ranking", "parent_id", "ranking_once_per_person"),
            ("trees_skip", "message_id", "skip_once"),
            ("trees_reaction", "message_id", "reaction_once"),
            ("tasks_task", "api_client_id", "task_frontend_id_once"),
        ],
    )
    def test_keys_without_an_index_of_their_own_have_one(self, table: str, column: str, index: str) -> None:
        """The queries of deleting a row, and of checking the foreign key."""
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute(f"SELECT {column} FROM {table} WHERE {column} IS NOT NULL LIMIT 1")
            value = (cursor.fetchone() or ["00000000-0000-7000-8000-000000000000"])[0]
            cursor.execute(f"EXPLAIN SELECT 1 FROM {table} WHERE {column} = %s FOR KEY SHARE", [value])
            plan = "\n".join(line for (line,) in cursor.fetchall())
            cursor.execute("SET LOCAL enable_seqscan = on")
        assert index in plan


@pytest.mark.slow
class TestFinishedTreesCostNothing:
    def test_ten_times_as_many(self, site: Site) -> None:
        """The same statements, and no more rows, with 150 and with 1,500 trees, 60 of them unfinished."""
        costs = []
        for trees in (150, 1500):
            with site(trees, 60):
                let_work_run_out(3)
                person = User.objects.filter(contribution_languages=[LANG]).order_by("-pk")[0]
                found = {name: plans_of(act) for name, act in hot_acts(person).items()}
                costs.append({name: (plans.statements, plans.rows) for name, plans in found.items()})
        few, many = costs
        # Left out: answers, which write more if they decide something, as perhaps only one of them does; and sweeps,
        # which run statements for each tree.
        sweeps = {"trees to move on", "expired tasks"}
        steady = [name for name in few if not name.startswith("work") and name not in sweeps]
        assert {name: few[name][0] for name in steady} == {name: many[name][0] for name in steady}
        assert {name: cost[0] for name, cost in many.items() if cost[0] > 24 and name not in sweeps} == {}, (
            "12 to ask and 12 to answer"
        )
        # The two users contributed different amounts; a full table scan would be thousands of rows.
        grown = {name: (few[name], many[name]) for name in few if many[name][1] > 2 * few[name][1] + 300}
        assert grown == {}


def test_counts_of_a_person_read_what_that_person_gave(site: Site) -> None:
    with site(100, 20):
        person = busiest()
        mine = Message.objects.filter(author=person).count()
        plans = plans_of(lambda: contribution_counts(person))
        assert plans.statements == 2
        assert plans.rows < 20 * mine
