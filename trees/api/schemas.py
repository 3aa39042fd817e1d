"""Messages and trees as the wire shows them: the declared shapes, and the rows that they are filled from.

A row is read as a plain tuple: a page of a thousand messages is one statement and no model objects. `source` names the
part of the row that a member is. Rows are made for a reader: one that may not read a text has an empty one in its place
from the start, so that nothing made from rows can show it.
"""

from collections.abc import Collection, Iterable
from functools import partial
from typing import Any
from uuid import UUID

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef, QuerySet
from rest_framework import serializers

from oasst.accounts.models import ApiClient, User
from oasst.api.cursors import DatedPageShape
from oasst.api.fields import Choice, Flag, Id, Language, Moment, Shape, Text, TextOrNull, Whole
from oasst.api.people import FrontEndUser
from trees.access import reads_everything
from trees.hot import COLUMNS, MessageRow
from trees.lifecycle.states import State
from trees.models import Message, Reaction, Role


class ConversationMessage(Shape):
    id = Id(allow_null=True)
    user_id = Id(allow_null=True, source="author_id")
    frontend_message_id = Text(allow_null=True)
    text = Text()
    lang = Text(allow_null=True)
    is_assistant = Flag()
    emojis = serializers.DictField(child=Whole())
    user_emojis = serializers.ListField(child=Text(), source="mine")
    user_is_author = Flag(allow_null=True)
    synthetic = Flag(allow_null=True)


class MessageShape(ConversationMessage):
    parent_id = Id(allow_null=True)
    created_date = Moment(source="created_at")
    review_result = Flag(allow_null=True)
    review_count = Whole()
    deleted = Flag(source="is_removed")
    edited = Flag()
    model_name = Text(allow_null=True, source="model")
    message_tree_id = Id(source="tree_id")
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
    message_tree_id = Id(source="id")
    state = StateName()
    goal_tree_size = Whole()
    max_depth = Whole()
    max_children_count = Whole()
    active = Flag()
    origin = TextOrNull()


class Revision(Shape):
    id = Id()
    text = Text()
    message_id = Id()
    user_id = Id(allow_null=True, source="author_id")
    created_date = Moment(allow_null=True, source="created_at")
    user_is_author = Flag(allow_null=True)


def rows(messages: QuerySet[Message], viewer: User | None) -> "QuerySet[Message, Any]":
    """The messages as tuples for `as_rows`. One statement, also with the viewer's reactions."""
    if viewer is None:
        return messages.values_list(*COLUMNS)
    given = Reaction.objects.of_present_text().filter(message=OuterRef("pk"), author=viewer).order_by("id")
    return messages.annotate(mine=ArraySubquery(given.values("emoji"))).values_list(*COLUMNS, "mine")


def read_rows(messages: QuerySet[Message], client: ApiClient, viewer: User | None) -> list[MessageRow]:
    return as_rows(rows(messages, viewer), client, viewer)


_MINE = len(COLUMNS)
_AUTHOR, _ROLE, _DELETED, _HIDDEN, _MODEL = map(COLUMNS.index, ("author_id", "role", "deleted", "hidden", "model_name"))
_row = partial(tuple.__new__, MessageRow)  # `_make` without its check of the length, for which it is a Python function


def as_rows(tuples: Iterable[Any], client: ApiClient, viewer: User | None) -> list[MessageRow]:
    """For this reader. Each tuple is one of `rows`."""
    viewer_id = viewer and viewer.pk
    found: list[MessageRow] = [
        _row(
            (
                *one[:_MINE],
                one[_MINE] if len(one) > _MINE else [],
                one[_ROLE] == Role.ASSISTANT,
                one[_DELETED] or one[_HIDDEN],  # the wire has one word for both
                one[_MODEL] or None,
                None if viewer_id is None else one[_AUTHOR] == viewer_id,
                None,
            )
        )
        for one in tuples
    ]
    if not client.trusted:
        found = [_own_names(row, client) for row in found]
    if not reads_everything(client):
        found = [row._replace(text="") if row.is_removed else row for row in found]
    return found


def _own_names(row: MessageRow, client: ApiClient) -> MessageRow:
    """Another client's name for a message is that client's business: others but trusted ones get our id instead, which
    as text serves them as well.
    """
    return row if row.api_client_id in (None, client.pk) else row._replace(frontend_message_id=str(row.id))


def read_these(message_ids: Collection[UUID], client: ApiClient, viewer: User | None) -> dict[UUID, MessageRow]:
    """Those of these messages that there are, by their id. One statement."""
    found = as_rows(Message.objects.rows(message_ids, viewer.pk if viewer else None), client, viewer)
    return {row.id: row for row in found}


def read_path(message_id: UUID, client: ApiClient, viewer: User | None) -> list[MessageRow]:
    """The message with everything above it, the prompt first; empty when there is no such message. One statement."""
    return as_rows(Message.objects.path(message_id, viewer.pk if viewer else None), client, viewer)
