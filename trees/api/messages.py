"""Operations on messages: lists, one message, and its surroundings, by our ids and by the client's own."""

from contextlib import suppress
from typing import Any
from uuid import UUID

from oasst.accounts import identities
from oasst.api.error_codes import ErrorCode
from oasst.api.fields import BooleanField, ChoiceField, NullField, Schema, TextField, UUIDField, UUIDListField
from oasst.api.operations import Access, Call, Operation, operation
from oasst.api.people import Person
from oasst.core.errors import NotFound
from trees.access import message_not_found
from trees.api import reading
from trees.api.schemas import (
    Conversation,
    MessagePage,
    MessageSchema,
    MessagesCursorQuery,
    MessagesQuery,
    MessageTreeSchema,
    Revision,
    TreeState,
)
from trees.contributing import client_feedback
from trees.models import Message
from trees.moderation import client_actions
from trees.policies.reading import current_policy

OPERATIONS: list[Operation] = []


class ListQuery(MessagesQuery):
    auth_method = TextField(default=None)
    username = TextField(default=None)
    allow_deleted = BooleanField(default=False)


class CursorQuery(MessagesCursorQuery):
    user_id = UUIDField(default=None)
    auth_method = TextField(default=None)
    username = TextField(default=None)
    api_client_id = UUIDField(default=None)
    search_query = TextField(default=None, max_length=1000)
    include_user = BooleanField(default=None)


class TreeQuery(Schema):
    include_spam = BooleanField(default=True)
    include_deleted = BooleanField(default=False)


NOT_FOUND = (ErrorCode.MESSAGE_NOT_FOUND,)
BROKEN = (ErrorCode.MESSAGE_NOT_FOUND, ErrorCode.BROKEN_CONVERSATION)
KEY, TRUSTED = Access.KEY, Access.TRUSTED


@operation(
    OPERATIONS,
    "GET",
    "messages/",
    KEY,
    viewer=True,
    query=ListQuery,
    answer=[MessageSchema],
    errors=(ErrorCode.AUTH_AND_USERNAME_REQUIRED,),
)
def list_messages(call: Call) -> Any:
    """Messages, newest first: the client's own, all for a trusted client."""
    query = {**call.query, "include_deleted": call.query["allow_deleted"]}
    messages = reading.messages_for(call.client, query["api_client_id"], own_may_be_named=False)
    messages = reading.narrow(reading.by_author(messages, call.client, query), query)
    return reading.list_messages(messages, call.client, call.viewer, max_count=query["max_count"], desc=query["desc"])


@operation(
    OPERATIONS,
    "GET",
    "messages/cursor",
    KEY,
    viewer=True,
    query=CursorQuery,
    answer=MessagePage,
    errors=(ErrorCode.INVALID_CURSOR_VALUE, ErrorCode.AUTH_AND_USERNAME_REQUIRED),
)
def page_messages(call: Call) -> Any:
    """Messages page by page, oldest first unless `desc`."""
    query = call.query
    messages = reading.messages_for(call.client, query["api_client_id"], own_may_be_named=False)
    messages = reading.narrow(reading.by_author(messages, call.client, query), query)
    if query["user_id"]:
        messages = messages.filter(author=query["user_id"])
    if query["search_query"]:
        messages = reading.search(messages, call.client, query["search_query"], query["lang"])
    return reading.page_messages(messages, call.client, call.viewer, query, with_users=bool(query["include_user"]))


class BulkQuery(Schema):
    ids = UUIDListField(max_count=100, help_text="Separated by commas.")


@operation(OPERATIONS, "GET", "messages/bulk", KEY, viewer=True, query=BulkQuery, answer=[MessageSchema])
def list_by_ids(call: Call) -> Any:
    """Up to a hundred messages by their ids, in this order, also deleted ones. Unknown ids are left out."""
    return reading.by_ids(call.query["ids"], call.client, call.viewer)


@operation(OPERATIONS, "GET", "messages/<message_id>", KEY, viewer=True, answer=MessageSchema, errors=NOT_FOUND)
def get_message(call: Call) -> Any:
    """One message, also a deleted one. Its text is then empty except for trusted clients and staff."""
    return reading.get_message(call.id("message_id"), call.client, call.viewer)


@operation(OPERATIONS, "DELETE", "messages/<message_id>", TRUSTED, viewer=True, status=204)
def delete_message(call: Call) -> None:
    """Mark a message and everything below it as deleted. Repeats and unknown ids change nothing."""
    with suppress(NotFound):
        client_actions.delete_message(call.id("message_id"), call.client, call.viewer, current_policy())


@operation(
    OPERATIONS, "GET", "messages/<message_id>/conversation", KEY, viewer=True, answer=Conversation, errors=BROKEN
)
def get_conversation(call: Call) -> Any:
    """From the prompt down to this message."""
    return reading.conversation(call.id("message_id"), call.client, call.viewer)


@operation(
    OPERATIONS,
    "GET",
    "messages/<message_id>/tree",
    KEY,
    viewer=True,
    query=TreeQuery,
    answer=MessageTreeSchema,
    errors=NOT_FOUND,
)
def get_tree(call: Call) -> Any:
    """The whole tree around this message; nothing in it lacks its parent."""
    return reading.tree(call.id("message_id"), call.client, call.viewer, **call.query)


@operation(OPERATIONS, "GET", "messages/<message_id>/tree/state", KEY, viewer=True, answer=TreeState, errors=NOT_FOUND)
def get_tree_state(call: Call) -> Any:
    """The state of the tree of this message."""
    return reading.tree_state(call.id("message_id"))


class HaltQuery(Schema):
    halt = BooleanField()


@operation(
    OPERATIONS,
    "PUT",
    "messages/<message_id>/tree/state",
    TRUSTED,
    viewer=True,
    query=HaltQuery,
    answer=TreeState,
    errors=(ErrorCode.MESSAGE_NOT_FOUND, ErrorCode.TREE_IN_ABORTED_STATE),
)
def set_tree_state(call: Call) -> Any:
    """Stop the tree, or let it go on where it was."""
    return client_actions.halt_or_resume(
        call.id("message_id"), call.client, call.viewer, current_policy(), halt=call.query["halt"]
    )


@operation(OPERATIONS, "GET", "messages/<message_id>/children", KEY, viewer=True, answer=[MessageSchema])
def get_children(call: Call) -> Any:
    """The replies to this message that are not deleted; an empty list for an unknown message."""
    return reading.children(call.id("message_id"), call.client, call.viewer)


@operation(
    OPERATIONS, "GET", "messages/<message_id>/descendants", KEY, viewer=True, answer=MessageTreeSchema, errors=NOT_FOUND
)
def get_descendants(call: Call) -> Any:
    """Everything below this message, depth first, without itself."""
    return reading.descendants(call.id("message_id"), call.client, call.viewer)


@operation(
    OPERATIONS,
    "GET",
    "messages/<message_id>/longest_conversation_in_tree",
    KEY,
    viewer=True,
    answer=Conversation,
    errors=BROKEN,
)
def get_longest_conversation(call: Call) -> Any:
    """The longest accepted conversation of the tree."""
    return reading.longest_conversation(call.id("message_id"), call.client, call.viewer)


@operation(
    OPERATIONS,
    "GET",
    "messages/<message_id>/max_children_in_tree",
    KEY,
    viewer=True,
    answer=MessageTreeSchema,
    errors=NOT_FOUND,
)
def get_max_children(call: Call) -> Any:
    """The accepted message of the tree with the most replies, and those."""
    return reading.max_children(call.id("message_id"), call.client, call.viewer)


class EditBody(Schema):
    user = Person()
    new_content = TextField()


@operation(
    OPERATIONS,
    "POST",
    "messages/<message_id>/edit",
    TRUSTED,
    body=EditBody,
    answer=NullField(),
    errors=(
        *(ErrorCode.MESSAGE_NOT_FOUND, ErrorCode.AUTH_AND_USERNAME_REQUIRED),
        *(ErrorCode.TASK_MESSAGE_TEXT_EMPTY, ErrorCode.TASK_MESSAGE_TOO_LONG),
        *(ErrorCode.USER_DISABLED, ErrorCode.USER_HAS_NOT_ACCEPTED_TOS),
    ),
    unnumbered_statuses=(409,),
)
def edit_message(call: Call) -> None:
    """Give the message a new text; the earlier ones stay in its history. The answer is null."""
    editor = identities.person_of_body(call.client, call.required_body["user"])
    client_actions.edit_message(
        call.id("message_id"), call.client, editor, call.required_body["new_content"], current_policy()
    )


@operation(OPERATIONS, "GET", "messages/<message_id>/history", TRUSTED, viewer=True, answer=[Revision])
def get_history(call: Call) -> Any:
    """All texts of the message, oldest first; an empty list if it was never edited."""
    return reading.history(call.id("message_id"), call.viewer)


@operation(
    OPERATIONS,
    "PUT",
    "messages/<message_id>/undelete",
    TRUSTED,
    viewer=True,
    status=202,
    answer=NullField(),
    errors=NOT_FOUND,
    unnumbered_statuses=(409,),
)
def undelete_message(call: Call) -> None:
    """Bring back the message and everything above it. The answer is null."""
    client_actions.undelete_message(call.id("message_id"), call.client, call.viewer, current_policy())


class EmojiBody(Schema):
    user = Person()
    emoji = ChoiceField(client_feedback.EMOJI_CODES)
    op = ChoiceField(("toggle", "add", "remove"), default="toggle")


@operation(
    OPERATIONS,
    "POST",
    "messages/<message_id>/emoji",
    KEY,
    body=EmojiBody,
    status=202,
    answer=MessageSchema,
    errors=(
        *(ErrorCode.MESSAGE_NOT_FOUND, ErrorCode.AUTH_AND_USERNAME_REQUIRED),
        *(ErrorCode.USER_DISABLED, ErrorCode.USER_HAS_NOT_ACCEPTED_TOS),
    ),
)
def react(call: Call) -> Any:
    """Add an emoji to the message or remove it; the answer is the message as this person now sees it."""
    message_id, body = call.id("message_id"), call.required_body
    person = identities.person_of_body(call.client, body["user"])
    client_feedback.react(message_id, call.client, person, body["emoji"], body["op"])
    return reading.get_message(message_id, call.client, person)


# --- By the client's own ids: without a viewer, and within that client only ---


def _own(call: Call) -> UUID:
    messages = Message.objects.filter(api_client=call.client, frontend_message_id=call.path["frontend_message"])
    message_id = messages.values_list("pk", flat=True).first()
    if message_id is None:
        raise message_not_found()
    return message_id


BASE = "frontend_messages/<frontend_message>"


@operation(OPERATIONS, "GET", BASE, KEY, answer=MessageSchema, errors=NOT_FOUND)
def get_own_message(call: Call) -> Any:
    """One message by the id that this client gave it."""
    return reading.get_message(_own(call), call.client, None)


@operation(OPERATIONS, "GET", f"{BASE}/conversation", KEY, answer=Conversation, errors=BROKEN)
def get_own_conversation(call: Call) -> Any:
    """From the prompt down to this message."""
    return reading.conversation(_own(call), call.client, None)


@operation(OPERATIONS, "GET", f"{BASE}/tree", KEY, query=TreeQuery, answer=MessageTreeSchema, errors=NOT_FOUND)
def get_own_tree(call: Call) -> Any:
    """The whole tree around this message."""
    return reading.tree(_own(call), call.client, None, **call.query)


@operation(OPERATIONS, "GET", f"{BASE}/children", KEY, answer=[MessageSchema], errors=NOT_FOUND)
def get_own_children(call: Call) -> Any:
    """The replies to this message that are not deleted."""
    return reading.children(_own(call), call.client, None)


@operation(OPERATIONS, "GET", f"{BASE}/descendants", KEY, answer=MessageTreeSchema, errors=NOT_FOUND)
def get_own_descendants(call: Call) -> Any:
    """Everything below this message."""
    return reading.descendants(_own(call), call.client, None)


@operation(OPERATIONS, "GET", f"{BASE}/longest_conversation_in_tree", KEY, answer=Conversation, errors=BROKEN)
def get_own_longest_conversation(call: Call) -> Any:
    """The longest accepted conversation of the tree."""
    return reading.longest_conversation(_own(call), call.client, None)


@operation(OPERATIONS, "GET", f"{BASE}/max_children_in_tree", KEY, answer=MessageTreeSchema, errors=NOT_FOUND)
def get_own_max_children(call: Call) -> Any:
    """The accepted message of the tree with the most replies, and those."""
    return reading.max_children(_own(call), call.client, None)
