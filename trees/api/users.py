"""Operations on people: lists, one person, what they wrote. By our ids, and by the names that clients have for them."""

from dataclasses import replace
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet

from oasst.accounts import identities
from oasst.accounts.identities import front_end_user, get_identity_for, get_person_for, identities_for, people_called
from oasst.accounts.models import Identity, User
from oasst.api.codes import Wire
from oasst.api.cursors import PageShape, by_name, take_page
from oasst.api.fields import Choice, Flag, Id, Shape, Text, Whole
from oasst.api.operations import Access, Call, Operation, operation
from oasst.api.people import FrontEndUser, Person
from oasst.core.errors import Invalid
from trees.api import reading
from trees.api.schemas import MessagePage, MessagesCursorQuery, MessageShape, MessagesQuery
from trees.lifecycle.policy import current_policy
from trees.models import Message
from trees.moderation import client_actions

OPERATIONS: list[Operation] = []
KEY, TRUSTED = Access.KEY, Access.TRUSTED


# --- Lists of people ---


class PeopleQuery(Shape):
    api_client_id = Id(default=None)
    gt_id = Id(default=None)
    lt_id = Id(default=None)
    search_text = Text(default=None)
    auth_method = Text(default=None)
    max_count = Whole(default=100, min_value=1, max_value=10_000)
    desc = Flag(default=False)


class ByUsernameQuery(PeopleQuery):
    gte_username = Text(default=None)
    lte_username = Text(default=None)


class ByDisplayNameQuery(PeopleQuery):
    gte_display_name = Text(default=None)
    lte_display_name = Text(default=None)


class PeopleCursorQuery(Shape):
    before = Text(default=None)
    after = Text(default=None)
    sort_key = Text(default="username", max_length=32)
    max_count = Whole(default=100, min_value=1, max_value=10_000)
    api_client_id = Id(default=None)
    search_text = Text(default=None)
    auth_method = Text(default=None)


# The name on the wire → the column, and how its value is read from a row.
COLUMNS = {"username": "username", "display_name": "user__display_name"}


class FrontEndUserPage(PageShape):
    sort_key = Choice(COLUMNS)
    items = FrontEndUser(many=True)


def _narrow(call: Call, column: str) -> QuerySet[Identity]:
    found = identities_for(call.client, call.query["api_client_id"])
    if call.query["search_text"]:
        found = found.filter(**{f"{column}__contains": call.query["search_text"]})
    if call.query["auth_method"]:
        found = found.filter(auth_method=call.query["auth_method"])
    return found


def _list_people(call: Call, key: str) -> list[dict[str, Any]]:
    query, column = call.query, COLUMNS[key]
    found = _narrow(call, column)
    for side, value, tie in (
        ("gt", query[f"gte_{key}"], query["gt_id"]),
        ("lt", query[f"lte_{key}"], query["lt_id"]),
    ):
        if tie is not None and value is None:
            raise Invalid(f"{side}_id needs {side}e_{key} beside it.", code="tie_without_name")
        if tie is not None:
            beyond = Q(**{f"{column}__{side}": value}) | Q(**{f"user_id__{side}": tie})
            found = found.filter(beyond, **{f"{column}__{side}e": value})
        elif value is not None:
            found = found.filter(**{f"{column}__{side}e": value})
    sign = "-" if query.get("desc") else ""
    rows = found.order_by(f"{sign}{column}", f"{sign}user_id")[: query["max_count"]]
    return [front_end_user(row, call.client) for row in rows]


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
    errors=(Wire.SORT_KEY_UNSUPPORTED,),
)
def page_people(call: Call) -> Any:
    """People page by page, by `username` or `display_name`."""
    key = call.query["sort_key"]
    if key not in COLUMNS:
        raise Invalid("People are sorted by username or display_name.", code="sort_key", field="sort_key")
    taken = take_page(
        _narrow(call, COLUMNS[key]),
        by_name(key, COLUMNS[key], "user_id"),
        lambda row: (row.username if key == "username" else row.user.display_name, row.user_id),
        before=call.query["before"],
        after=call.query["after"],
        size=call.query["max_count"],
    )
    return taken.as_wire([front_end_user(row, call.client) for row in taken.rows])


# --- One person ---


class ClientQuery(Shape):
    api_client_id = Id(default=None)


class UpdateQuery(Shape):
    display_name = Text(required=False, max_length=256)
    enabled = Flag(required=False)
    notes = Text(required=False, max_length=1024)
    show_on_leaderboard = Flag(required=False)
    tos_acceptance = Flag(required=False)
    tos_version = Text(required=False, help_text="Of the terms that the person agreed to; ours.")


@operation(
    OPERATIONS, "GET", "users/<user_id>", KEY, query=ClientQuery, answer=FrontEndUser, errors=(Wire.USER_NOT_FOUND,)
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
    errors=(Wire.USER_NOT_FOUND,),
    plain=(409,),
)
def update_user(call: Call) -> None:
    """Set what the query names; what it leaves out stays."""
    client_actions.change_person(call.id("user_id"), call.client, dict(call.query))


@operation(OPERATIONS, "DELETE", "users/<user_id>", TRUSTED, status=204, errors=(Wire.USER_NOT_FOUND,))
def delete_user(call: Call) -> None:
    """Erase who this was; what they gave stays."""
    identities.delete_person(call.id("user_id"))


class UpsertBody(Person):
    show_on_leaderboard = Flag(default=None)
    enabled = Flag(default=None)
    tos_acceptance = Flag(default=None, allow_null=True)
    tos_version = Text(
        default=None,
        allow_null=True,
        max_length=100,
        help_text="The version of the terms that the person agrees to. A person's own token has to name it; ours.",
    )
    notes = Text(default=None, allow_null=True, max_length=1024)


@operation(
    OPERATIONS,
    "POST",
    "frontend_users/",
    KEY,
    body=UpsertBody,
    answer=FrontEndUser,
    errors=(Wire.AUTH_AND_USERNAME_REQUIRED,),
)
def upsert_user(call: Call) -> Any:
    """Make a person known, rename them, note that they accepted the terms. What is left out stays as it is."""
    return identities.upsert_person(call.client, call.given)


@operation(
    OPERATIONS,
    "GET",
    "frontend_users/<auth_method>/<username>",
    KEY,
    query=ClientQuery,
    answer=FrontEndUser,
    errors=(Wire.USER_NOT_FOUND,),
)
def get_frontend_user(call: Call) -> Any:
    """One person by the name that the calling client has for them."""
    name = call.path["auth_method"], call.path["username"]
    return front_end_user(get_identity_for(call.client, *name, call.query["api_client_id"]), call.client)


# --- What a person wrote ---


class UserMessagesQuery(MessagesQuery):
    include_deleted = Flag(default=False)


def _written(call: Call, authors: list[UUID]) -> QuerySet[Message]:
    found = reading.messages_for(call.client, call.query.get("api_client_id"), own_may_be_named=True)
    return reading.narrow(found.filter(author__in=authors), call.query)


def _list_written(call: Call, author: UUID, viewer: User | None) -> Any:
    found = _written(call, [author])
    return reading.listed(found, call.client, viewer, max_count=call.query["max_count"], desc=call.query["desc"])


def _delete_written(call: Call, authors: list[UUID], **limits: Any) -> None:
    found = Message.objects.filter(author__in=authors, deleted=False, **limits)
    ids = list(found.order_by("tree_id", "depth").values_list("tree_id", "pk"))
    client_actions.delete_messages(ids, call.client, call.viewer, current_policy())


def _called(call: Call) -> list[UUID]:
    found = people_called(call.path["auth_method"], call.path["username"], call.client)
    return list(found.values_list("pk", flat=True))


@operation(
    OPERATIONS, "GET", "users/<user_id>/messages", KEY, viewer=True, query=UserMessagesQuery, answer=[MessageShape]
)
def list_user_messages(call: Call) -> Any:
    """What a person wrote, newest first; nothing for somebody unknown."""
    return _list_written(call, call.id("user_id"), call.viewer)


@operation(
    OPERATIONS,
    "GET",
    "users/<user_id>/messages/cursor",
    KEY,
    viewer=True,
    query=MessagesCursorQuery,
    answer=MessagePage,
    errors=(Wire.INVALID_CURSOR_VALUE,),
)
def page_user_messages(call: Call) -> Any:
    """What a person wrote, page by page, oldest first unless `desc`."""
    return reading.page(_written(call, [call.id("user_id")]), call.client, call.viewer, call.query)


@operation(OPERATIONS, "DELETE", "users/<user_id>/messages", TRUSTED, viewer=True, status=204)
def delete_user_messages(call: Call) -> None:
    """Mark everything that a person wrote as deleted, with all replies below it."""
    _delete_written(call, [call.id("user_id")])


NAMED = "frontend_users/<auth_method>/<username>/messages"


@operation(OPERATIONS, "GET", NAMED, KEY, query=UserMessagesQuery, answer=[MessageShape], errors=(Wire.USER_NOT_FOUND,))
def list_frontend_user_messages(call: Call) -> Any:
    """What a person wrote, as they see it themselves."""
    identity = get_identity_for(call.client, call.path["auth_method"], call.path["username"])
    return _list_written(call, identity.user_id, identity.user)


@operation(
    OPERATIONS,
    "GET",
    f"{NAMED}/cursor",
    KEY,
    viewer=True,
    query=MessagesCursorQuery,
    answer=MessagePage,
    errors=(Wire.INVALID_CURSOR_VALUE,),
)
def page_frontend_user_messages(call: Call) -> Any:
    """What a person wrote, page by page; nothing for somebody unknown."""
    return reading.page(_written(call, _called(call)), call.client, call.viewer, call.query)


@operation(OPERATIONS, "DELETE", NAMED, TRUSTED, status=204)
def delete_frontend_user_messages(call: Call) -> None:
    """Mark what a person wrote through the calling client as deleted, with all replies below it."""
    own = identities.find_person(call.client, call.path["auth_method"], call.path["username"])
    if own is not None:
        _delete_written(call, [own.pk], api_client=call.client)
