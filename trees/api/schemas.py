"""Messages and trees as the wire shows them: the declared shapes, and the rows that fill them.

A row is read as a plain tuple and becomes a dict in one step: a page of a thousand messages is one statement and no
model objects. Tests hold each dict and its shape together. Rows are made for a reader: one that may not read a text has
an empty one in its place from the start, so that nothing made from rows can show it.
"""

import json
from collections.abc import Collection, Iterable
from typing import Any, NamedTuple
from uuid import UUID

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef, QuerySet
from rest_framework import serializers

from oasst.accounts.models import ApiClient, User
from oasst.api.cursors import DatedPageShape
from oasst.api.fields import Choice, Flag, Id, Language, Moment, Shape, Text, Whole
from oasst.api.people import FrontEndUser
from oasst.core import prepared
from trees.access import is_public, reads_everything
from trees.lifecycle.states import State
from trees.models import Message, Reaction, Role


class ConversationMessage(Shape):
    id = Id(allow_null=True)
    user_id = Id(allow_null=True)
    frontend_message_id = Text(allow_null=True)
    text = Text()
    lang = Text(allow_null=True)
    is_assistant = Flag()
    emojis = serializers.DictField(child=Whole())
    user_emojis = serializers.ListField(child=Text())
    user_is_author = Flag(allow_null=True)
    synthetic = Flag(allow_null=True)


class MessageShape(ConversationMessage):
    parent_id = Id(allow_null=True)
    created_date = Moment()
    review_result = Flag(allow_null=True)
    review_count = Whole()
    deleted = Flag()
    edited = Flag()
    model_name = Text(allow_null=True)
    message_tree_id = Id()
    ranking_count = Whole()
    rank = Whole(allow_null=True)
    user = FrontEndUser(allow_null=True)


class Conversation(Shape):
    messages = ConversationMessage(many=True)


class MessageTreeShape(Shape):
    id = Id()
    messages = MessageShape(many=True)


class MessagesQuery(Shape):
    """What every list of messages can be asked for."""

    api_client_id = Id(default=None)
    max_count = Whole(default=10, min_value=1, max_value=1000)
    start_date = Moment(default=None)
    end_date = Moment(default=None)
    only_roots = Flag(default=False)
    desc = Flag(default=True)
    lang = Language(default=None)


class MessagesCursorQuery(Shape):
    """What every list of messages by cursor can be asked for."""

    before = Text(default=None)
    after = Text(default=None)
    only_roots = Flag(default=False)
    include_deleted = Flag(default=False)
    max_count = Whole(default=10, min_value=1, max_value=1000)
    desc = Flag(default=False)
    lang = Language(default=None)


class MessagePage(DatedPageShape):
    items = MessageShape(many=True)


class StateName(Choice):
    """Where a message tree stands."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(State, called="State", **kwargs)


class TreeState(Shape):
    message_tree_id = Id()
    state = StateName()
    goal_tree_size = Whole()
    max_depth = Whole()
    max_children_count = Whole()
    active = Flag()
    origin = Text(allow_null=True)


class Revision(Shape):
    id = Id()
    text = Text()
    message_id = Id()
    user_id = Id(allow_null=True)
    created_date = Moment(allow_null=True)
    user_is_author = Flag(allow_null=True)


class Row(NamedTuple):
    """The columns of a message that the wire shows, and the viewer's reactions. `text` is what the reader may read."""

    id: UUID
    author_id: UUID | None
    api_client_id: UUID | None
    frontend_message_id: str
    text: str
    lang: str
    role: str
    emojis: dict[str, int]
    synthetic: bool
    parent_id: UUID | None
    created_at: Any
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


_COLUMNS = Row._fields[:-1]


def rows(messages: QuerySet[Message], viewer: User | None) -> "QuerySet[Message, Any]":
    """The messages as tuples for `as_rows`. One statement, also with the viewer's reactions."""
    if viewer is None:
        return messages.values_list(*_COLUMNS)
    given = Reaction.objects.of_present_text().filter(message=OuterRef("pk"), author=viewer).order_by("id")
    return messages.annotate(mine=ArraySubquery(given.values("emoji"))).values_list(*_COLUMNS, "mine")


def read_rows(messages: QuerySet[Message], client: ApiClient, viewer: User | None) -> list[Row]:
    return as_rows(rows(messages, viewer), client)


def as_rows(tuples: Iterable[Any], client: ApiClient) -> list[Row]:
    """For this reader. Each tuple is one of `rows`."""
    found = [Row._make(one if len(one) == len(Row._fields) else (*one, [])) for one in tuples]
    if reads_everything(client):
        return found
    return [row if is_public(row) else row._replace(text="") for row in found]


_MINE = """ARRAY(
    SELECT emoji FROM trees_reaction reaction
    WHERE reaction.message_id = {0}.id AND reaction.author_id = %(viewer)s AND reaction.set_aside_id IS NULL
      AND reaction.withdrawn_at IS NULL
      AND (reaction.emoji <> 'red_flag' OR reaction.voided_at IS NULL OR reaction.overruled)
    ORDER BY reaction.id
)"""


def _of(alias: str) -> str:
    return ", ".join(f"{alias}.{name}" for name in _COLUMNS)


_THESE = f"SELECT {_of('one')}, {_MINE.format('one')} FROM trees_message one WHERE one.id = ANY(%(messages)s)"
_PATH = f"""
    WITH RECURSIVE path AS (
        SELECT {_of("one")} FROM trees_message one WHERE one.id = %(message)s
        UNION ALL
        SELECT {_of("up")} FROM trees_message up JOIN path ON up.id = path.parent_id
    )
    SELECT path.*, {_MINE.format("path")} FROM path ORDER BY depth
"""
_EMOJIS = Row._fields.index("emojis")


def read_these(message_ids: Collection[UUID], client: ApiClient, viewer: User | None) -> dict[UUID, Row]:
    """Those of these messages that there are, by their id. One statement."""
    found = prepared.read(_THESE, {"messages": list(message_ids), "viewer": viewer and viewer.pk})
    return {row.id: row for row in as_rows(map(_with_emojis, found), client)}


def read_path(message_id: UUID, client: ApiClient, viewer: User | None) -> list[Row]:
    """The message with everything above it, the prompt first; empty when there is no such message. One statement."""
    found = prepared.read(_PATH, {"message": message_id, "viewer": viewer and viewer.pk})
    return as_rows(map(_with_emojis, found), client)


def _with_emojis(row: prepared.Row) -> prepared.Row:
    return (*row[:_EMOJIS], json.loads(row[_EMOJIS]), *row[_EMOJIS + 1 :])


def conversation_message(row: Row, client: ApiClient, viewer: User | None) -> dict[str, Any]:
    return {
        "id": row.id,
        "user_id": row.author_id,
        "frontend_message_id": _frontend_id(row, client),
        "text": row.text,
        "lang": row.lang,
        "is_assistant": row.role == Role.ASSISTANT,
        "emojis": row.emojis,
        "user_emojis": row.mine,
        "user_is_author": None if viewer is None else row.author_id == viewer.pk,
        "synthetic": row.synthetic,
    }


def _frontend_id(row: Row, client: ApiClient) -> str:
    """What its own client calls the message. Another client's name for it is that client's business: others but
    trusted ones get our id instead, which as text serves them as well.
    """
    if row.api_client_id in (None, client.pk) or client.trusted:
        return row.frontend_message_id
    return str(row.id)


def message(row: Row, client: ApiClient, viewer: User | None) -> dict[str, Any]:
    return conversation_message(row, client, viewer) | {
        "parent_id": row.parent_id,
        "created_date": row.created_at,
        "review_result": row.review_result,
        "review_count": row.review_count,
        "deleted": not is_public(row),  # the wire has one word for deleted and hidden
        "edited": row.edited,
        "model_name": row.model_name or None,
        "message_tree_id": row.tree_id,
        "ranking_count": row.ranking_count,
        "rank": row.rank,
        "user": None,
    }
