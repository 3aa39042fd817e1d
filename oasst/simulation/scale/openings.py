"""The open places of a made tree: what `trees.lifecycle.demand` says about it, as for every other tree."""

import random
from datetime import datetime
from uuid import UUID

from oasst.simulation.scale.bulk import Row
from oasst.simulation.scale.life import Life, Turn
from oasst.simulation.scale.people import People
from oasst.simulation.scale.rows import Rows, moment
from tasks.assignment import PAGE_LEASE
from tasks.kinds import Kind
from trees.lifecycle import demand, transitions
from trees.lifecycle.locked_tree import LockedTree
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import REPLY_WORK, REVIEW_WORK, TABLE, Work
from trees.models import Message, MessageTree

HELD = 0.04  # share of the places


def add_places(
    life: Life, rows: Rows, *, people: People, policy: TreePolicy, chance: random.Random, now: datetime
) -> None:
    """Openings for everything that this tree wants, some of them held by somebody."""
    if not TABLE[life.state].offers:
        return
    locked = locked_tree_of(life, policy, now)
    if step := transitions.due_step(locked):
        raise AssertionError(f"a tree was made in {life.state} that has to go to {step[0]}")
    turns = {UUID(turn.id): turn for turn in life.turns}
    for (message_id, work), count in demand.places(locked).items():
        turn = turns[message_id]
        besides = _those_who_may_not(turn, work)
        for _ in range(count):
            held: Row = (None, None, None)
            if chance.random() < HELD:
                person = people.draw(life.lang, besides)
                besides.append(person)
                shown = [reply.id for reply in turn.standing()] if work not in REPLY_WORK | REVIEW_WORK else []
                seen = [turn.id] if work in REVIEW_WORK else shown
                lease = rows.add_hold(life, person, Kind(work.value), turn.id, at=now, seen=seen, shown=shown)
                held = (person, lease, moment(now + PAGE_LEASE))
            rows.of["trees_opening"].append(
                (
                    life.root.id,
                    turn.id,
                    work.value,
                    life.lang,
                    str(demand.priority(locked, locked.messages[message_id], work)),
                    moment(life.now),
                    *held,
                )
            )


def _those_who_may_not(turn: Turn, work: Work) -> list[str]:
    """As `tasks.hot` has it."""
    if work in REVIEW_WORK:
        return [turn.author, *(vote.author for vote in turn.votes)]
    return [*(reply.author for reply in turn.replies), *(order.author for order in turn.orders)]


def locked_tree_of(life: Life, policy: TreePolicy, now: datetime) -> LockedTree:
    """The tree as the services see it."""
    tree = MessageTree(
        id=UUID(life.root.id),
        state=life.state.value,
        lang=life.lang,
        goal_tree_size=policy.goal_tree_size,
        max_depth=policy.max_tree_depth,
        max_children_count=policy.max_children_count,
    )
    messages = [
        Message(
            id=UUID(turn.id),
            tree=tree,
            parent_id=UUID(turn.parent.id) if turn.parent else None,
            role=turn.role,
            depth=turn.depth,
            review_result=turn.result,
            ranking_count=turn.ranking_count,
        )
        for turn in life.turns
    ]
    return LockedTree(
        tree=tree,
        policy=policy,
        messages={message.pk: message for message in messages},
        openings=[],
        now=now,
        known_votes={
            UUID(turn.id): [vote.rejects for vote in turn.votes] for turn in life.turns if turn.result is None
        },
    )
