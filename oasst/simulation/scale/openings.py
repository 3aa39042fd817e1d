"""The openings of a made-up tree, from `trees.lifecycle.demand` as for every other tree."""

import random
from datetime import datetime
from uuid import UUID

from oasst.simulation.scale.bulk import Row
from oasst.simulation.scale.life import FakeMessage, Life
from oasst.simulation.scale.people import People
from oasst.simulation.scale.rows import Rows, moment
from tasks.assignment import PAGE_LEASE
from tasks.kinds import Kind
from trees.lifecycle import demand, transitions
from trees.lifecycle.consensus import Vote
from trees.lifecycle.locked_tree import LockedTree
from trees.lifecycle.states import RANKING_WORK, REVIEW_WORK, TABLE, Work
from trees.models import Message, MessageTree

HELD = 0.04  # share of the openings


def add_openings(life: Life, rows: Rows, *, people: People, chance: random.Random, now: datetime) -> None:
    """Add the openings that this tree needs, some of them held."""
    if not TABLE[life.state].offers:
        return
    locked = locked_tree_of(life, now)
    if step := transitions.due_step(locked):
        raise AssertionError(f"a tree was made in {life.state} that must move to {step[0]}")
    messages = {UUID(message.id): message for message in life.messages}
    for (message_id, work), count in demand.openings_wanted(locked).items():
        message = messages[message_id]
        excluded = _excluded_authors(message, work)
        for _ in range(count):
            held: Row = (None, None, None)
            if chance.random() < HELD:
                holder = people.draw(life.lang, excluded)
                excluded.append(holder)
                replies = [reply.id for reply in message.accepted_replies()] if work in RANKING_WORK else []
                seen = [message.id] if work in REVIEW_WORK else replies
                lease = rows.add_hold(life, holder, Kind(work.value), message.id, at=now, seen=seen, replies=replies)
                held = (holder, lease, moment(now + PAGE_LEASE))
            rows.of["trees_opening"].append(
                (
                    life.root.id,
                    message.id,
                    work.value,
                    life.lang,
                    str(demand.priority(locked, locked.messages[message_id], work)),
                    moment(life.now),
                    *held,
                )
            )


def _excluded_authors(message: FakeMessage, work: Work) -> list[str]:
    """Return the users who may not do this work, by the rules of `tasks.hot`."""
    if work in REVIEW_WORK:
        return [message.author, *(vote.author for vote in message.votes)]
    return [*(reply.author for reply in message.replies), *(order.author for order in message.orders)]


def locked_tree_of(life: Life, now: datetime) -> LockedTree:
    """Return the tree as the services see it."""
    tree = MessageTree(
        id=UUID(life.root.id),
        state=life.state.value,
        lang=life.lang,
        goal_tree_size=life.policy.goal_tree_size,
        max_depth=life.policy.max_tree_depth,
        max_children_count=life.policy.max_children_count,
    )
    messages = [
        Message(
            id=UUID(message.id),
            tree=tree,
            parent_id=UUID(message.parent.id) if message.parent else None,
            role=message.role,
            depth=message.depth,
            review_result=message.result,
            ranking_count=message.ranking_count,
        )
        for message in life.messages
    ]
    return LockedTree(
        tree=tree,
        site_policy=life.policy,
        messages={message.pk: message for message in messages},
        openings=[],
        now=now,
        known_votes={
            UUID(message.id): [Vote(vote.rejects) for vote in message.votes]
            for message in life.messages
            if message.result is None
        },
    )
