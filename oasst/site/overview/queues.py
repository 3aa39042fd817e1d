"""The queues of the moderators: what waits in each, in which language, and since when."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import CharField, Count, DateTimeField, F, Min, QuerySet, Value
from django.db.models.functions import Cast
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from inference.models import ChatReport
from oasst.accounts.models import Appeal
from oasst.site.models import Escalation
from trees.enrichment.pairs import waiting_pairs
from trees.models import MessageReading, NearDuplicate, Proposal, ReadingKind, Report, Withdrawal
from trees.moderation import personal_data
from trees.moderation.queries import waiting_proposals, waiting_withdrawals

MAX_COUNTED = 1_000
"""For a page, of those that machines fill: nobody needs to know how many thousands."""
Rows = QuerySet[Any, Any]


@dataclass(frozen=True)
class Queue:
    """A kind of thing that moderators decide about."""

    name: str
    words: Any
    """Such as "5 open reports"; with the number under its name."""
    about: Any
    """What is said of it, above all to newcomers."""
    page: str
    """The list in the admin, as the name of its URL and its query."""
    waiting: Callable[[], Rows]
    came: Callable[[], Rows]
    """All that ever came, settled or not."""
    since: str
    """The column that says when it came."""
    settled: str = ""
    """The column that says when it was settled; empty if no row says so."""
    lang: str = ""
    """The column of its language; empty if it is in none."""
    by_machines: bool = False

    @property
    def url(self) -> str:
        name, _, query = self.page.partition("?")
        return f"{reverse(name)}?{query}"


QUEUES = (
    Queue(
        *("report", ngettext_lazy("open report", "open reports", "number"), _("readers reported these messages")),
        "admin:trees_report_changelist?status__exact=open",
        waiting=lambda: Report.objects.filter(status=Report.Status.OPEN),
        came=lambda: Report.objects.all(),
        since="created_at",
        settled="handled_at",
        lang="message__lang",
    ),
    Queue(
        "proposal",
        ngettext_lazy("message that many complained about", "messages that many complained about", "number"),
        _("only moderators see some of them until you decide"),
        "admin:trees_proposal_changelist?status__exact=open",
        waiting=waiting_proposals,
        came=lambda: Proposal.objects.all(),
        since="created_at",
        settled="decided_at",
        lang="message__lang",
    ),
    Queue(
        *("withdrawal", ngettext_lazy("withdrawn message", "withdrawn messages", "number")),
        _("their authors want them back, and others had replied"),
        "admin:trees_withdrawal_changelist?waits=yes",
        waiting=waiting_withdrawals,
        came=lambda: Withdrawal.objects.all(),
        since="created_at",
        settled="decided_at",
        lang="message__lang",
    ),
    Queue(
        *("personal_data", ngettext_lazy("message", "messages", "number"), _("with personal data, as machines say")),
        "admin:trees_message_changelist?read=personal&deleted__exact=0",
        waiting=personal_data.readings,
        came=lambda: MessageReading.objects.filter(kind=ReadingKind.PERSONAL_DATA, flagged=True),
        since="read_at",
        lang="revision__message__lang",
        by_machines=True,
    ),
    Queue(
        *("near_duplicate", ngettext_lazy("pair of messages", "pairs of messages", "number")),
        _("the later one says nearly the same as the earlier one"),
        "admin:trees_nearduplicate_changelist?waits=yes",
        waiting=waiting_pairs,
        came=lambda: NearDuplicate.objects.all(),
        since="created_at",
        settled="decided_at",
        lang="second__lang",
        by_machines=True,
    ),
    Queue(
        *("chat_report", ngettext_lazy("reported answer", "reported answers", "number")),
        _("of the assistant, in chats"),
        "admin:inference_chatreport_changelist?status=open",
        waiting=lambda: ChatReport.objects.filter(resolved_at=None),
        came=lambda: ChatReport.objects.all(),
        since="created_at",
        settled="resolved_at",
    ),
    Queue(
        *("appeal", ngettext_lazy("appeal", "appeals", "number"), _("against a suspension")),
        "admin:accounts_appeal_changelist?status__exact=open",
        waiting=lambda: Appeal.objects.filter(status=Appeal.Status.OPEN),
        came=lambda: Appeal.objects.all(),
        since="created_at",
        settled="decided_at",
    ),
)
PASSED_ON = "passed_on"


@dataclass
class Waiting:
    """What waits in one queue."""

    number: int = 0
    oldest: datetime | None = None
    by_language: dict[str, int] = field(default_factory=dict)
    is_more: bool = False
    """More than `number`: nobody counted on, so it may also be more in each language."""

    def add(self, lang: str, number: int, oldest: datetime | None) -> None:
        self.number += number
        self.by_language[lang] = self.by_language.get(lang, 0) + number
        if oldest is not None and (self.oldest is None or oldest < self.oldest):
            self.oldest = oldest


def read_waiting(*, to_the_end: bool = False) -> dict[str, Waiting]:
    """Return what waits, by the name of the queue, and what was passed on to administrators. One statement.

    Of what machines fill, MAX_COUNTED are counted, or all with `to_the_end`, which takes too long for a page.
    """
    found = {name: Waiting() for name in (*(queue.name for queue in QUEUES), PASSED_ON)}
    first, *others = _counts(to_the_end)
    for name, lang, number, oldest in first.union(*others, all=True):
        if number:
            found[name].add(lang, number, oldest)
    for queue in QUEUES:
        one = found[queue.name]
        if queue.by_machines and not to_the_end and one.number > MAX_COUNTED:
            one.number, one.is_more = MAX_COUNTED, True
    return found


def _counts(to_the_end: bool) -> Iterator[Rows]:
    for queue in QUEUES:
        rows = queue.waiting()
        if queue.by_machines and not to_the_end:
            first = rows.order_by("pk")[: MAX_COUNTED + 1]
            rows = rows.model._default_manager.filter(pk__in=first.values("pk"))
        yield _as_counts(rows, queue.name, queue.since, queue.lang)
    yield _as_counts(Escalation.objects.filter(closed_at=None), PASSED_ON, "at", "")


def _as_counts(rows: Rows, name: str, since: str, lang: str) -> Rows:
    by_language = rows.order_by().values(counted_lang=Cast(F(lang) if lang else Value(""), CharField()))
    columns = by_language.annotate(
        queue_name=Cast(Value(name), CharField()),
        number=Count("pk"),
        oldest=Cast(Min(since), DateTimeField()),
    )
    return columns.values_list("queue_name", "counted_lang", "number", "oldest")
