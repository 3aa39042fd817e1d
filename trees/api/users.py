"""Operations on users: lists, one user, their messages; by our ids, and by the names that clients use."""

from dataclasses import replace
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet

from oasst.accounts import identities
from oasst.accounts.identities import (
    get_identity_for,
    get_person_for,
    identities_for,
    people_with_name,
    represent_identity,
)
from oasst.accounts.models import Identity, User
from oasst.api.cursors import PageSchema, by_name, take_page
from oasst.api.error_codes import ErrorCode
from oasst.api.fields import BooleanField, ChoiceField, IntegerField, Schema, TextField, UUIDField
from oasst.api.operations import Access, Call, Operation, operation
from oasst.api.people import FrontEndUser, Person
from oasst.core.errors import Invalid
from trees.api import reading
from trees.api.schemas import MessagePage, MessageSchema, MessagesCursorQuery, MessagesQuery
from trees.models import Message
from trees.moderation import client_actions
from trees.policies.reading import current_policy

OPERATIONS: list[Operation] = []
KEY, TRUSTED = Access.KEY, Access.TRUSTED


# --- Lists of people ---


class PeopleQuery(Schema):
    api_client_id = UUIDField(default=None)
    gt_id = UUIDField(default=None)
    lt_id = UUIDField(default=None)
    search_text = TextField(default=None)
    auth_method = TextField(default=None)
    max_count = IntegerField(default=100, min_value=1, max_value=10_000)
    desc = BooleanField(default=False)


class ByUsernameQuery(PeopleQuery):
    gte_username = TextField(default=None)
    lte_username = TextField(default=None)


class ByDisplayNameQuery(PeopleQuery):
    gte_display_name = TextField(default=None)
    lte_display_name = TextField(default=None)


class PeopleCursorQuery(Schema):
    before = TextField(default=None)
    after = TextField(default=None)
    sort_key = TextField(default="username", max_length=32)
    max_count = IntegerField(default=100, min_value=1, max_value=10_000)
    api_client_id = UUIDField(default=None)
    search_text = TextField(default=None)
    auth_method = TextField(default=None)


# Wire name → column.
COLUMNS = {"username": "username", "display_name": "user__display_name"}


class FrontEndUserPage(PageSchema):
    sort_key = ChoiceField(COLUMNS)
    items = FrontEndUser(many=True)


def _narrow(call: Call, column: str) -> QuerySet[Identity]:
    matches = identities_for(call.client, call.query["api_client_id"])
    if call.query["search_text"]:
        matches = matches.filter(**{f"{column}__contains": call.query["search_text"]})
    if call.query["auth_method"]:
        matches = matches.filter(auth_method=call.query["auth_method"])
    return matches


def _list_people(call: Call, key: str) -> list[dict[str, Any]]:
    query, column = call.query, COLUMNS[key]
    matches = _narrow(call, column)
    for side, value, tie_id in (
        ("gt", query[f"gte_{key}"], query["gt_id"]),
        ("lt", query[f"lte_{key}"], query["lt_id"]),
    ):
        if tie_id is not None and value is None:
            raise Invalid(f"{side}_id needs {side}e_{key} beside it.", code="tie_without_name")
        if tie_id is not None:
            beyond = Q(**{f"{column}__{side}": value}) | Q(**{f"user_id__{side}": tie_id})
            matches = matches.filter(beyond, **{f"{column}__{side}e": value})
        elif value is not None:
            matches = matches.filter(**{f"{column}__{side}e": value})
    sign = "-" if query.get("desc") else ""
    rows = matches.order_by(f"{sign}{column}", f"{sign}user_id")[: query["max_count"]]
    return [represent_identity(row, call.client) for row in rows]


@operation(OPERATIONS, "GET", "users/by_username", KEY, query=ByUsernameQuery, answer=[FrontEndUser])
def list_by_username(call: Call) -> Any:
    """People by the name that their client has for them."""
    return _list_people(call, "username")


@operation(OPERATIONS, "GET", "users/by_display_name", KEY, query=ByDisplayNameQuery, answer=[FrontEndUser])
def list_by_display_name(call: Call) -> Any:
    """People by their display name."""
    return _list_people(call, "display_name")


@operation(OPERATIONS, "GET", "frontend_users/", KEY, query=ByUsernameQuery, answer=[FrontEndUser])
def list_frontend_users(call: Call) -> Any:
    """The older name of users/by_username, always ascending."""
    return _list_people(replace(call, query={**call.query, "desc": False}), "username")


@operation(
    OPERATIONS,
    "GET",
    "users/cursor",
    KEY,
    query=PeopleCursorQuery,
    answer=FrontEndUserPage,
    errors=(ErrorCode.SORT_KEY_UNSUPPORTED,),
)
def page_people(call: Call) -> Any:
    """People page by page, by `username` or `display_name`."""
    key = call.query["sort_key"]
    if key not in COLUMNS:
        raise Invalid("People are sorted by username or display_name.", code="sort_key", field="sort_key")
    result = take_page(
        _narrow(call, COLUMNS[key]),
        by_name(key, COLUMNS[key], "user_id"),
        lambda row: (row.username if key == "username" else row.user.display_name, row.user_id),
        before=call.query["before"],
        after=call.query["after"],
        size=call.query["max_count"],
    )
    return result.represent([represent_identity(row, call.client) for row in result.rows])


# --- One person ---


class ClientQuery(Schema):
    api_client_id = UUIDField(default=None)


class UpdateQuery(Schema):
    display_name = TextField(required=False, max_length=256)
    enabled = BooleanField(required=False)
    notes = TextField(required=False, max_length=1024)
    show_on_leaderboard = BooleanField(required=False)
    tos_acceptance = BooleanField(required=False)
    tos_version = TextField(required=False, help_text="Of the terms that the person agreed to; ours.")


@operation(
    OPERATIONS,
    "GET",
    "users/<user_id>",
    KEY,
    query=ClientQuery,
    answer=FrontEndUser,
    errors=(ErrorCode.USER_NOT_FOUND,),
)
def get_user(call: Call) -> Any:
    """One person by our id."""
    return get_person_for(call.client, call.id("user_id"), call.query["api_client_id"])


@operation(
    OPERATIONS,
    "PUT",
    "users/<user_id>",
    TRUSTED,
    query=UpdateQuery,
    status=204,
    errors=(ErrorCode.USER_NOT_FOUND,),
    unnumbered_statuses=(409,),
)
def update_user(call: Call) -> None:
    """Set what the query names; what it leaves out stays."""
    client_actions.update_user(call.id("user_id"), call.client, dict(call.query))


@operation(OPERATIONS, "DELETE", "users/<user_id>", TRUSTED, status=204, errors=(ErrorCode.USER_NOT_FOUND,))
def delete_user(call: Call) -> None:
    """Erase the identity of a person; their contributions stay."""
    identities.delete_person(call.id("user_id"), call.client)


class UpsertBody(Person):
    show_on_leaderboard = BooleanField(default=None)
    enabled = BooleanField(default=None)
    tos_acceptance = BooleanField(default=None, allow_null=True)
    tos_version = TextField(
        default=None,
        allow_null=True,
        max_length=100,
        help_text="The version of the terms that the person agrees to. A person's own token has to name it; ours.",
    )
    notes = TextField(default=None, allow_null=True, max_length=1024)


@operation(
    OPERATIONS,
    "POST",
    "frontend_users/",
    KEY,
    body=UpsertBody,
    answer=FrontEndUser,
    errors=(ErrorCode.AUTH_AND_USERNAME_REQUIRED,),
)
def upsert_user(call: Call) -> Any:
    """Make a person known, rename them, note that they accepted the terms. What is left out stays as it is."""
    return identities.upsert_person(call.client, call.required_body)


@operation(
    OPERATIONS,
    "GET",
    "frontend_users/<auth_method>/<username>",
    KEY,
    query=ClientQuery,
    answer=FrontEndUser,
    errors=(ErrorCode.USER_NOT_FOUND,),
)
def get_frontend_user(call: Call) -> Any:
    """One person by the name that the calling client has for them."""
    name = call.path["auth_method"], call.path["username"]
    return represent_identity(get_identity_for(call.client, *name, call.query["api_client_id"]), call.client)


# --- What a person wrote ---


class UserMessagesQuery(MessagesQuery):
    include_deleted = BooleanField(default=False)


def _messages_of(call: Call, authors: list[UUID]) -> QuerySet[Message]:
    messages = reading.messages_for(call.client, call.query.get("api_client_id"), own_may_be_named=True)
    return reading.narrow(messages.filter(author__in=authors), call.query)


def _list_messages(call: Call, author: UUID, viewer: User | None) -> Any:
    messages, query = _messages_of(call, [author]), call.query
    return reading.list_messages(messages, call.client, viewer, max_count=query["max_count"], desc=query["desc"])


def _delete_messages(call: Call, authors: list[UUID], **limits: Any) -> None:
    messages = Message.objects.filter(author__in=authors, deleted=False, **limits)
    ids = list(messages.order_by("tree_id", "depth").values_list("tree_id", "pk"))
    client_actions.delete_messages(ids, call.client, call.viewer, current_policy())


def _named_ids(call: Call) -> list[UUID]:
    people = people_with_name(call.path["auth_method"], call.path["username"], call.client)
    return list(people.values_list("pk", flat=True))


@operation(
    OPERATIONS, "GET", "users/<user_id>/messages", KEY, viewer=True, query=UserMessagesQuery, answer=[MessageSchema]
)
def list_user_messages(call: Call) -> Any:
    """What a person wrote, newest first; an empty list for an unknown person."""
    return _list_messages(call, call.id("user_id"), call.viewer)


@operation(
    OPERATIONS,
    "GET",
    "users/<user_id>/messages/cursor",
    KEY,
    viewer=True,
    query=MessagesCursorQuery,
    answer=MessagePage,
    errors=(ErrorCode.INVALID_CURSOR_VALUE,),
)
def page_user_messages(call: Call) -> Any:
    """What a person wrote, page by page, oldest first unless `desc`."""
    return reading.page_messages(_messages_of(call, [call.id("user_id")]), call.client, call.viewer, call.query)


@operation(OPERATIONS, "DELETE", "users/<user_id>/messages", TRUSTED, viewer=True, status=204)
def delete_user_messages(call: Call) -> None:
    """Mark everything that a person wrote as deleted, with all replies below it."""
    _delete_messages(call, [call.id("user_id")])


NAMED = "frontend_users/<auth_method>/<username>/messages"


@operation(
    OPERATIONS, "GET", NAMED, KEY, query=UserMessagesQuery, answer=[MessageSchema], errors=(ErrorCode.USER_NOT_FOUND,)
)
def list_frontend_user_messages(call: Call) -> Any:
    """What a person wrote, as they see it themselves."""
    identity = get_identity_for(call.client, call.path["auth_method"], call.path["username"])
    return _list_messages(call, identity.user_id, identity.user)


@operation(
    OPERATIONS,
    "GET",
    f"{NAMED}/cursor",
    KEY,
    viewer=True,
    query=MessagesCursorQuery,
    answer=MessagePage,
    errors=(ErrorCode.INVALID_CURSOR_VALUE,),
)
def page_frontend_user_messages(call: Call) -> Any:
    """What a person wrote, page by page; empty for an unknown person."""
    return reading.page_messages(_messages_of(call, _named_ids(call)), call.client, call.viewer, call.query)


@operation(OPERATIONS, "DELETE", NAMED, TRUSTED, status=204)
def delete_frontend_user_messages(call: Call) -> None:
    """Mark what a person wrote through the calling client as deleted, with all replies below it."""
    person = identities.find_person(call.client, call.path["auth_method"], call.path["username"])
    if person is not None:
        _delete_messages(call, [person.pk], api_client=call.client)
