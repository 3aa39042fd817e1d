"""Publish outbox events to their readers: scores, webhooks, notices, live pages.

An event is stored in the transaction of the change that it reports. Readers are in higher layers, so they are not
called: settings.OUTBOX_READERS maps the marker column of each reader to its job, which is started after the commit.
The jobs also run periodically, so a lost wake-up costs only time.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.conf import settings

from oasst.accounts.models import User
from oasst.core.after_commit import wake
from trees.models import Happening, Message

# Events after which there are texts that no machine has read, or none that reads this language.
NEW_TEXTS = frozenset(
    {
        Happening.Kind.MESSAGE_POSTED,
        Happening.Kind.MESSAGE_EDITED,
        Happening.Kind.MESSAGE_RESTORED,
        Happening.Kind.WITHDRAWAL_ENDED,
        Happening.Kind.TREE_IMPORTED,
        Happening.Kind.LANGUAGE_CHANGED,
    }
)
MAX_PREPARED = 5  # up to this many events use one of five prepared statements


def publish(events: Sequence[Happening]) -> None:
    """Write these events and wake their readers after the commit."""
    if events:
        for event in events:
            if event.kind not in Happening.NOTICEABLE:
                event.noticed = True
        if len(events) > MAX_PREPARED:
            Happening.objects.bulk_create(events)
        else:
            Happening.objects.insert(*events)
        for mark, reader in settings.OUTBOX_READERS.items():
            if not all(getattr(event, mark) for event in events):
                wake(reader)
        if settings.OASST_SCORING and any(event.kind in NEW_TEXTS for event in events):
            wake(settings.TEXT_READER)


def publish_about(
    message: Message, kind: Happening.Kind, *, actor: User, data: dict[str, Any], subject_id: UUID | None = None
) -> None:
    """Write one event about a message. It concerns its author unless `subject_id` names another user."""
    about: dict[str, Any] = {"message": message, "tree_id": message.tree_id}
    publish([Happening(kind=kind, actor=actor, subject_id=subject_id or message.author_id, data=data, **about)])
