"""Exporting message trees as OASST JSON Lines.

Reads one consistent snapshot and streams it: memory does not grow with the number of trees.
"""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import islice
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Count

from oasst.core.json_lines import dump_line
from trees.interchange.format import tree_line
from trees.models import Deletion, Message, MessageTree
from trees.states import State

BATCH = 200


@dataclass(frozen=True)
class ExportFilter:
    """Which trees and messages go into the file. The default is the data set: finished trees, what people accepted."""

    state: State | None = State.READY_FOR_EXPORT
    lang: str | None = None  # in any case of letters
    exclude_synthetic: bool = False
    include_deleted: bool = False
    include_rejected: bool = False
    limit: int | None = None


def nothing_matches(which: ExportFilter) -> str:
    """Why a file is empty, in words: what was looked for, and which languages there are."""
    trees, asked = MessageTree.objects.all(), []
    if which.state is not None:
        trees = trees.filter(state=which.state.value)
        asked.append(f"in the state {which.state.value}")
    if which.lang is not None:
        asked.append(f"in the language {which.lang}")
    found = trees.order_by("lang").values_list("lang").annotate(number=Count("pk"))
    there_are = ", ".join(f"{lang} ({number})" for lang, number in found)
    state = f" in the state {which.state.value}" if which.state is not None else ""
    return (
        f"Nothing matches{''.join(f' {one}' for one in asked)}. Trees{state} by language: {there_are or 'none at all'}."
    )


@contextmanager
def snapshot() -> Iterator[None]:
    """A transaction that sees the database as it is now until its end."""
    with transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def read_lines(which: ExportFilter) -> Iterator[str]:
    """The lines of the file as of now, in a snapshot of their own; inside a transaction (a test's) as that sees it."""
    with nullcontext() if connection.in_atomic_block else snapshot():
        yield from export_lines(which)


def export_lines(which: ExportFilter) -> Iterator[str]:
    """The lines of the file, without line ends, in the order in which the trees came in.

    Call it inside `snapshot()` when other people are writing.
    """
    trees = MessageTree.objects.order_by("number")
    if which.state is not None:
        trees = trees.filter(state=which.state.value)
    if which.lang is not None:
        trees = trees.filter(lang__iexact=which.lang)  # files may have brought other spellings
    if which.exclude_synthetic:
        trees = trees.exclude(pk__in=Message.objects.filter(synthetic=True).values("tree_id"))
    if which.limit is not None:
        trees = trees[: which.limit]
    stream = trees.iterator(chunk_size=BATCH)
    while batch := list(islice(stream, BATCH)):
        yield from _lines_of(batch, which)


def _lines_of(trees: list[MessageTree], which: ExportFilter) -> Iterator[str]:
    by_tree: dict[UUID, list[Message]] = defaultdict(list)
    messages = Message.objects.filter(tree__in=trees).defer("search", "text_digest").order_by("depth", "position")
    for message in messages:
        by_tree[message.tree_id].append(message)
    batches = Deletion.objects.filter(tree__in=trees, undone_at=None).values_list("message_ids", flat=True)
    deleted_here = {message_id for batch in batches for message_id in batch}
    for tree in trees:
        children: dict[UUID | None, list[Message]] = defaultdict(list)
        kept: set[UUID | None] = {None}
        for message in by_tree[tree.pk]:  # parents come before their replies
            if message.parent_id in kept and _belongs(message, which, deleted_here):
                kept.add(message.pk)
                children[message.parent_id].append(message)
        if children[None]:
            yield dump_line(tree_line(tree, children[None][0], children))


def _belongs(message: Message, which: ExportFilter, deleted_here: set[UUID]) -> bool:
    """Is it part of the file? What a file said about its own messages stands until people here say otherwise."""
    given = (message.imported or {}).get("given", {})
    if message.withdrawn:  # whoever else is given what was deleted: its author said no
        return False
    if message.hidden:  # until a moderator has decided it is not part of what people accepted
        return which.include_deleted
    if message.deleted and (message.pk in deleted_here or not given.get("deleted")):
        return which.include_deleted
    if message.review_result is not True and (
        message.imported is None or message.review_result is not given.get("review_result")
    ):
        return which.include_rejected
    return True
