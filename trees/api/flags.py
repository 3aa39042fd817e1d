"""Flagged messages: reported ones and those that many people complained about, and whether a moderator has answered."""

from typing import Any

from django.db.models import Exists, F, Max, OuterRef, QuerySet, Subquery
from django.db.models.functions import Greatest

from oasst.api.cursors import DatedPageSchema, by_date, take_page
from oasst.api.error_codes import ErrorCode
from oasst.api.fields import BooleanField, DateTimeField, IntegerField, Schema, TextField, UUIDField
from oasst.api.operations import Access, Call, Operation, operation
from trees.access import message_not_found
from trees.models import Message, Proposal, Report
from trees.moderation import client_actions
from trees.moderation.queries import waiting_proposals
from trees.policies.reading import current_policy

OPERATIONS: list[Operation] = []
BY_DATE = by_date("created_date", "message_id")


class FlaggedMessage(Schema):
    message_id = UUIDField()
    processed = BooleanField()
    created_date = DateTimeField(allow_null=True)


class FlaggedPage(DatedPageSchema):
    items = FlaggedMessage(many=True)


class FlaggedQuery(Schema):
    max_count = IntegerField(min_value=0)


class FlaggedCursorQuery(Schema):
    before = TextField(default=None)
    after = TextField(default=None)
    max_count = IntegerField(default=10, min_value=1, max_value=1000)
    desc = BooleanField(default=False)


def _flagged() -> Any:
    reports, proposals = Report.objects.order_by(), Proposal.objects.order_by()
    messages = Message.objects.filter(pk__in=reports.values("message").union(proposals.values("message")))
    about = {"message": OuterRef("pk")}
    return messages.values(message_id=F("pk")).annotate(
        created_date=Greatest(_latest(reports.filter(**about)), _latest(proposals.filter(**about))),
        processed=~(
            Exists(reports.filter(**about, status=Report.Status.OPEN)) | Exists(waiting_proposals().filter(**about))
        ),
    )


def _latest(rows: QuerySet[Any]) -> Subquery:
    return Subquery(rows.values("message").annotate(at=Max("created_at")).values("at"))


@operation(OPERATIONS, "GET", "admin/flagged_messages", Access.TRUSTED, query=FlaggedQuery, answer=[FlaggedMessage])
def list_flagged(call: Call) -> Any:
    """Flagged messages, the latest first, looked at or not."""
    return _flagged().order_by("-created_date", "-message_id")[: call.query["max_count"]]


@operation(
    OPERATIONS,
    "GET",
    "admin/flagged_messages/cursor",
    Access.TRUSTED,
    query=FlaggedCursorQuery,
    answer=FlaggedPage,
    errors=(ErrorCode.INVALID_CURSOR_VALUE,),
)
def page_flagged(call: Call) -> Any:
    """Flagged messages page by page, oldest first unless `desc`."""
    query = call.query
    page = take_page(
        _flagged(),
        BY_DATE,
        lambda row: (row["created_date"], row["message_id"]),
        before=query["before"],
        after=query["after"],
        size=query["max_count"],
        desc=query["desc"],
    )
    return page.represent(page.rows)


@operation(
    OPERATIONS,
    "POST",
    "admin/flagged_messages/<message_id>/processed",
    Access.TRUSTED,
    answer=FlaggedMessage,
    errors=(ErrorCode.MESSAGE_NOT_FOUND,),
)
def mark_processed(call: Call) -> Any:
    """A moderator has looked at it: what was reported is answered."""
    message_id = call.id("message_id")
    client_actions.settle_reports(message_id, call.client, current_policy())
    row = next(iter(_flagged().filter(message_id=message_id)), None)
    if row is None:
        raise message_not_found()
    return row
