"""What clients read of trees: one message, the conversation to it, everything below it, and lists of messages.

Reading by id is open to every client, also of deleted and rejected messages; lists contain a client's own messages
unless it is trusted. `trees.access` decides whether a deleted text is included.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db.models import BooleanField, Case, F, Q, QuerySet, Value, When
from django.db.models.expressions import RawSQL

from oasst.accounts.identities import people_with_name, represent_people
from oasst.accounts.models import ApiClient, User
from oasst.api.cursors import by_date, take_page
from oasst.api.operations import require_complete_identity
from oasst.core.errors import DomainError, NotAllowed, NotFound
from trees.access import PUBLIC, is_public, message_not_found, visible_messages
from trees.api.schemas import as_rows, read_by_ids, read_path, read_rows, rows
from trees.hot import COLUMNS, MessageRow
from trees.models import Message, MessageTree, Revision
from trees.moderation.queries import ContainsText

BY_DATE = by_date("created_at", "id")


class BrokenConversation(DomainError):
    """A message above this one was deleted or not accepted."""

    default_code = "broken_conversation"


# --- Around one message ---


def get_message(message_id: UUID, client: ApiClient, viewer: User | None) -> MessageRow:
    """Return one message. Raise NotFound."""
    rows = read_by_ids([message_id], client, viewer)
    if not rows:
        raise message_not_found()
    return rows[message_id]


def by_ids(ids: Iterable[UUID], client: ApiClient, viewer: User | None) -> list[MessageRow]:
    """Return the existing ones of these messages in the order of the ids. One statement."""
    unique_ids = dict.fromkeys(ids)
    rows_by_id = read_by_ids(unique_ids, client, viewer)
    return [rows_by_id[message_id] for message_id in unique_ids if message_id in rows_by_id]


def conversation(message_id: UUID, client: ApiClient, viewer: User | None) -> dict[str, Any]:
    """Return the messages from the prompt to this one. Raise NotFound, BrokenConversation."""
    return conversation_of(read_path(message_id, client, viewer))


def conversation_of(path: list[MessageRow]) -> dict[str, Any]:
    """Return the path as a conversation. Raise NotFound, BrokenConversation."""
    if not path:
        raise message_not_found()
    if any(not is_public(row) or not row.review_result for row in path[:-1]):
        raise BrokenConversation("Something above this message was removed or is not accepted.")
    return {"messages": path}


def tree(
    message_id: UUID, client: ApiClient, viewer: User | None, *, include_spam: bool, include_deleted: bool
) -> dict[str, Any]:
    """Return the tree around a message, top down, without messages below one that is left out. Raise NotFound."""
    messages = _whole_tree(message_id, client, viewer)
    included: dict[UUID | None, MessageRow | None] = {None: None}
    for row in messages:
        is_wanted = (include_spam or row.review_result) and (include_deleted or is_public(row))
        if is_wanted and row.parent_id in included:
            included[row.id] = row
    return {"id": messages[0].tree_id, "messages": [row for row in included.values() if row is not None]}


def children(message_id: UUID, client: ApiClient, viewer: User | None) -> list[MessageRow]:
    return read_rows(Message.objects.filter(PUBLIC, parent=message_id).order_by("position"), client, viewer)


def descendants(message_id: UUID, client: ApiClient, viewer: User | None) -> dict[str, Any]:
    """Return everything below a message, depth first, deleted and rejected too. Raise NotFound."""
    replies = _by_parent(_whole_tree(message_id, client, viewer))
    result: list[MessageRow] = []
    waiting = replies[message_id][::-1]
    while waiting:
        row = waiting.pop()
        result.append(row)
        waiting.extend(reversed(replies[row.id]))
    return {"id": message_id, "messages": result}


def longest_conversation(message_id: UUID, client: ApiClient, viewer: User | None) -> dict[str, Any]:
    """Return the conversation to a deepest accepted message of the tree. Raise NotFound, BrokenConversation."""
    by_id = {row.id: row for row in _whole_tree(message_id, client, viewer)}
    path = [max(_accepted(list(by_id.values())), key=lambda row: row.depth)]
    while path[-1].parent_id is not None:
        path.append(by_id[path[-1].parent_id])
    return conversation_of(path[::-1])


def max_children(message_id: UUID, client: ApiClient, viewer: User | None) -> dict[str, Any]:
    """Return the accepted message with the most replies, then its accepted replies. Raise NotFound."""
    messages = _whole_tree(message_id, client, viewer)
    replies = _by_parent([row for row in messages if is_public(row)])
    parent = max(_accepted(messages), key=lambda row: len(replies[row.id]))
    return {"id": parent.id, "messages": [parent, *(row for row in replies[parent.id] if row.review_result)]}


def _whole_tree(message_id: UUID, client: ApiClient, viewer: User | None) -> list[MessageRow]:
    tree = Message.objects.filter(pk=message_id).values("tree")
    messages = read_rows(Message.objects.filter(tree__in=tree).order_by("depth", "position", "id"), client, viewer)
    if not messages:
        raise message_not_found()
    return messages


def _accepted(messages: list[MessageRow]) -> list[MessageRow]:
    accepted = [row for row in messages if row.review_result and is_public(row)]
    if not accepted:
        raise NotFound("No message of this tree is accepted.", code="message_not_found")
    return accepted


def _by_parent(messages: list[MessageRow]) -> dict[UUID | None, list[MessageRow]]:
    replies: dict[UUID | None, list[MessageRow]] = defaultdict(list)
    for row in messages:
        replies[row.parent_id].append(row)
    return replies


# --- Lists ---


def messages_for(client: ApiClient, api_client_id: UUID | None, *, own_may_be_named: bool) -> QuerySet[Message]:
    """Return the messages that this client may list. Raise NotAllowed `foreign_client`."""
    if client.trusted:
        return Message.objects.filter(api_client=api_client_id) if api_client_id else Message.objects.all()
    if api_client_id is not None and not (own_may_be_named and api_client_id == client.pk):
        raise NotAllowed("Another API client's messages are for trusted clients.", code="foreign_client")
    return Message.objects.filter(api_client=client)


def narrow(messages: QuerySet[Message], query: dict[str, Any]) -> QuerySet[Message]:
    """Apply the filters that all lists share; a list without a filter leaves it out of `query`."""
    condition = Q()
    if query.get("start_date"):
        condition &= Q(created_at__gte=query["start_date"])
    if query.get("end_date"):
        condition &= Q(created_at__lte=query["end_date"])
    if query["only_roots"]:
        condition &= Q(parent=None)
    if not query["include_deleted"]:
        condition &= PUBLIC
    if query["lang"]:
        condition &= Q(lang=query["lang"])
    return messages.filter(condition)


def by_author(messages: QuerySet[Message], client: ApiClient, query: dict[str, Any]) -> QuerySet[Message]:
    """Filter by the user that auth_method and username name; an unknown user has no messages."""
    pair = require_complete_identity(query["auth_method"], query["username"])
    if pair is None:
        return messages
    # A query of its own: with the id known, the index on authors also gives the order.
    return messages.filter(author__in=list(people_with_name(*pair, client).values_list("pk", flat=True)))


def search(messages: QuerySet[Message], client: ApiClient, words: str, lang: str | None) -> QuerySet[Message]:
    """Search with a language by its dictionary (all words, in any form), else by a part of the text.

    Only in texts that the client may read, since a hit reveals the text.
    """
    messages = visible_messages(client, messages)
    if not lang:
        return messages.filter(ContainsText(F("text"), Value(words)))
    # Raw SQL: the ORM knows no function that returns a query.
    holds_all = "trees_message.search @@ trees_search_query(%s, %s)"
    return messages.filter(RawSQL(holds_all, [lang, words], output_field=BooleanField()))


def list_messages(
    messages: QuerySet[Message], client: ApiClient, viewer: User | None, *, max_count: int, desc: bool
) -> list[MessageRow]:
    order = ("-created_at", "-id") if desc else ("created_at", "id")
    return read_rows(messages.order_by(*order)[:max_count], client, viewer)


def page_messages(
    messages: QuerySet[Message],
    client: ApiClient,
    viewer: User | None,
    query: dict[str, Any],
    *,
    with_users: bool = False,
) -> dict[str, Any]:
    if with_users:
        messages = messages.filter(author__isnull=False)
    result = take_page(
        rows(messages, viewer),
        BY_DATE,
        lambda row: (row[_CREATED], row[_ID]),
        before=query["before"],
        after=query["after"],
        size=query["max_count"],
        desc=query["desc"],
    )
    items = as_rows(result.rows, client, viewer)
    if with_users:
        people = represent_people(client, {row.author_id for row in items if row.author_id})
        items = [row._replace(user=people.get(row.author_id)) for row in items if row.author_id]
    return result.represent(items)


_CREATED, _ID = COLUMNS.index("created_at"), COLUMNS.index("id")


def tree_state(message_id: UUID) -> MessageTree:
    """Return the tree of a message. One statement. Raise NotFound."""
    tree = MessageTree.objects.filter(messages=message_id).first()
    if tree is None:
        raise message_not_found()
    return tree


def history(message_id: UUID, viewer: User | None) -> list[Revision]:
    """Return all texts of a message, oldest first; an empty list if it was never edited."""
    is_own = Case(When(author=viewer, then=True), default=False) if viewer else Value(False)
    revisions = Revision.objects.filter(message=message_id).annotate(user_is_author=is_own).order_by("created_at", "id")
    return list(revisions) if len(revisions) > 1 else []
