"""Notices about a person rather than a text: warnings, and answers to appeals. Each is told once."""

from uuid import UUID

from django.db import transaction
from django.utils import timezone

from oasst.accounts.models import AccountWarning, Appeal
from oasst.accounts.warnings import find_entry_id
from oasst.site.models import Notice
from oasst.site.notices import bell
from oasst.site.notices.storing import store


def tell_of_warning(warning_id: int) -> None:
    """Write the notice of a warning. Of one that was taken back: delete the notice, or say so to whoever read it."""
    with transaction.atomic(durable=True):
        rows = AccountWarning.objects.select_for_update(of=("self",), no_key=True)
        row = rows.filter(pk=warning_id).first()
        if row is None:
            return
        if row.withdrawn_at is None:
            data = {"entry": find_entry_id(row)}
            store([Notice(person_id=row.user_id, kind=Notice.Kind.WARNED, warning=row, data=data)])
            return
        told = Notice.objects.filter(warning=row).exclude(data__has_key="withdrawn")
        heard = told.exclude(read_at=None, mailed_at=None)
        heard.update(
            read_at=None,
            mailed_at=None,
            created_at=timezone.now(),
            data={"entry": find_entry_id(row), "withdrawn": True},
        )
        told.filter(read_at=None, mailed_at=None).delete()
        bell.changed([row.user_id])


def tell_of_appeal(appeal_id: UUID) -> None:
    """Write the notice of the answer to an appeal against a decision, or of another answer. If the answer was taken
    back, delete the notice unless it was read.
    """
    with transaction.atomic(durable=True):
        rows = Appeal.objects.select_for_update(of=("self",), no_key=True)
        row = rows.filter(pk=appeal_id, entry__isnull=False).first()
        if row is None:
            return
        told = Notice.objects.filter(appeal=row)
        if row.status == Appeal.Status.OPEN:
            told.filter(read_at=None, mailed_at=None).delete()
        else:
            data = {"status": row.status, "entry": row.entry_id}
            told.exclude(data=data).update(read_at=None, mailed_at=None, created_at=timezone.now(), data=data)
            store([Notice(person_id=row.user_id, kind=Notice.Kind.APPEAL_ANSWERED, appeal=row, data=data)])
        bell.changed([row.user_id])
