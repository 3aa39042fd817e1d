"""Whom an entry concerns, after accounts were merged: entries keep the account that it was then."""

from typing import Any
from uuid import UUID

from django.utils.translation import gettext_lazy as _

from oasst.core.audit.acts import register
from oasst.core.audit.recording import record
from oasst.core.models import AuditEntry

MERGE = register("account.merge", _("merged an account into another one of the same person"))


def record_merging(source: Any, destination: Any, *, actor: Any = None, program: Any = None, reason: str = "") -> None:
    """Record that an account was merged into another one, which is how `accounts_of` finds it."""
    record(MERGE, source, actor=actor, program=program, person_id=destination.pk, reason=reason)


def merged_into(person_id: UUID) -> UUID | None:
    """Return the id of the account that this one was merged into; None if it was not."""
    merges = AuditEntry.objects.filter(act=MERGE.name, target_id=str(person_id)).order_by("-pk")
    return merges.values_list("person", flat=True).first()


def accounts_of(person_id: UUID) -> list[UUID]:
    """Return the ids of this account and of all that were merged into it, also by several steps."""
    found, added = [person_id], [person_id]
    while added:
        merged = AuditEntry.objects.filter(act=MERGE.name, person__in=added).values_list("target_id", flat=True)
        added = sorted({UUID(target) for target in merged} - set(found))
        found += added
    return found
