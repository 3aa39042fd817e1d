"""Drafts: unsent answers."""

import json
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from oasst.accounts.access import require_contributor
from oasst.accounts.models import User
from oasst.core import ratelimit
from oasst.core.errors import Invalid
from tasks import queries
from tasks.models import Draft, Task

MAX_DRAFT_BYTES = 500_000  # bytes of UTF-8: far more than any answer, even with a whole document pasted by mistake


def save_draft(*, task_id: UUID, user: User, body: dict[str, Any]) -> datetime:
    """Replace the draft of the user's own task and return when it was stored. Does nothing for a finished task.

    Raise NotAllowed, NotFound, Invalid (`too_long`, `control_characters`), Busy `rate_limited`.
    """
    require_contributor(user)
    if len(json.dumps(body, ensure_ascii=False).encode()) > MAX_DRAFT_BYTES:
        raise Invalid("This is too long to be kept as a draft.", code="too_long")
    if any("\0" in str(value) for value in body.values()):
        raise Invalid("The text contains a character that cannot be stored.", code="control_characters")
    ratelimit.count_use(ratelimit.DRAFTS, user.pk)
    with transaction.atomic(durable=True):
        task = queries.get_task_for(user, task_id)
        if task.status == Task.Status.DONE:
            return timezone.now()
        draft, _ = Draft.objects.update_or_create(task=task, defaults={"body": body})
        return draft.updated_at
