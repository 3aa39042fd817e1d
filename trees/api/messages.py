"""Operations on messages: lists, one message, and everything around it. By our ids, and by the client's own."""

from contextlib import suppress
from typing import Any
from uuid import UUID

from oasst.accounts import identities
from oasst.api.codes import Wire
from oasst.api.fields import Choice, Flag, Id, Ids, Nothing, Shape, Text
from oasst.api.operations import Access, Call, Operation, operation
from oasst.api.people import Person
from oasst.core.errors import NotFound
from trees.access import no_message
from trees.api import reading
from trees.api.schemas import (
    Conversation,
    MessagePage,
    MessagesCursorQuery,
    MessageShape,
    MessagesQuery,
    MessageTreeShape,
    Revision,
    TreeState,
)
from trees.contributing import client_feedback
from trees.lifecycle.policy import current_policy
from trees.models import Message
from trees.moderation import client_actions

OPERATIONS: list[Operation] = []


class ListQuery(MessagesQuery):
    auth_method = Text(default=None)
    username = Text(default=None)
    allow_deleted = Flag(default=False)


class CursorQuery(MessagesCursorQuery):
    user_id = Id(default=None)
    auth_method = Text(default=None)
    username = Text(default=None)
    api_client_id = Id(default=None)
    search_query = Text(default=None, max_length=1000)
    include_user = Flag(default=None)


class TreeQuery(Shape):
    include_spam = Flag(default=True)
    include_deleted = Flag(default=False)


NOT_FOUND = (Wire.MESSAGE_NOT_FOUND,)
BROKEN = (Wire.MESSAGE_NOT_FOUND, Wire.BROKEN_CONVERSATION)
KEY, TRUSTED = Access.KEY, Access.TRUSTED


@operation(
    OPERATIONS,
    "GET",
    "messages/",
    KEY,
    viewer=True,
    query=ListQuery,
    answer=[MessageShape],
    errors=(Wire.AUTH_AND_USERNAME_REQUIRED,),
)
def list_messages(call: Call) -> Any:
    """Messages, newest first: the client's own, all for a trusted client."""
    query = {**call.query, "include_deleted": call.query["allow_deleted"]}
    found = reading.messages_for(call.client, query["api_client_id"], own_may_be_named=False)
    found = reading.narrow(reading.by_author(found, call.client, query), query)
    return reading.listed(found, call.client, call.viewer, max_count=query["max_count"], desc=query["desc"])


@operation(
    OPERATIONS,
    "GET",
    "messages/cursor",
    KEY,
    viewer=True,
    query=CursorQuery,
    answer=MessagePage,
    errors=(Wire.INVALID_CURSOR_VALUE, Wire.AUTH_AND_USERNAME_REQUIRED),
)
def page_messages(call: Call) -> Any:
    """Messages page by page, oldest first unless `desc`."""
    query = call.query
    found = reading.messages_for(call.client, query["api_client_id"], own_may_be_named=False)
    found = reading.narrow(reading.by_author(found, call.client, query), query)
    if query["user_id"]:
        found = found.filter(author=query["user_id"])
    if query["search_query"]:
        found = reading.search(found, call.client, query["search_query"], query["lang"])
    return reading.page(found, call.client, call.viewer, query, with_users=bool(query["include_user"]))


class BulkQuery(Shape):
    ids = Ids(max_count=100, help_text="Separated by commas.")


@operation(OPERATIONS, "GET", "messages/bulk", KEY, viewer=True, query=BulkQuery, answer=[MessageShape])
def list_by_ids(call: Call) -> Any:
    """Up to a hundred messages by their ids, in this order, also deleted ones. Unknown ids are left out."""
    return reading.by_ids(call.query["ids"], call.client, call.viewer)


@operation(OPERATIONS, "GET", "messages/<message_id>", KEY, viewer=True, answer=MessageShape, errors=NOT_FOUND)
def get_message(call: Call) -> Any:
    """One message, also a deleted one. The text of that is empty but for trusted clients and staff."""
    return reading.one(call.id("message_id"), call.client, call.viewer)


@operation(OPERATIONS, "DELETE", "messages/<message_id>", TRUSTED, viewer=True, status=204)
def delete_message(call: Call) -> None:
    """Mark a message and everything below it as deleted. Once more, or of nothing, changes nothing."""
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
    answer=MessageTreeShape,
    errors=NOT_FOUND,
)
def get_tree(call: Call) -> Any:
    """The whole tree around this message; nothing in it lacks its parent."""
    return reading.tree(call.id("message_id"), call.client, call.viewer, **call.query)


@operation(OPERATIONS, "GET", "messages/<message_id>/tree/state", KEY, viewer=True, answer=TreeState, errors=NOT_FOUND)
def get_tree_state(call: Call) -> Any:
    """Where the tree of this message stands."""
    return reading.tree_state(call.id("message_id"))


class HaltQuery(Shape):
    halt = Flag()


@operation(
    OPERATIONS,
    "PUT",
    "messages/<message_id>/tree/state",
    TRUSTED,
    viewer=True,
    query=HaltQuery,
    answer=TreeState,
    errors=(Wire.MESSAGE_NOT_FOUND, Wire.TREE_IN_ABORTED_STATE),
)
def set_tree_state(call: Call) -> Any:
    """Stop the tree, or let it go on where it was."""
    return client_actions.halt_or_resume(
        call.id("message_id"), call.client, call.viewer, current_policy(), halt=call.query["halt"]
    )


@operation(OPERATIONS, "GET", "messages/<message_id>/children", KEY, viewer=True, answer=[MessageShape])
def get_children(call: Call) -> Any:
    """The replies to this message that are not deleted; none to nothing."""
    return reading.children(call.id("message_id"), call.client, call.viewer)


@operation(
    OPERATIONS,
    "GET",
    "messages/<message_id>/descendants",
    KEY,
    viewer=True,
    answer=MessageTreeShape,
    errors=NOT_FOUND,
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
    answer=MessageTreeShape,
    errors=NOT_FOUND,
)
def get_max_children(call: Call) -> Any:
    """The accepted message of the tree with the most replies, and those."""
    return reading.max_children(call.id("message_id"), call.client, call.viewer)


class EditBody(Shape):
    user = Person()
    new_content = Text()


@operation(
    OPERATIONS,
    "POST",
    "messages/<message_id>/edit",
    TRUSTED,
    body=EditBody,
    answer=Nothing(),
    errors=(
        *(Wire.MESSAGE_NOT_FOUND, Wire.AUTH_AND_USERNAME_REQUIRED),
        *(Wire.TASK_MESSAGE_TEXT_EMPTY, Wire.TASK_MESSAGE_TOO_LONG),
        *(Wire.USER_DISABLED, Wire.USER_HAS_NOT_ACCEPTED_TOS),
    ),
    plain=(409,),
)
def edit_message(call: Call) -> None:
    """Give the message a new text; the earlier ones stay in its history. The answer is null."""
    editor = identities.speak_for(call.client, call.given["user"])
    client_actions.edit_message(call.id("message_id"), call.client, editor, call.given["new_content"], current_policy())


@operation(OPERATIONS, "GET", "messages/<message_id>/history", TRUSTED, viewer=True, answer=[Revision])
def get_history(call: Call) -> Any:
    """All texts of the message, oldest first; none of one that was never edited."""
    return reading.history(call.id("message_id"), call.viewer)


@operation(
    OPERATIONS,
    "PUT",
    "messages/<message_id>/undelete",
    TRUSTED,
    viewer=True,
    status=202,
    answer=Nothing(),
    errors=NOT_FOUND,
    plain=(409,),
)
def undelete_message(call: Call) -> None:
    """Bring back the message and everything above it. The answer is null."""
    client_actions.undelete_message(call.id("message_id"), call.client, call.viewer, current_policy())


class EmojiBody(Shape):
    user = Person()
    emoji = Choice(client_feedback.EMOJI_CODES)
    op = Choice(("toggle", "add", "remove"), default="toggle")


@operation(
    OPERATIONS,
    "POST",
    "messages/<message_id>/emoji",
    KEY,
    body=EmojiBody,
    status=202,
    answer=MessageShape,
    errors=(
        *(Wire.MESSAGE_NOT_FOUND, Wire.AUTH_AND_USERNAME_REQUIRED),
        *(Wire.USER_DISABLED, Wire.USER_HAS_NOT_ACCEPTED_TOS),
    ),
)
def react(call: Call) -> Any:
    """Put an emoji on the message or take it back; the message as this person now sees it."""
    message_id, body = call.id("message_id"), call.given
    person = identities.speak_for(call.client, body["user"])
    client_feedback.react(message_id, call.client, person, body["emoji"], body["op"])
    return reading.one(message_id, call.client, person)


# --- By the client's own ids: within that client only, nobody looks ---


def _own(call: Call) -> UUID:
    found = Message.objects.filter(api_client=call.client, frontend_message_id=call.path["frontend_message"])
    message_id = found.values_list("pk", flat=True).first()
    if message_id is None:
        raise no_message()
    return message_id


BASE = "frontend_messages/<frontend_message>"


@operation(OPERATIONS, "GET", BASE, KEY, answer=MessageShape, errors=NOT_FOUND)
def get_own_message(call: Call) -> Any:
    """One message by the id that this client gave it."""
    return reading.one(_own(call), call.client, None)


@operation(OPERATIONS, "GET", f"{BASE}/conversation", KEY, answer=Conversation, errors=BROKEN)
def get_own_conversation(call: Call) -> Any:
    """From the prompt down to this message."""
    return reading.conversation(_own(call), call.client, None)


@operation(OPERATIONS, "GET", f"{BASE}/tree", KEY, query=TreeQuery, answer=MessageTreeShape, errors=NOT_FOUND)
def get_own_tree(call: Call) -> Any:
    """The whole tree around this message."""
    return reading.tree(_own(call), call.client, None, **call.query)


@operation(OPERATIONS, "GET", f"{BASE}/children", KEY, answer=[MessageShape], errors=NOT_FOUND)
def get_own_children(call: Call) -> Any:
    """The replies to this message that are not deleted."""
    return reading.children(_own(call), call.client, None)


@operation(OPERATIONS, "GET", f"{BASE}/descendants", KEY, answer=MessageTreeShape, errors=NOT_FOUND)
def get_own_descendants(call: Call) -> Any:
    """Everything below this message."""
    return reading.descendants(_own(call), call.client, None)


@operation(OPERATIONS, "GET", f"{BASE}/longest_conversation_in_tree", KEY, answer=Conversation, errors=BROKEN)
def get_own_longest_conversation(call: Call) -> Any:
    """The longest accepted conversation of the tree."""
    return reading.longest_conversation(_own(call), call.client, None)


@operation(OPERATIONS, "GET", f"{BASE}/max_children_in_tree", KEY, answer=MessageTreeShape, errors=NOT_FOUND)
def get_own_max_children(call: Call) -> Any:
    """The accepted message of the tree with the most replies, and those."""
    return reading.max_children(_own(call), call.client, None)
