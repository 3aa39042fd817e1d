"""Messages and trees on the wire: the declared schemas, and the rows that fill them.

A row is read as a plain tuple: a page of a thousand messages is one statement without model objects. `source` names the
part of the row for a member. Rows are made for one reader: a text that the reader may not read is empty from the start,
so that nothing made from the rows can show it.
"""

from collections.abc import Collection, Iterable
from functools import partial
from typing import Any
from uuid import UUID

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef, QuerySet
from rest_framework import serializers

from oasst.accounts.models import ApiClient, User
from oasst.api.cursors import DatedPageSchema
from oasst.api.fields import (
    BooleanField,
    ChoiceField,
    DateTimeField,
    IntegerField,
    LanguageTagField,
    NullableTextField,
    Schema,
    TextField,
    UUIDField,
)
from oasst.api.people import FrontEndUser
from trees.access import reads_everything
from trees.hot import COLUMNS, MessageRow
from trees.lifecycle.states import State
from trees.models import Message, Reaction, Role


class ConversationMessage(Schema):
    id = UUIDField(allow_null=True)
    user_id = UUIDField(allow_null=True, source="author_id")
    frontend_message_id = TextField(allow_null=True)
    text = TextField()
    lang = TextField(allow_null=True)
    is_assistant = BooleanField()
    emojis = serializers.DictField(child=IntegerField())
    user_emojis = serializers.ListField(child=TextField(), source="mine")
    user_is_author = BooleanField(allow_null=True)
    synthetic = BooleanField(allow_null=True)


class MessageSchema(ConversationMessage):
    parent_id = UUIDField(allow_null=True)
    created_date = DateTimeField(source="created_at")
    review_result = BooleanField(allow_null=True)
    review_count = IntegerField()
    deleted = BooleanField(source="is_removed")
    edited = BooleanField()
    model_name = TextField(allow_null=True, source="model")
    message_tree_id = UUIDField(source="tree_id")
    ranking_count = IntegerField()
    rank = IntegerField(allow_null=True)
    user = FrontEndUser(allow_null=True)


class Conversation(Schema):
    messages = ConversationMessage(many=True)


class MessageTreeSchema(Schema):
    id = UUIDField()
    messages = MessageSchema(many=True)


class MessagesQuery(Schema):
    """The query of every list of messages."""

    api_client_id = UUIDField(default=None)
    max_count = IntegerField(default=10, min_value=1, max_value=1000)
    start_date = DateTimeField(default=None)
    end_date = DateTimeField(default=None)
    only_roots = BooleanField(default=False)
    desc = BooleanField(default=True)
    lang = LanguageTagField(default=None)


class MessagesCursorQuery(Schema):
    """The query of every list of messages by cursor."""

    before = TextField(default=None)
    after = TextField(default=None)
    only_roots = BooleanField(default=False)
    include_deleted = BooleanField(default=False)
    max_count = IntegerField(default=10, min_value=1, max_value=1000)
    desc = BooleanField(default=False)
    lang = LanguageTagField(default=None)


class MessagePage(DatedPageSchema):
    items = MessageSchema(many=True)


class StateName(ChoiceField):
    """The state of a message tree."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(State, called="State", **kwargs)


class TreeState(Schema):
    message_tree_id = UUIDField(source="id")
    state = StateName()
    goal_tree_size = IntegerField()
    max_depth = IntegerField()
    max_children_count = IntegerField()
    active = BooleanField()
    origin = NullableTextField()


class Revision(Schema):
    id = UUIDField()
    text = TextField()
    message_id = UUIDField()
    user_id = UUIDField(allow_null=True, source="author_id")
    created_date = DateTimeField(allow_null=True, source="created_at")
    user_is_author = BooleanField(allow_null=True)


def rows(messages: QuerySet[Message], viewer: User | None) -> "QuerySet[Message, Any]":
    """Return the messages as tuples for `as_rows`, with the viewer's reactions. One statement."""
    if viewer is None:
        return messages.values_list(*COLUMNS)
    reactions = Reaction.objects.of_present_text().filter(message=OuterRef("pk"), author=viewer).order_by("id")
    return messages.annotate(mine=ArraySubquery(reactions.values("emoji"))).values_list(*COLUMNS, "mine")


def read_rows(messages: QuerySet[Message], client: ApiClient, viewer: User | None) -> list[MessageRow]:
    return as_rows(rows(messages, viewer), client, viewer)


_MINE = len(COLUMNS)
_AUTHOR, _ROLE, _DELETED, _HIDDEN, _MODEL = map(COLUMNS.index, ("author_id", "role", "deleted", "hidden", "model_name"))
_row = partial(tuple.__new__, MessageRow)  # `_make` is a Python function because it checks the length


def as_rows(tuples: Iterable[Any], client: ApiClient, viewer: User | None) -> list[MessageRow]:
    """Convert tuples from `rows` for this reader."""
    viewer_id = viewer and viewer.pk
    result: list[MessageRow] = [
        _row(
            (
                *values[:_MINE],
                values[_MINE] if len(values) > _MINE else [],
                values[_ROLE] == Role.ASSISTANT,
                values[_DELETED] or values[_HIDDEN],  # the wire uses one word for both
                values[_MODEL] or None,
                None if viewer_id is None else values[_AUTHOR] == viewer_id,
                None,
            )
        )
        for values in tuples
    ]
    if not client.trusted:
        result = [_hide_foreign_id(row, client) for row in result]
    if not reads_everything(client):
        result = [row._replace(text="") if row.is_removed else row for row in result]
    return result


def _hide_foreign_id(row: MessageRow, client: ApiClient) -> MessageRow:
    """Replace another client's own id of a message by our id; only trusted clients see it."""
    return row if row.api_client_id in (None, client.pk) else row._replace(frontend_message_id=str(row.id))


def read_by_ids(message_ids: Collection[UUID], client: ApiClient, viewer: User | None) -> dict[UUID, MessageRow]:
    """Return the existing ones of these messages by id. One statement."""
    messages = as_rows(Message.objects.rows(message_ids, viewer.pk if viewer else None), client, viewer)
    return {row.id: row for row in messages}


def read_path(message_id: UUID, client: ApiClient, viewer: User | None) -> list[MessageRow]:
    """Return the message and its ancestors, the prompt first; empty if it does not exist. One statement."""
    return as_rows(Message.objects.path(message_id, viewer.pk if viewer else None), client, viewer)
