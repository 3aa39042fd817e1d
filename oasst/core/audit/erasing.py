"""Erase the words of the audit log that concern a person. What was done, when and by whom stays."""

from typing import Any

from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from oasst.core.audit.acts import register
from oasst.core.audit.people import accounts_of
from oasst.core.audit.recording import record
from oasst.core.models import AuditText

ERASED = register("audit.erase", _("erased the words about a person from this log"))


def erase_words_about(person: Any, *, actor: Any = None, program: Any = None, reason: str = "") -> int:
    """Erase the reasons and changes of all entries that concern this user, also by accounts that were merged into
    theirs, and record it; return how many had words.

    The record is what lets `chain.verify` accept that the words are gone. Needs an open transaction.
    """
    total = 0
    for person_id in accounts_of(person.pk):
        words = AuditText.objects.filter(entry__person=person_id, erased_at=None).exclude(entry__act=ERASED.name)
        number = words.update(salt="", reason="", before="", after="", erased_at=timezone.now())
        if number:
            record(
                ERASED,
                person,
                actor=actor,
                program=program,
                person_id=person_id,
                reason=reason,
                after={"entries": number},
            )
        total += number
    return total
