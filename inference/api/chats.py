"""Operations on chats."""

from typing import Any

from inference.api.representations import represent_chat
from inference.api.schemas import (
    ChatBatch,
    ChatIds,
    ChatListRead,
    ChatPage,
    ChatRead,
    ChatsQuery,
    ChatUpdate,
    CreateChat,
)
from inference.chats import access, changes, creation, deletion, listing
from inference.policy import current_policy
from oasst.api.operations import Access, Call, Operation, operation

OPERATIONS: list[Operation] = []
PERSON = Access.PERSON


@operation(OPERATIONS, "GET", "chats", PERSON, query=ChatsQuery, answer=ChatPage)
def list_chats(call: Call) -> Any:
    """The caller's chats, newest activity first."""
    query = call.query
    if call.viewer is None:  # a trusted API client may ask before it has named this user
        return {"chats": [], "next": None, "prev": None}
    filters = listing.ChatFilter(
        search=query["search"],
        hidden=None if query["include_hidden"] else False,
        model=query["model"],
        since=query["since"],
        until=query["until"],
        sort=query["sort"],
        descending=query["order"] == "desc",
    )
    if query["page"] is None:
        cursors = {"after": query["after"], "before": query["before"]}
        return vars(listing.page_by_cursor(call.viewer, filters, size=query["limit"], **cursors))
    numbered = listing.page_by_number(call.viewer, filters, size=query["limit"], number=query["page"])
    return {**vars(numbered), "page": numbered.number, "next": None, "prev": None}


@operation(OPERATIONS, "POST", "chats", PERSON, body=CreateChat, body_required=False, answer=ChatListRead)
def create_chat(call: Call) -> Any:
    """A new chat, empty."""
    return creation.create_chats(user=call.user, values=[call.body or {}], policy=current_policy())[0]


@operation(OPERATIONS, "POST", "chats/batch", PERSON, body=ChatBatch, answer=[ChatListRead])
def create_chats(call: Call) -> Any:
    """Up to 100 new chats at once, or none."""
    return creation.create_chats(user=call.user, values=call.required_body["chats"], policy=current_policy())


@operation(OPERATIONS, "POST", "chats/batch_delete", PERSON, body=ChatIds)
def delete_chats(call: Call) -> None:
    """Delete up to 100 chats at once, or none if one of them does not exist."""
    deletion.delete_chats(user=call.user, chat_ids=call.required_body["chat_ids"])


@operation(OPERATIONS, "PUT", "chats/hide_all", PERSON)
def hide_all(call: Call) -> None:
    """Hide all visible chats."""
    changes.hide_all(user=call.user)


@operation(OPERATIONS, "GET", "chats/<chat_id>", PERSON, answer=ChatRead)
def get_chat(call: Call) -> Any:
    """A chat with all its messages."""
    return represent_chat(access.get_chat_for(call.user, call.id("chat_id")), call.user)


@operation(OPERATIONS, "PUT", "chats/<chat_id>", PERSON, body=ChatUpdate)
def update_chat(call: Call) -> None:
    """Change what the body names."""
    changes.change_chat(
        user=call.user,
        chat_id=call.id("chat_id"),
        values=call.required_body,
        active_tail=call.required_body["active_thread_tail_message_id"],
        policy=current_policy(),
    )


@operation(OPERATIONS, "DELETE", "chats/<chat_id>", PERSON)
def delete_chat(call: Call) -> None:
    """Delete a chat and stop its answers."""
    deletion.delete_chat(user=call.user, chat_id=call.id("chat_id"))
