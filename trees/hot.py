"""The statements on trees that run all day, by hand: what the ORM would say takes it longer to write than PostgreSQL to
answer. They are on the managers of the models, so callers see `MessageTree.objects.locked(tree_id)` and no SQL.

Each has a twin in tests/test_hot.py that says the same by the ORM.
"""

import json
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from oasst.core import prepared
from oasst.core.prepared import PreparedManager
from trees.lifecycle.states import Work

if TYPE_CHECKING:
    from trees.models import Message, MessageTree, Opening, Revision  # noqa: F401  (named as text below)

TEXTS = frozenset({"text", "text_digest", "search", "imported"})
"""What is read of a message only where its text is shown."""
SEARCH = frozenset({"search"})


class MessageRow(NamedTuple):
    """The columns of a message that readers are shown, the reactions of the person who looks, and what follows from
    both for that reader (`trees.api.schemas.as_rows`).
    """

    id: UUID
    author_id: UUID | None
    api_client_id: UUID | None
    frontend_message_id: str
    text: str
    lang: str
    role: str
    emojis: dict[str, int]
    synthetic: bool | None  # None where this reader must not know
    parent_id: UUID | None
    created_at: datetime
    review_result: bool | None
    review_count: int
    deleted: bool
    hidden: bool
    edited: bool
    model_name: str
    tree_id: UUID
    ranking_count: int
    rank: int | None
    position: int
    depth: int
    mine: list[str]
    is_assistant: bool = False
    is_removed: bool = False
    model: str | None = None
    user_is_author: bool | None = None
    user: dict[str, Any] | None = None


COLUMNS = MessageRow._fields[: MessageRow._fields.index("mine")]
_EMOJIS = COLUMNS.index("emojis")
_MINE = """ARRAY(
    SELECT emoji FROM trees_reaction reaction
    WHERE reaction.message_id = {0}.id AND reaction.author_id = %(viewer)s AND reaction.set_aside_id IS NULL
      AND reaction.withdrawn_at IS NULL
      AND (reaction.emoji <> 'red_flag' OR reaction.voided_at IS NULL OR reaction.overruled)
    ORDER BY reaction.id
)"""


def _columns_of(alias: str) -> str:
    return ", ".join(f"{alias}.{name}" for name in COLUMNS)


_ROWS = f"SELECT {_columns_of('one')}, {_MINE.format('one')} FROM trees_message one WHERE one.id = ANY(%(messages)s)"
_PATH = f"""
    WITH RECURSIVE path AS (
        SELECT {_columns_of("one")} FROM trees_message one WHERE one.id = %(message)s
        UNION ALL
        SELECT {_columns_of("up")} FROM trees_message up JOIN path ON up.id = path.parent_id
    )
    SELECT path.*, {_MINE.format("path")} FROM path ORDER BY depth
"""


def _row(values: tuple[Any, ...]) -> MessageRow:
    columns = [*values]
    columns[_EMOJIS] = json.loads(columns[_EMOJIS])
    return MessageRow(*columns)


class FactManager(PreparedManager[Any]):
    """Of rows that are written once: steps, judgements, happenings. `insert` stores them."""


class TreeManager(PreparedManager["MessageTree"]):
    def locked(self, tree_id: UUID) -> "MessageTree":
        """One tree for change; needs an open transaction. Raises DoesNotExist.

        The weaker lock mode: inserting a message takes a key share lock on its tree, which the full lock would make
        wait. Locks run downhill: a task first, then its tree, then messages by primary key.
        """
        found = self.prepared("WHERE one.id = %s FOR NO KEY UPDATE", [tree_id])
        if not found:
            raise self.model.DoesNotExist
        return found[0]

    def count_states(self) -> list[tuple[str, int]]:
        """(state, trees in it), by name."""
        return prepared.read("SELECT state, count(*) FROM trees_messagetree GROUP BY state ORDER BY state", [])

    def count_messages(self, states: Collection[str] | None = None) -> list[tuple[Any, ...]]:
        """(tree, state, depth, oldest, youngest, messages, goal) of each tree, or of those in these states, in the
        order of arrival. Grouped by the tree alone, so that its columns cost no sorting.
        """
        which = "true" if states is None else "tree.state = ANY(%s)"
        return prepared.read(
            f"""
            SELECT tree.id, tree.state, max(message.depth), min(message.created_at), max(message.created_at), count(*),
                   tree.goal_tree_size
            FROM trees_messagetree tree JOIN trees_message message ON message.tree_id = tree.id AND NOT message.deleted
            WHERE {which} GROUP BY tree.id ORDER BY tree.number
            """,
            [] if states is None else [sorted(states)],
        )


class MessageManager(PreparedManager["Message"]):
    def of_tree(self, tree_id: UUID) -> "list[Message]":
        """All messages of a tree, without what `TEXTS` names."""
        return self.prepared("WHERE one.tree_id = %s", [tree_id], without=TEXTS)

    def to_show(self, message_id: UUID) -> "Message":
        """One message with its text. Raises DoesNotExist."""
        found = self.prepared("WHERE one.id = %s", [message_id], without=SEARCH)
        if not found:
            raise self.model.DoesNotExist
        return found[0]

    def accepted_replies(self, parent_id: UUID) -> list[tuple[UUID, UUID]]:
        """(reply, its present revision) of those that are part of the conversation."""
        sql = "SELECT id, revision_id FROM trees_message WHERE parent_id = %s AND NOT deleted AND review_result"
        return prepared.read(sql, [parent_id])

    def rows(self, message_ids: Iterable[UUID], viewer_id: UUID | None = None) -> list[MessageRow]:
        """Those of these messages that there are, in any order."""
        return [_row(one) for one in prepared.read(_ROWS, {"messages": list(message_ids), "viewer": viewer_id})]

    def path(self, message_id: UUID, viewer_id: UUID | None = None) -> list[MessageRow]:
        """The message with everything above it, the prompt first; empty when there is no such message."""
        return [_row(one) for one in prepared.read(_PATH, {"message": message_id, "viewer": viewer_id})]

    def has_recent(self, author_id: UUID, text_digest: bytes, since: datetime) -> bool:
        """Whether this person wrote this text since then."""
        sql = "SELECT FROM trees_message WHERE author_id = %s AND created_at >= %s AND text_digest = %s LIMIT 1"
        return bool(prepared.read(sql, [author_id, since, text_digest]))

    def count_languages(self) -> list[tuple[str, int, int]]:
        """(language, messages, those that are not deleted), by language."""
        sql = (
            "SELECT lang, count(*), count(*) FILTER (WHERE NOT deleted) FROM trees_message GROUP BY lang ORDER BY lang"
        )
        return prepared.read(sql, [])

    def save_decisions(self, messages: "Sequence[Message]") -> None:
        """Store what reviews, rankings and removals change. With `bulk_update` it was a fifth of taking an answer."""
        fields = ("id", "review_count", "review_result", "ranking_count", "rank", "deleted")
        prepared.run(
            """
            UPDATE trees_message SET
                review_count = fresh.review_count, review_result = fresh.review_result,
                ranking_count = fresh.ranking_count, rank = fresh.rank, deleted = fresh.deleted
            FROM unnest(%s::uuid[], %s::int[], %s::bool[], %s::int[], %s::int[], %s::bool[])
                AS fresh(id, review_count, review_result, ranking_count, rank, deleted)
            WHERE trees_message.id = fresh.id
            """,
            [[getattr(message, name) for message in messages] for name in fields],
        )


class OpeningManager(PreparedManager["Opening"]):
    def of_tree(self, tree_id: UUID) -> "list[Opening]":
        return self.prepared("WHERE one.tree_id = %s", [tree_id])

    def change(
        self,
        tree: "MessageTree",
        *,
        remove: Collection[int],
        priorities: dict[int, int],
        add: Sequence[tuple[UUID, Work, int]],
        now: datetime,
    ) -> None:
        """Remove openings of a tree, give others a new priority, and add (message, work, priority). One statement,
        which locks in the order of their ids.
        """
        prepared.run(
            """
            WITH locked AS MATERIALIZED (
                SELECT id FROM trees_opening WHERE id = ANY(%s) ORDER BY id FOR UPDATE
            ), gone AS (
                DELETE FROM trees_opening WHERE id IN (SELECT id FROM locked) AND id = ANY(%s)
            ), moved AS (
                UPDATE trees_opening SET priority = change.priority
                FROM unnest(%s::bigint[], %s::int[]) AS change(id, priority) JOIN locked USING (id)
                WHERE trees_opening.id = change.id
            )
            INSERT INTO trees_opening (tree_id, message_id, work, lang, priority, created_at)
            SELECT %s, fresh.message, fresh.work, %s, fresh.priority, %s
            FROM unnest(%s::uuid[], %s::text[], %s::int[]) AS fresh(message, work, priority)
            """,
            [
                sorted({*remove, *priorities}),
                sorted(remove),
                list(priorities.keys()),
                list(priorities.values()),
                tree.pk,
                tree.lang,
                now,
                [message_id for message_id, _, _ in add],
                [work.value for _, work, _ in add],
                [priority for _, _, priority in add],
            ],
        )


class RevisionManager(PreparedManager["Revision"]):
    def labels_given(self, revision_ids: Iterable[UUID]) -> list[tuple[UUID, dict[str, float | None]]]:
        """(message, labels) of each review of these texts that counts."""
        sql = (
            "SELECT message_id, labels FROM trees_review "
            "WHERE kind = 'review' AND set_aside_id IS NULL AND revision_id = ANY(%s)"
        )
        return [(message_id, json.loads(labels)) for message_id, labels in prepared.read(sql, [list(revision_ids)])]
