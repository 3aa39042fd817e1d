"""Moderators resolve reports of answers. Of a user's chats they see only the reported answer and its thread."""

from django.db import transaction
from django.utils import timezone

from inference import acts
from inference.models import ChatReport
from oasst.accounts.access import require_moderator
from oasst.accounts.models import User
from oasst.core.audit.rows import Watched, recorded_rows
from oasst.core.errors import Conflict, NotFound
from oasst.core.text.validation import clean_text

OUTCOME_LENGTH = 1000


def resolve_report(*, report_id: int, actor: User, outcome: str) -> None:
    """Close a report with its outcome. Raise NotAllowed `moderators_only`, Invalid, NotFound, Conflict."""
    require_moderator(actor)
    outcome = clean_text(outcome, limit=OUTCOME_LENGTH, field="outcome")
    with transaction.atomic(durable=True):
        report = ChatReport.objects.select_for_update(of=("self",), no_key=True).filter(pk=report_id).first()
        if report is None:
            raise NotFound("There is no such report.", code="report_not_found")
        if report.resolved_at is not None:
            raise Conflict("Somebody has resolved this report already.", code="already_resolved")
        watched = Watched(ChatReport.objects.filter(pk=report.pk), ("resolved_at", "resolved_by_id", "outcome"))
        # The person whom it concerns is the reporter: the answer is the machine's, asked for by them.
        with recorded_rows(
            acts.SETTLE_REPORT, report, {"chat_report": watched}, actor=actor, person_id=report.user_id, reason=outcome
        ):
            report.resolved_at, report.resolved_by, report.outcome = timezone.now(), actor, outcome
            report.save(update_fields=["resolved_at", "resolved_by", "outcome"])
