"""Hand-written SQL for the frequent statements on trees: the ORM takes longer to compile them than PostgreSQL to run
them. They are methods of the managers, so callers write `MessageTree.objects.locked(tree_id)`.

tests/test_hot.py compares each with an ORM version of it.
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
"""Columns that are read only where the text is shown."""
SEARCH = frozenset({"search"})


class MessageRow(NamedTuple):
    """The columns of a message for readers, the viewer's reactions, and what `trees.api.schemas.as_rows` derives from
    both.
    """

    id: UUID
    author_id: UUID | None
    api_client_id: UUID | None
    frontend_message_id: str
    text: str
    lang: str
    role: str
    emojis: dict[str, int]
    synthetic: bool | None  # None if this reader must not know
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


class InsertOnlyManager(PreparedManager[Any]):
    """A manager of rows that are inserted once and never changed: transitions, judgments, outbox events."""


class TreeManager(PreparedManager["MessageTree"]):
    def locked(self, tree_id: UUID) -> "MessageTree":
        """Return one locked tree; needs an open transaction. Raise DoesNotExist.

        The weaker lock mode lets others insert messages, which take a key share lock on the tree. Lock order: a task,
        then its tree, then messages by primary key.
        """
        rows = self.fetch("WHERE one.id = %s FOR NO KEY UPDATE", [tree_id])
        if not rows:
            raise self.model.DoesNotExist
        return rows[0]

    def count_states(self) -> list[tuple[str, int]]:
        """Return (state, number of trees), by state."""
        return prepared.fetch_rows("SELECT state, count(*) FROM trees_messagetree GROUP BY state ORDER BY state", [])

    def count_messages(self, states: Collection[str] | None = None) -> list[tuple[Any, ...]]:
        """Return (tree id, state, depth, oldest, youngest, messages, goal) of all trees or those in these states, by
        arrival. It groups by the tree alone, so that the other columns need no sort.
        """
        condition = "true" if states is None else "tree.state = ANY(%s)"
        return prepared.fetch_rows(
            f"""
            SELECT tree.id, tree.state, max(message.depth), min(message.created_at), max(message.created_at), count(*),
                   tree.goal_tree_size
            FROM trees_messagetree tree JOIN trees_message message ON message.tree_id = tree.id AND NOT message.deleted
            WHERE {condition} GROUP BY tree.id ORDER BY tree.number
            """,
            [] if states is None else [sorted(states)],
        )


class MessageManager(PreparedManager["Message"]):
    def of_tree(self, tree_id: UUID) -> "list[Message]":
        """Return all messages of a tree, without the columns in `TEXTS`."""
        return self.fetch("WHERE one.tree_id = %s", [tree_id], without=TEXTS)

    def with_text(self, message_id: UUID) -> "Message":
        """Return one message with its text. Raise DoesNotExist."""
        rows = self.fetch("WHERE one.id = %s", [message_id], without=SEARCH)
        if not rows:
            raise self.model.DoesNotExist
        return rows[0]

    def accepted_replies(self, parent_id: UUID) -> list[tuple[UUID, UUID]]:
        """Return (reply id, present revision id) of the replies that are part of the conversation."""
        sql = (
            "SELECT id, revision_id FROM trees_message "
            "WHERE parent_id = %s AND NOT deleted AND NOT kept_hidden AND review_result"
        )
        return prepared.fetch_rows(sql, [parent_id])

    def rows(self, message_ids: Iterable[UUID], viewer_id: UUID | None = None) -> list[MessageRow]:
        """Return the existing ones of these messages, in any order."""
        return list(map(_row, prepared.fetch_rows(_ROWS, {"messages": list(message_ids), "viewer": viewer_id})))

    def path(self, message_id: UUID, viewer_id: UUID | None = None) -> list[MessageRow]:
        """Return the message and its ancestors, the prompt first; empty if the message does not exist."""
        return list(map(_row, prepared.fetch_rows(_PATH, {"message": message_id, "viewer": viewer_id})))

    def has_recent(self, author_id: UUID, text_digest: bytes, since: datetime) -> bool:
        """Return True if this user wrote this text since then and has not withdrawn it."""
        sql = (
            "SELECT FROM trees_message WHERE author_id = %s AND created_at >= %s AND text_digest = %s "
            "AND NOT (deleted AND withdrawn) LIMIT 1"
        )
        return bool(prepared.fetch_rows(sql, [author_id, since, text_digest]))

    def count_languages(self) -> list[tuple[str, int, int]]:
        """Return (language, messages, messages not deleted), by language."""
        sql = (
            "SELECT lang, count(*), count(*) FILTER (WHERE NOT deleted) FROM trees_message GROUP BY lang ORDER BY lang"
        )
        return prepared.fetch_rows(sql, [])

    def save_decisions(self, messages: "Sequence[Message]") -> None:
        """Store what reviews, rankings and removals change. `bulk_update` took a fifth of the time of submitting an
        answer.
        """
        fields = ("id", "review_count", "review_result", "ranking_count", "rank", "deleted")
        prepared.execute(
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
        return self.fetch("WHERE one.tree_id = %s", [tree_id])

    def change(
        self,
        tree: "MessageTree",
        *,
        remove: Collection[int],
        priorities: dict[int, int],
        add: Sequence[tuple[UUID, Work, int]],
        now: datetime,
    ) -> None:
        """Remove openings of a tree, set priorities, add (message, work, priority). One statement; it locks in id
        order.
        """
        prepared.execute(
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
    def reviews(
        self, revision_ids: Iterable[UUID]
    ) -> list[tuple[UUID, dict[str, float | None], float | None, float | None]]:
        """Return (message id, labels, finds, spares) of each review of these texts that counts, oldest first."""
        sql = (
            "SELECT message_id, labels, finds, spares FROM trees_review "
            "WHERE kind = 'review' AND set_aside_id IS NULL AND revision_id = ANY(%s) ORDER BY created_at, id"
        )
        rows = prepared.fetch_rows(sql, [list(revision_ids)])
        return [(message_id, json.loads(labels), finds, spares) for message_id, labels, finds, spares in rows]
