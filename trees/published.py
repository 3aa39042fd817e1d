"""What everybody may read without an account: the finished part of the data set.

Accepted, public messages of finished trees, whose authors agreed to publication (decision 107): under terms that
license it, or imported under a license. Like a snapshot, a conversation ends where one of its messages is left out.
"""

from collections.abc import Iterable
from typing import Protocol, TypeVar
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet

from oasst.accounts.documents import PUBLISHING_TERMS
from trees.access import PUBLIC
from trees.lifecycle.states import State
from trees.models import Message, MessageReading, MessageTree

PUBLISHED_TEXT = (
    PUBLIC
    & Q(review_result=True)
    & (Q(imported__isnull=True, consent__in=sorted(PUBLISHING_TERMS)) | Q(imported__isnull=False, tree__license__gt=""))
)
"""Everything that is required of a message besides its tree's state."""
PUBLISHED = Q(tree__state=State.READY_FOR_EXPORT.value) & PUBLISHED_TEXT


class Placed(Protocol):
    """What `without_gaps` needs of a message."""

    @property
    def pk(self) -> UUID: ...
    @property
    def parent_id(self) -> UUID | None: ...


M = TypeVar("M", bound=Placed)


def without_gaps(messages: Iterable[M]) -> list[M]:
    """Return those of the published messages of some trees that have all their ancestors among them."""
    by_id = {message.pk: message for message in messages}
    connected: dict[UUID, bool] = {}

    def is_connected(pk: UUID) -> bool:
        chain = []
        while pk not in connected:
            chain.append(pk)
            message = by_id.get(pk)
            if message is None or message.parent_id is None:
                connected[pk] = message is not None
                break
            pk = message.parent_id
        for below in chain:
            connected[below] = connected[pk]
        return connected[pk]

    return [message for message in by_id.values() if is_connected(message.pk)]


def finished_trees(lang: str) -> QuerySet[MessageTree]:
    """Return the finished trees of a language that may have published messages, in the order of arrival. There is an
    index for them.
    """
    may_be_published = Q(origin="") | ~Q(license="")  # an import without a license is for this site alone
    trees = MessageTree.objects.filter(may_be_published, state=State.READY_FOR_EXPORT.value, lang=lang)
    return trees.order_by("number")


def undoubted_messages() -> QuerySet[Message]:
    """Return the published messages that people wrote and no machine has a doubt about: those to show unasked, on the
    front page and for practice.
    """
    doubts = MessageReading.objects.filter(revision=OuterRef("revision"), flagged=True)
    return Message.objects.filter(PUBLISHED, synthetic=False, withdrawn=False).exclude(Exists(doubts))
