"""Exporting message trees as OASST JSON Lines.

Reads one consistent snapshot and streams it: memory does not grow with the number of trees, and a batch of trees costs
the same few statements whatever is in it.
"""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import islice
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Count, Exists, OuterRef, QuerySet

from oasst.accounts.models import User
from oasst.core.json_lines import dump_line
from trees.interchange.export_facts import read_facts
from trees.interchange.export_json import Said, Writer, depth_first
from trees.interchange.format import Node
from trees.interchange.pseudonyms import Pseudonyms, user_ids_in
from trees.interchange.selection import Inclusion, Selection
from trees.models import Deletion, Message, MessageTree

BATCH = 200


def nothing_matches(selection: Selection) -> str:
    """Why a file is empty, in words: what was looked for, and which languages there are."""
    trees, asked = MessageTree.objects.all(), []
    if selection.user is not None:
        asked.append(f"by the person {selection.user}")
    if selection.state is not None:
        trees = trees.filter(state=selection.state.value)
        asked.append(f"in the state {selection.state.value}")
    if selection.lang is not None:
        asked.append(f"in the language {selection.lang}")
    found = trees.order_by("lang").values_list("lang").annotate(number=Count("pk"))
    there_are = ", ".join(f"{lang} ({number})" for lang, number in found)
    state = f" in the state {selection.state.value}" if selection.state is not None else ""
    return (
        f"Nothing matches{''.join(f' {one}' for one in asked)}. Trees{state} by language: {there_are or 'none at all'}."
    )


def count_left_out_as_synthetic(selection: Selection) -> int:
    """How many trees would be looked at too if machine-made text was included. One statement."""
    if selection.synthetic is not Inclusion.WITHOUT or selection.user is not None:
        return 0
    return _trees(selection, synthetic=Inclusion.ONLY).count()


@contextmanager
def snapshot() -> Iterator[None]:
    """A transaction that sees the database as it is now until its end."""
    with transaction.atomic(durable=True):
        with connection.cursor() as cursor:  # the ORM knows no such transactions
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def read_lines(selection: Selection) -> Iterator[str]:
    """The lines of the file as of now, without line ends. See `read_nodes`."""
    return map(dump_line, read_nodes(selection))


def read_nodes(selection: Selection) -> Iterator[Node]:
    """What `nodes_of` gives, in `one_view`."""
    with one_view():
        yield from nodes_of(selection)


def one_view() -> AbstractContextManager[None]:
    """A snapshot; inside a transaction (a test's, or a caller's snapshot) nothing, since that has one already.

    Who may stop reading in the middle opens it around all: a reader that is left behind keeps its transaction open.
    """
    return nullcontext() if connection.in_atomic_block else snapshot()


def nodes_of(selection: Selection) -> Iterator[Node]:
    """The trees as JSON objects, in the order in which they came in; single messages where the selection is flat,
    depth first.

    Call it inside `snapshot()` when other people are writing.
    """
    return islice(_nodes_of(selection), selection.limit)


def _nodes_of(selection: Selection) -> Iterator[Node]:
    trees, last = _trees(selection, synthetic=selection.synthetic).order_by("number"), -1
    while batch := list(trees.filter(number__gt=last)[:BATCH]):
        yield from _Batch(batch, selection).nodes()
        last = batch[-1].number


def _trees(selection: Selection, *, synthetic: Inclusion) -> QuerySet[MessageTree]:
    trees, messages = MessageTree.objects.all(), Message.objects.filter(tree=OuterRef("pk"))
    if selection.state is not None:
        trees = trees.filter(state=selection.state.value)
    if selection.user is not None:
        return trees.filter(Exists(messages.filter(author=selection.user)))
    if selection.lang is not None:
        trees = trees.filter(lang__iexact=selection.lang)  # files may have brought other spellings
    if synthetic is not Inclusion.WITH:
        holds_some = Exists(messages.filter(synthetic=True))
        trees = trees.filter(holds_some if synthetic is Inclusion.ONLY else ~holds_some)
    return trees


class _Batch:
    """Some trees with all that is written about them in memory."""

    def __init__(self, trees: list[MessageTree], selection: Selection) -> None:
        self.trees, self.selection = trees, selection
        self.by_tree: dict[UUID, list[Message]] = defaultdict(list)
        messages = Message.objects.filter(tree__in=trees).defer("search", "text_digest").order_by("depth", "position")
        for message in messages:
            self.by_tree[message.tree_id].append(message)
        deletions = Deletion.objects.filter(tree__in=trees, undone_at=None).values_list("message_ids", flat=True)
        self.deleted_here = {message_id for batch in deletions for message_id in batch}
        found = {message.pk: message for one in self.by_tree.values() for message in one}
        said = read_facts(trees, found, selection)
        self.writer = Writer(
            said=said,
            pseudonyms=_pseudonyms(selection, found, said),
            labels=selection.labels,
            replies=not (selection.is_flat or selection.prompts_only),
        )

    def nodes(self) -> Iterator[Node]:
        for tree in self.trees:
            children: dict[UUID | None, list[Message]] = defaultdict(list)
            reached: set[UUID | None] = {None}
            for message in self.by_tree[tree.pk]:  # parents come before their replies
                if message.parent_id in reached and self._leads_on(message):
                    reached.add(message.pk)
                    children[message.parent_id].append(message)
            if self.selection.is_flat:
                every = (one for root in children[None] for one in depth_first(root, children))
                yield from (self.writer.single(tree, one) for one in every if self._is_wanted(one))
            elif children[None]:
                yield self.writer.tree(tree, children[None][0], children)

    def _leads_on(self, message: Message) -> bool:
        """May it, and what hangs below it, be written?"""
        if message.withdrawn:  # whoever else is given what was deleted: its author said no
            return False
        if self.selection.prompts_only and message.parent_id is not None:
            return False
        # Single messages do not need the ones above them.
        return self.selection.is_flat or self._is_wanted(message)

    def _is_wanted(self, message: Message) -> bool:
        """What a file said about its own messages stands until people here say otherwise."""
        chosen = self.selection
        if chosen.user is not None and not _is_by(message, chosen):
            return False
        given = message.given
        # What is hidden is not part of what people accepted until a moderator has decided.
        is_gone = message.hidden or (message.deleted and (message.pk in self.deleted_here or not given.get("deleted")))
        if chosen.deleted is Inclusion.ONLY and not (message.hidden or message.deleted):
            return False
        if chosen.rejected is Inclusion.ONLY and message.review_result is not False:
            return False
        if is_gone:  # its reviews may never have ended
            return chosen.deleted is not Inclusion.WITHOUT
        accepted = message.review_result is True or (
            message.imported is not None and message.review_result is given.get("review_result")
        )
        return accepted or chosen.rejected is not Inclusion.WITHOUT


def _is_by(message: Message, chosen: Selection) -> bool:
    """Is it one of the person whose messages are wanted, in the language and of the sort that are?"""
    return (
        message.author_id == chosen.user
        and (chosen.lang is None or message.lang.lower() == chosen.lang.lower())
        and (chosen.synthetic is Inclusion.WITH or message.synthetic is (chosen.synthetic is Inclusion.ONLY))
    )


def _pseudonyms(selection: Selection, messages: dict[UUID, Message], said: dict[UUID, Said]) -> Pseudonyms | None:
    """Ids in a file are of people elsewhere, unless they are of people of this site: it may be a file of its own. One
    statement where messages came with such ids.
    """
    if selection.real_user_ids:
        return None
    if selection.anonymizer_seed is not None:
        return Pseudonyms(selection.anonymizer_seed)
    here = {one.author_id for one in messages.values() if one.author_id is not None}
    here |= user_ids_in(one.events for one in said.values())
    strangers = user_ids_in(one.imported for one in messages.values()) - here
    if strangers:
        here.update(User.objects.filter(pk__in=strangers).values_list("pk", flat=True))
    return Pseudonyms(people=here)
