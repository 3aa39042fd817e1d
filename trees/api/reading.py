"""What clients read of trees: one message, what leads to it, what hangs below it, and lists of messages.

Reading by id is open to every client, also of deleted and rejected messages; lists are of a client's own messages
unless it is trusted. Whether the text of a deleted one comes with it is decided where rows are read (`trees.access`).
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db.models import BooleanField, Case, F, Q, QuerySet, Value, When
from django.db.models.expressions import RawSQL

from oasst.accounts.identities import people_called, show_people
from oasst.accounts.models import ApiClient, User
from oasst.api.cursors import by_date, take_page
from oasst.api.operations import require_pair
from oasst.core.errors import DomainError, NotAllowed, NotFound
from trees.access import PUBLIC, is_public, no_message, visible_messages
from trees.api.schemas import as_rows, read_path, read_rows, read_these, rows
from trees.hot import COLUMNS, MessageRow
from trees.models import Message, MessageTree, Revision
from trees.moderation.queries import Holds

BY_DATE = by_date("created_at", "id")


class BrokenConversation(DomainError):
    """Something above the message was deleted or not accepted."""

    default_code = "broken_conversation"


# --- Around one message ---


def one(message_id: UUID, client: ApiClient, viewer: User | None) -> MessageRow:
    """Raises NotFound."""
    found = read_these([message_id], client, viewer)
    if not found:
        raise no_message()
    return found[message_id]


def by_ids(ids: Iterable[UUID], client: ApiClient, viewer: User | None) -> list[MessageRow]:
    """Those that there are, in the order of the ids. One statement."""
    wanted = dict.fromkeys(ids)
    found = read_these(wanted, client, viewer)
    return [found[one] for one in wanted if one in found]


def conversation(message_id: UUID, client: ApiClient, viewer: User | None) -> dict[str, Any]:
    """From the prompt to the message. Raises NotFound, BrokenConversation."""
    return conversation_of(read_path(message_id, client, viewer))


def conversation_of(path: list[MessageRow]) -> dict[str, Any]:
    """Raises NotFound, BrokenConversation."""
    if not path:
        raise no_message()
    if any(not is_public(row) or not row.review_result for row in path[:-1]):
        raise BrokenConversation("Something above this message was removed or is not accepted.")
    return {"messages": path}


def tree(
    message_id: UUID, client: ApiClient, viewer: User | None, *, include_spam: bool, include_deleted: bool
) -> dict[str, Any]:
    """The tree around a message, from the top down. Without what stands below something left out. Raises NotFound."""
    whole = _whole_tree(message_id, client, viewer)
    kept: dict[UUID | None, MessageRow | None] = {None: None}
    for row in whole:
        wanted = (include_spam or row.review_result) and (include_deleted or is_public(row))
        if wanted and row.parent_id in kept:
            kept[row.id] = row
    return {"id": whole[0].tree_id, "messages": [row for row in kept.values() if row is not None]}


def children(message_id: UUID, client: ApiClient, viewer: User | None) -> list[MessageRow]:
    return read_rows(Message.objects.filter(PUBLIC, parent=message_id).order_by("position"), client, viewer)


def descendants(message_id: UUID, client: ApiClient, viewer: User | None) -> dict[str, Any]:
    """Everything below a message, depth first, deleted and rejected too. Raises NotFound."""
    below = _by_parent(_whole_tree(message_id, client, viewer))
    found: list[MessageRow] = []
    waiting = below[message_id][::-1]
    while waiting:
        row = waiting.pop()
        found.append(row)
        waiting.extend(reversed(below[row.id]))
    return {"id": message_id, "messages": found}


def longest_conversation(message_id: UUID, client: ApiClient, viewer: User | None) -> dict[str, Any]:
    """The conversation to a deepest standing message of the tree. Raises NotFound, BrokenConversation."""
    whole = {row.id: row for row in _whole_tree(message_id, client, viewer)}
    path = [max(_standing(list(whole.values())), key=lambda row: row.depth)]
    while path[-1].parent_id is not None:
        path.append(whole[path[-1].parent_id])
    return conversation_of(path[::-1])


def max_children(message_id: UUID, client: ApiClient, viewer: User | None) -> dict[str, Any]:
    """The standing message with the most replies, then those of them that stand. Raises NotFound."""
    whole = _whole_tree(message_id, client, viewer)
    replies = _by_parent([row for row in whole if is_public(row)])
    hub = max(_standing(whole), key=lambda row: len(replies[row.id]))
    return {"id": hub.id, "messages": [hub, *(row for row in replies[hub.id] if row.review_result)]}


def _whole_tree(message_id: UUID, client: ApiClient, viewer: User | None) -> list[MessageRow]:
    tree = Message.objects.filter(pk=message_id).values("tree")
    found = read_rows(Message.objects.filter(tree__in=tree).order_by("depth", "position", "id"), client, viewer)
    if not found:
        raise no_message()
    return found


def _standing(whole: list[MessageRow]) -> list[MessageRow]:
    found = [row for row in whole if row.review_result and is_public(row)]
    if not found:
        raise NotFound("No message of this tree is accepted.", code="message_not_found")
    return found


def _by_parent(whole: list[MessageRow]) -> dict[UUID | None, list[MessageRow]]:
    below: dict[UUID | None, list[MessageRow]] = defaultdict(list)
    for row in whole:
        below[row.parent_id].append(row)
    return below


# --- Lists ---


def messages_for(client: ApiClient, api_client_id: UUID | None, *, own_may_be_named: bool) -> QuerySet[Message]:
    """The messages that this client may list. Raises NotAllowed `foreign_client`."""
    if client.trusted:
        return Message.objects.filter(api_client=api_client_id) if api_client_id else Message.objects.all()
    if api_client_id is not None and not (own_may_be_named and api_client_id == client.pk):
        raise NotAllowed("Another API client's messages are for trusted clients.", code="foreign_client")
    return Message.objects.filter(api_client=client)


def narrow(found: QuerySet[Message], query: dict[str, Any]) -> QuerySet[Message]:
    """By the filters that all lists share; those that a list does not have are absent from `query`."""
    wanted = Q()
    if query.get("start_date"):
        wanted &= Q(created_at__gte=query["start_date"])
    if query.get("end_date"):
        wanted &= Q(created_at__lte=query["end_date"])
    if query["only_roots"]:
        wanted &= Q(parent=None)
    if not query["include_deleted"]:
        wanted &= PUBLIC
    if query["lang"]:
        wanted &= Q(lang=query["lang"])
    return found.filter(wanted)


def by_author(found: QuerySet[Message], client: ApiClient, query: dict[str, Any]) -> QuerySet[Message]:
    """The messages of the person whom auth_method and username name; none of anybody unknown."""
    pair = require_pair(query["auth_method"], query["username"])
    if pair is None:
        return found
    # Asked for first: with their id at hand the index on authors serves the order as well.
    return found.filter(author__in=list(people_called(*pair, client).values_list("pk", flat=True)))


def search(found: QuerySet[Message], client: ApiClient, words: str, lang: str | None) -> QuerySet[Message]:
    """With a language by its dictionary, all words and in any form; else by a piece of the text. Only in texts that the
    client may read: what is found tells what stands in it.
    """
    found = visible_messages(client, found)
    if not lang:
        return found.filter(Holds(F("text"), Value(words)))
    # The words of the text that was asked for, as the dictionary writes them: nothing in it is an operator.
    # By hand: the ORM cannot read from a function.
    holds_all = """trees_message.search @@ (
        SELECT string_agg(quote_literal(lexeme), ' & ')::tsquery FROM unnest(trees_message_search(%s, %s)))"""
    return found.filter(RawSQL(holds_all, [lang, words], output_field=BooleanField()))


def listed(
    found: QuerySet[Message], client: ApiClient, viewer: User | None, *, max_count: int, desc: bool
) -> list[MessageRow]:
    order = ("-created_at", "-id") if desc else ("created_at", "id")
    return read_rows(found.order_by(*order)[:max_count], client, viewer)


def page(
    found: QuerySet[Message], client: ApiClient, viewer: User | None, query: dict[str, Any], *, with_users: bool = False
) -> dict[str, Any]:
    if with_users:
        found = found.filter(author__isnull=False)
    taken = take_page(
        rows(found, viewer),
        BY_DATE,
        lambda row: (row[_CREATED], row[_ID]),
        before=query["before"],
        after=query["after"],
        size=query["max_count"],
        desc=query["desc"],
    )
    items = as_rows(taken.rows, client, viewer)
    if with_users:
        people = show_people(client, {row.author_id for row in items if row.author_id})
        items = [row._replace(user=people.get(row.author_id)) for row in items if row.author_id]
    return taken.as_wire(items)


_CREATED, _ID = COLUMNS.index("created_at"), COLUMNS.index("id")


def tree_state(message_id: UUID) -> MessageTree:
    """One statement. Raises NotFound."""
    tree = MessageTree.objects.filter(messages=message_id).first()
    if tree is None:
        raise no_message()
    return tree


def history(message_id: UUID, viewer: User | None) -> list[Revision]:
    """All texts of a message, oldest first; none of one that was never edited."""
    own = Case(When(author=viewer, then=True), default=False) if viewer else Value(False)
    found = Revision.objects.filter(message=message_id).annotate(user_is_author=own).order_by("created_at", "id")
    return list(found) if len(found) > 1 else []
