"""Export message trees as OASST JSON Lines.

Streams one consistent snapshot: memory grows neither with the number of trees nor with their sizes, beyond the largest
one, and each batch of trees costs the same few statements.
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
from trees.interchange.batches import tree_batches
from trees.interchange.export_facts import read_facts
from trees.interchange.export_json import Judgments, Writer, depth_first
from trees.interchange.format import Node
from trees.interchange.near_duplicates import NearDuplicates, comparing
from trees.interchange.pseudonyms import Pseudonyms, user_ids_in
from trees.interchange.selection import Inclusion, Selection
from trees.interchange.topics import choose_topics
from trees.models import Deletion, Message, MessageTree


def nothing_matches(selection: Selection) -> str:
    """Explain an empty export: the criteria, and the languages that exist."""
    trees, criteria = MessageTree.objects.all(), []
    if selection.user is not None:
        criteria.append(f"by the person {selection.user}")
    if selection.state is not None:
        trees = trees.filter(state=selection.state.value)
        criteria.append(f"in the state {selection.state.value}")
    if selection.lang is not None:
        criteria.append(f"in the language {selection.lang}")
    if selection.topics or selection.excluded_topics:
        criteria.append("with these topics")
    counts = trees.order_by("lang").values_list("lang").annotate(number=Count("pk"))
    existing = ", ".join(f"{lang} ({number})" for lang, number in counts)
    state = f" in the state {selection.state.value}" if selection.state is not None else ""
    given = "".join(f" {criterion}" for criterion in criteria)
    return f"Nothing matches{given}. Trees{state} by language: {existing or 'none at all'}."


def count_synthetic_left_out(selection: Selection) -> int:
    """Return how many more trees the selection would match with machine-made text. One statement."""
    if selection.synthetic is not Inclusion.WITHOUT or selection.user is not None:
        return 0
    return select_trees(selection, synthetic=Inclusion.ONLY).count()


@contextmanager
def snapshot(*, access: str = "READ ONLY") -> Iterator[None]:
    """Open a transaction that sees the database as of now. `access` may be READ WRITE."""
    with transaction.atomic(durable=True):
        with connection.cursor() as cursor:  # the ORM cannot set this
            cursor.execute(f"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, {access}")
        yield


def read_lines(selection: Selection) -> Iterator[str]:
    """Yield the lines of the file as of now, without line ends. See `read_nodes`."""
    return map(dump_line, read_nodes(selection))


def read_nodes(selection: Selection) -> Iterator[Node]:
    """Yield as `iterate_nodes`, inside `consistent_read`."""
    with consistent_read():
        yield from iterate_nodes(selection)


def consistent_read(*, access: str = "READ ONLY") -> AbstractContextManager[None]:
    """Return a snapshot, or a null context inside a transaction, which has one already.

    A caller that may stop reading early opens it around everything: an abandoned reader keeps its transaction open.
    """
    return nullcontext() if connection.in_atomic_block else snapshot(access=access)


def iterate_nodes(selection: Selection) -> Iterator[Node]:
    """Yield the trees as JSON objects in order of arrival, or single messages depth first if the selection is flat.

    Call it inside `snapshot()` if others may write.
    """
    return islice(_nodes_of(selection), selection.limit)


def _nodes_of(selection: Selection) -> Iterator[Node]:
    trees = select_trees(selection, synthetic=selection.synthetic)
    with nullcontext() if selection.near_duplicates else comparing(wordings=True) as compared:
        for batch in tree_batches(trees):
            yield from _Batch(batch, selection, compared).nodes()


def select_trees(selection: Selection, *, synthetic: Inclusion) -> QuerySet[MessageTree]:
    """Return the trees that a selection is taken from."""
    trees, messages = MessageTree.objects.all(), Message.objects.filter(tree=OuterRef("pk"))
    if selection.state is not None:
        trees = trees.filter(state=selection.state.value)
    trees = choose_topics(trees, selection)
    if selection.user is not None:
        return trees.filter(Exists(messages.filter(author=selection.user)))
    if selection.lang is not None:
        trees = trees.filter(lang__iexact=selection.lang)  # files may use other spellings
    if synthetic is not Inclusion.WITH:
        holds_some = Exists(messages.filter(synthetic=True))
        trees = trees.filter(holds_some if synthetic is Inclusion.ONLY else ~holds_some)
    return trees


class _Batch:
    """Some trees with everything to write about them, in memory. `compared` finds what is nearly the same, and is left
    out.
    """

    def __init__(self, trees: list[MessageTree], selection: Selection, compared: NearDuplicates | None = None) -> None:
        self.trees, self.selection, self.compared = trees, selection, compared
        self.by_tree: dict[UUID, list[Message]] = defaultdict(list)
        messages = Message.objects.filter(tree__in=trees).defer("search", "text_digest").order_by("depth", "position")
        for message in messages:
            self.by_tree[message.tree_id].append(message)
        deletions = Deletion.objects.filter(tree__in=trees, undone_at=None).values_list("message_ids", flat=True)
        self.deleted_here = {message_id for batch in deletions for message_id in batch}
        by_id = {m.pk: m for group in self.by_tree.values() for m in group}
        if compared is not None:
            compared.begin(by_id)
        judgments = read_facts(trees, by_id, selection)
        self.writer = Writer(
            judgments=judgments,
            pseudonyms=_pseudonyms(selection, by_id, judgments),
            labels=selection.labels,
            replies=not (selection.is_flat or selection.prompts_only),
        )

    def nodes(self) -> Iterator[Node]:
        for tree in self.trees:
            children: dict[UUID | None, list[Message]] = defaultdict(list)
            reached: set[UUID | None] = {None}
            for message in self.by_tree[tree.pk]:  # parents come before their replies
                if message.parent_id in reached and self._leads_on(message) and not self._repeats(message):
                    reached.add(message.pk)
                    children[message.parent_id].append(message)
            if self.selection.is_flat:
                messages = (m for root in children[None] for m in depth_first(root, children))
                yield from (self.writer.single(tree, m) for m in messages if self._is_wanted(m))
            elif children[None]:
                yield self.writer.tree(tree, children[None][0], children)

    def _leads_on(self, message: Message) -> bool:
        """Return True if the message, and what is below it, may be written."""
        if message.withdrawn:  # even an export of deleted messages respects its author
            return False
        if self.selection.prompts_only and message.parent_id is not None:
            return False
        # Single messages do not need the ones above them.
        return self.selection.is_flat or self._is_wanted(message)

    def _repeats(self, message: Message) -> bool:
        return self.compared is not None and self.compared.repeats(message)

    def _is_wanted(self, message: Message) -> bool:
        """Apply the selection. What a file said about its messages holds until users decide here."""
        chosen = self.selection
        if chosen.user is not None and not _is_by(message, chosen):
            return False
        given = message.given
        # Hidden messages are not accepted until a moderator has decided.
        is_gone = message.hidden or (message.deleted and (message.pk in self.deleted_here or not given.get("deleted")))
        if chosen.deleted is Inclusion.ONLY and not (message.hidden or message.deleted):
            return False
        if chosen.rejected is Inclusion.ONLY and message.review_result is not False:
            return False
        if is_gone:  # its reviews may be unfinished
            return chosen.deleted is not Inclusion.WITHOUT
        accepted = message.review_result is True or (
            message.imported is not None and message.review_result is given.get("review_result")
        )
        return accepted or chosen.rejected is not Inclusion.WITHOUT


def _is_by(message: Message, chosen: Selection) -> bool:
    """Return True for a message of the selected user, in the selected language and kind."""
    return (
        message.author_id == chosen.user
        and (chosen.lang is None or message.lang.lower() == chosen.lang.lower())
        and (chosen.synthetic is Inclusion.WITH or message.synthetic is (chosen.synthetic is Inclusion.ONLY))
    )


def _pseudonyms(selection: Selection, by_id: dict[UUID, Message], facts: dict[UUID, Judgments]) -> Pseudonyms | None:
    """Return the pseudonyms. A file may be our own export, with ids of users here. At most one statement."""
    if selection.real_user_ids:
        return None
    if selection.anonymizer_seed is not None:
        return Pseudonyms(selection.anonymizer_seed)
    user_ids = {m.author_id for m in by_id.values() if m.author_id is not None}
    user_ids |= user_ids_in(m.events for m in facts.values())
    unknown_ids = user_ids_in(m.imported for m in by_id.values()) - user_ids
    if unknown_ids:
        user_ids.update(User.objects.filter(pk__in=unknown_ids).values_list("pk", flat=True))
    return Pseudonyms(people=user_ids)
