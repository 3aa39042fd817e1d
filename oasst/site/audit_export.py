"""Export entries of the audit log as CSV or JSON lines, in constant memory however many there are.

The last line is the head of the chain at that time: kept elsewhere, it proves later that the log is still the one that
was exported (`audit_verify --head`).
"""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import Max, QuerySet
from django.utils import timezone

from oasst.accounts.models import User
from oasst.core.audit import chain
from oasst.core.audit.recording import record
from oasst.core.models import AuditEntry
from oasst.site import acts

BATCH = 1_000
COLUMNS = (
    *("id", "at", "act", "actor_id", "actor", "program_id", "program", "target_type", "target_id", "person_id"),
    *("reason", "before", "after", "erased_at", "address_digest", "text_digest", "link", "hash"),
)
FORMATS = {"csv": "text/csv; charset=utf-8", "jsonl": "application/x-ndjson"}
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What spreadsheets take as the begin of a formula."""


@dataclass(frozen=True)
class Export:
    rows: QuerySet[AuditEntry]
    form: str
    up_to: int
    filename: str

    @property
    def media(self) -> str:
        return FORMATS[self.form]

    def lines(self) -> Iterator[str]:
        """Yield the lines without their ends, the oldest entry first."""
        if self.form == "csv":
            yield _csv_line(COLUMNS)
        for entry in self._entries():
            facts = _facts(entry)
            yield _csv_line([facts[name] for name in COLUMNS]) if self.form == "csv" else _json_line(facts)
        head = str(chain.head())
        yield _csv_line(["chain", head]) if self.form == "csv" else _json_line({"chain": head})

    def _entries(self) -> Iterator[AuditEntry]:
        last = 0
        while batch := list(self.rows.filter(pk__gt=last, pk__lte=self.up_to).order_by("pk")[:BATCH]):
            yield from batch
            last = batch[-1].pk


def record_export(rows: QuerySet[AuditEntry], form: str, *, actor: User, filters: dict[str, Any]) -> Export:
    """Return the export of these entries, as they are now, after it was recorded."""
    up_to = AuditEntry.objects.aggregate(newest=Max("pk"))["newest"] or 0
    with transaction.atomic():
        record(acts.EXPORT_LOG, "core.auditentry", actor=actor, after={"format": form, "filters": filters})
    return Export(rows, form, up_to, f"audit-{timezone.now():%Y-%m-%d}.{form}")


def _facts(entry: AuditEntry) -> dict[str, Any]:
    link = getattr(entry, "link", None)
    return {
        "id": entry.pk,
        "at": entry.at.isoformat(),
        "act": entry.act,
        "actor_id": entry.actor_id and str(entry.actor_id),
        "actor": entry.actor and str(entry.actor),
        "program_id": entry.program_id and str(entry.program_id),
        "program": entry.program and entry.program.name,
        "target_type": entry.target_type,
        "target_id": entry.target_id,
        "person_id": entry.person_id and str(entry.person_id),
        "reason": entry.text.reason,
        "before": entry.text.before,
        "after": entry.text.after,
        "erased_at": entry.text.erased_at and entry.text.erased_at.isoformat(),
        "address_digest": entry.address_digest,
        "text_digest": entry.text_digest,
        "link": link and link.position,
        "hash": link and link.hash,
    }


def _json_line(facts: dict[str, Any]) -> str:
    words = {name: json.loads(facts[name]) for name in ("before", "after") if facts.get(name)}
    return json.dumps({**facts, **words}, ensure_ascii=False)


def _csv_line(values: Any) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow([_defused(value) for value in values])
    return out.getvalue()


def _defused(value: Any) -> Any:
    """Return a cell that no spreadsheet takes as a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
