"""Appeals of suspended users against their suspension: one at a time, answered by a moderator.

`trees.moderation.bans` lifts a ban; `account_bans.lift_ban` then grants the open appeal, however the ban ended.
"""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Count, Min
from django.utils import timezone
from django.utils.translation import gettext

from oasst.accounts.locks import lock_user
from oasst.accounts.models import Appeal, User
from oasst.accounts.roles import require_higher_rank
from oasst.core.after_commit import enqueue_by_name
from oasst.core.errors import Conflict, NotFound
from oasst.core.ratelimit import APPEALS, count_use
from oasst.core.text.validation import clean_reason, clean_text

AGAIN_AFTER = timedelta(days=14)
"""How long after a refusal the next appeal can be sent."""
MAIL_JOB = "oasst.accounts.jobs.mail_about_appeal"  # by name, because jobs mail and this module is below them


def appeal(user: User, text: str) -> Appeal:
    """Store an appeal. Raise Invalid (the text), Busy, Conflict (`not_banned`, `appeal_open`, `appeal_refused`)."""
    text = clean_text(text, limit=Appeal.TEXT_LIMIT, field="text")
    count_use(APPEALS, user.pk)
    is_open = Conflict(gettext("Your appeal is waiting for an answer already."), code="appeal_open")
    try:
        with transaction.atomic():
            user = lock_user(user)
            if user.enabled:
                raise Conflict(gettext("Your account is not suspended any more."), code="not_banned")
            latest = latest_appeal(user)
            if latest is not None and latest.status == Appeal.Status.OPEN:
                raise is_open
            if next_appeal_at(latest) is not None:
                raise Conflict(gettext("Your last appeal was answered only lately."), code="appeal_refused")
            return Appeal.objects.create(user=user, text=text)
    except IntegrityError as error:
        raise is_open from error


def latest_appeal(user: User) -> Appeal | None:
    """Return the user's newest appeal against the suspension that is in force."""
    appeals = Appeal.objects.filter(user=user).exclude(status=Appeal.Status.GRANTED)
    if user.banned_at is not None:
        began = user.bans.filter(lifted_at=None).order_by("at").values_list("at", flat=True).first()
        appeals = appeals.filter(created_at__gte=began or user.banned_at)
    return appeals.order_by("-created_at").first()


def next_appeal_at(latest: Appeal | None) -> datetime | None:
    """Return when the user may appeal again, or None for at once."""
    if latest is None or latest.decided_at is None:
        return None
    at = latest.decided_at + AGAIN_AFTER
    return at if at > timezone.now() else None


def refuse(appeal_id: UUID, *, actor: User, answer: str) -> None:
    """Let the suspension stay, and tell the user why. Raise NotAllowed (`moderators_only`, `rank`), Invalid (the
    answer), Conflict `appeal_decided`, NotFound.
    """
    answer = clean_reason(answer)
    with transaction.atomic():
        row = lock_open_appeal(appeal_id)
        require_higher_rank(actor, row.user)
        _decide(row, Appeal.Status.REFUSED, actor, answer)


def grant_open(user: User, *, actor: User | None, answer: str) -> None:
    """Grant the user's open appeal, if there is one, because the ban is lifted. Needs a lock on the user's row."""
    row = Appeal.objects.filter(user=user, status=Appeal.Status.OPEN).first()
    if row is not None:
        _decide(row, Appeal.Status.GRANTED, actor, answer)


def _decide(row: Appeal, status: Appeal.Status, actor: User | None, answer: str) -> None:
    row.status, row.decided_by, row.decided_at, row.answer = status, actor, timezone.now(), answer
    row.save(update_fields=["status", "decided_by", "decided_at", "answer"])
    enqueue_by_name(MAIL_JOB, str(row.pk))


def lock_open_appeal(appeal_id: UUID) -> Appeal:
    """Lock the row of the appeal's user, and return the appeal. Raise Conflict `appeal_decided`, NotFound."""
    row = Appeal.objects.select_related("user").filter(pk=appeal_id).first()
    if row is None:
        raise NotFound("There is no such appeal.", code="no_such_appeal")
    lock_user(row.user)
    row.refresh_from_db(fields=["status", "decided_by", "decided_at", "answer"])
    if row.status != Appeal.Status.OPEN:
        raise Conflict("This appeal was answered already.", code="appeal_decided")
    return row


def open_summary() -> dict[str, Any]:
    """Return the `number` of open appeals and when the `oldest` was sent."""
    return Appeal.objects.filter(status=Appeal.Status.OPEN).aggregate(number=Count("pk"), oldest=Min("created_at"))
