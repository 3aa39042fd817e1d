"""Suggesting a better text for somebody's message. Outer writer."""

from uuid import UUID

from django.db import transaction

from oasst.accounts.locks import require_contributor_now
from oasst.accounts.models import User
from oasst.core import ratelimit
from oasst.core.text import language_detection
from trees.access import PUBLIC, no_such_message, visible_messages
from trees.contributing import posting
from trees.lifecycle.policy import TreePolicy
from trees.models import Message


def get_correctable_for(person: User, message_id: UUID) -> Message:
    """The message, if this person may suggest another text for it right now. One statement.

    Raises NotFound and what `posting.refuse_correction` raises.
    """
    messages = visible_messages(person, Message.objects.filter(PUBLIC, pk=message_id))
    message = messages.select_related("tree").defer("search", "imported").first()
    if message is None:
        raise no_such_message()
    posting.refuse_correction(message.tree, message, person)
    return message


def suggest(*, message_id: UUID, person: User, text: str, policy: TreePolicy) -> Message:
    """Store another text for this message as its sibling. Raises what `posting.post_correction` raises, NotAllowed, and
    Busy `rate_limited`.
    """
    ratelimit.spend(ratelimit.SUGGESTIONS, person.pk)
    reading = language_detection.read(text)  # before anything is locked
    with transaction.atomic(durable=True):
        require_contributor_now(person)
        original = get_correctable_for(person, message_id)
        return posting.post_correction(original=original, author=person, text=text, policy=policy, reading=reading)
