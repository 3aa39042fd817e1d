"""What the page of an API client shows besides its columns: what needs a look, and what it did lately."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db.models import Count, Q
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from oasst.accounts.models import ApiClient, ApiKey
from oasst.core.ids import first_uuid7
from oasst.core.models import AuditEntry
from oasst.core.read_only_admin import duration_in_words
from tasks.models import Task
from trees.models import Message

UNUSED = timedelta(days=90)
OLD = timedelta(days=365)
"""An API client always keeps a key without an end, so that alone is no reason to warn."""
LATELY = timedelta(days=1)
COUNTED = 10_000
"""Counting ends here: the page shows that the client is busy, and statistics count the rest."""


class ClientWarning(NamedTuple):
    text: str
    is_bad: bool = False
    """It stops the client from working."""


class Activity(NamedTuple):
    label: str
    number: int
    is_more: bool = False
    """There are more than were counted."""


def find_warnings(
    client: ApiClient, keys: Sequence[ApiKey], now: datetime, *, has_development_key: bool = False
) -> list[ClientWarning]:
    """Return what needs a look, the worst first. No statement."""
    valid = [key for key in keys if key.expires_at is None or key.expires_at > now]
    found = []
    if not client.enabled:
        words = _(
            "Switched off: the API refuses its keys at once, so its people can do nothing through it. What they wrote "
            "stays, and so do its keys."
        )
        found.append(ClientWarning(words, is_bad=True))
    if not valid and not has_development_key:
        found.append(ClientWarning(_("It has no valid key, so the API refuses it. Make another key."), is_bad=True))
    for key in valid:
        unused = (now - (key.last_used_at or key.created_at)).total_seconds()
        age = (now - key.created_at).total_seconds()
        if unused >= UNUSED.total_seconds():
            words = _("The key %(prefix)s… was not used for %(length)s. End it if nobody needs it.")
            found.append(ClientWarning(words % {"prefix": key.prefix, "length": duration_in_words(unused)}))
        if key.expires_at is None and age >= OLD.total_seconds():
            words = _("The key %(prefix)s… never ends and is %(length)s old. Rotate the keys once a year.")
            found.append(ClientWarning(words % {"prefix": key.prefix, "length": duration_in_words(age)}))
    return found


def lately(client: ApiClient, now: datetime) -> list[Activity]:
    """Return what the client did within a day. Three statements, which read at most the rows of that day."""
    since = now - LATELY
    tasks = Task.objects.filter(pk__gte=first_uuid7(since), api_client=client)
    done = Q(status=Task.Status.DONE)
    asked = tasks.order_by()[:COUNTED].values("pk")
    counted = Task.objects.filter(pk__in=asked).aggregate(asked=Count("pk"), done=Count("pk", filter=done))
    texts = Message.objects.filter(api_client=client, created_at__gte=since).order_by()[:COUNTED].count()
    acts = AuditEntry.objects.filter(program=client, at__gte=since).order_by()[:COUNTED].count()
    numbers = (
        (ngettext("task asked for", "tasks asked for", counted["asked"]), counted["asked"]),
        (ngettext("of them answered", "of them answered", counted["done"]), counted["done"]),
        (ngettext("message written", "messages written", texts), texts),
        (ngettext("act of moderation", "acts of moderation", acts), acts),
    )
    return [Activity(label, number, number >= COUNTED) for label, number in numbers]
