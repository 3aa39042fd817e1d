"""Warnings: a moderator asks a person to do something otherwise, and the person confirms that they read it."""

from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext

from oasst.accounts import acts, appeals
from oasst.accounts.locks import lock_user
from oasst.accounts.models import AccountWarning, User
from oasst.accounts.roles import require_higher_rank
from oasst.core.after_commit import enqueue_by_name
from oasst.core.audit.recording import record
from oasst.core.errors import Conflict, NotFound
from oasst.core.models import AuditEntry
from oasst.core.text.validation import clean_reason

NOTICE_JOB = "oasst.site.notices.jobs.tell_of_warning"  # by name, because notices are in a higher layer


@transaction.atomic
def warn(*, user: User, actor: User, reason: str, about: str = "", subject_id: UUID | None = None) -> AccountWarning:
    """Warn a user of a lower rank. They see the reason, and what it is about, until they confirm that they read it.

    `subject_id` is the message that it is about, if there is one. Raise NotAllowed (`moderators_only`, `rank`),
    Invalid (the reason), Conflict `closed`.
    """
    reason = clean_reason(reason)
    user = lock_user(user)
    require_higher_rank(actor, user)
    if not user.is_active or user.deleted_at is not None:
        raise Conflict(gettext("This account was closed."), code="closed")
    row = AccountWarning.objects.create(user=user, actor=actor, reason=reason, about=about[:200], subject_id=subject_id)
    remember_newest(user)
    record(acts.WARN, row, actor=actor, person_id=user.pk, reason=reason, after={"about": row.about})
    enqueue_by_name(NOTICE_JOB, row.pk)
    return row


@transaction.atomic
def withdraw_warning(warning_id: int, actor: User, reason: str) -> AccountWarning:
    """Take a warning back: it is not shown any more, whoever has read it is told so, and an open appeal against it is
    granted. Raise as `warn`, NotFound,
    and Conflict `already_withdrawn`.
    """
    reason = clean_reason(reason)
    row = AccountWarning.objects.select_related("user").filter(pk=warning_id).first()
    if row is None:
        raise NotFound(gettext("There is no such warning."), code="warning_not_found")
    user = lock_user(row.user)
    require_higher_rank(actor, user)
    row.refresh_from_db()
    if row.withdrawn_at is not None:
        raise Conflict(gettext("This warning was taken back already."), code="already_withdrawn")
    row.withdrawn_at, row.withdrawn_by, row.withdraw_reason = timezone.now(), actor, reason
    row.save(update_fields=["withdrawn_at", "withdrawn_by", "withdraw_reason"])
    remember_newest(user)
    record(acts.WITHDRAW_WARNING, row, actor=actor, person_id=user.pk, reason=reason)
    entry_id = find_entry_id(row)
    if entry_id is not None:
        appeals.grant_about(entry_id, actor=actor, answer=reason)
    enqueue_by_name(NOTICE_JOB, row.pk)
    return row


def unconfirmed_warning(user: User) -> AccountWarning | None:
    """Return the oldest warning that the user still has to confirm. No query if there is none."""
    if user.warned_at is None:
        return None
    return _unconfirmed(user).order_by("pk").first()


def find_entry_id(row: AccountWarning) -> int | None:
    """Return the entry of the audit log of this warning, which an appeal names."""
    rows = AuditEntry.objects.filter(act=acts.WARN.name, target_type=row._meta.label_lower, target_id=str(row.pk))
    return rows.values_list("pk", flat=True).first()


@transaction.atomic
def confirm(user: User, warning_id: int) -> None:
    """Note that the user read this warning; a repeat changes nothing. Raise NotFound for another user's."""
    user = lock_user(user)
    row = AccountWarning.objects.filter(user=user, pk=warning_id).first()
    if row is None:
        raise NotFound(gettext("There is no such warning."), code="warning_not_found")
    if row.confirmed_at is None:
        row.confirmed_at = timezone.now()
        row.save(update_fields=["confirmed_at"])
    remember_newest(user)


def _unconfirmed(user: User) -> QuerySet[AccountWarning]:
    return AccountWarning.objects.filter(user=user, confirmed_at=None, withdrawn_at=None)


def remember_newest(user: User) -> None:
    """Keep the copy in the user's row in step. Needs a lock on it."""
    user.warned_at = _unconfirmed(user).order_by("-pk").values_list("at", flat=True).first()
    user.save(update_fields=["warned_at"])
