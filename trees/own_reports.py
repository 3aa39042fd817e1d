"""What became of a person's reports: about messages of the data set, and about answers in their chats. Reads only."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from inference.models import ChatReport
from oasst.accounts.models import User
from oasst.core.markdown.rendering import plain_excerpt
from trees.access import may_read, reads_everything
from trees.cursors import Cursor, Direction
from trees.models import Message, Report
from trees.queries import EXCERPT, placeholder_for, text_start

PAGE_SIZE = 20
_STATES = {
    Report.Status.OPEN: ("wait", _("A moderator will look at it")),
    Report.Status.UPHELD: ("good", _("You were right")),
    Report.Status.DISMISSED: ("", _("The message stays")),
}
_ANSWERED = ("good", _("Answered"))


@dataclass(frozen=True)
class OwnReport:
    at: datetime
    category: str
    words: str
    """What the reporter wrote."""
    tone: str
    state: str
    """Where the report stands, in words; `tone` is the color of its badge."""
    outcome: str
    """What a moderator answered."""
    decided_at: datetime | None
    excerpt: str
    """The start of the message, or a placeholder if the reporter may not read it."""
    url: str
    """The page of the message, if there is one for the reporter."""
    lang: str = ""
    """Of the excerpt, if that is known."""


@dataclass(frozen=True)
class ReportPage:
    rows: list[OwnReport]
    older: str
    """The cursor of the next page, or empty."""


def about_messages(user: User, older: str = "") -> ReportPage:
    """Return a page of reports about messages, newest first. One statement. Raise Invalid for a broken cursor."""
    prompts = Message.objects.filter(pk=OuterRef("message__tree_id"))
    if not reads_everything(user):
        prompts = prompts.filter(Q(deleted=False) & (Q(hidden=False) | Q(withdrawn=True)))
    rows = Report.objects.filter(reporter=user).select_related("message").defer("message__search", "message__text")
    rows = rows.annotate(excerpt=text_start("message__text"), has_page=Exists(prompts))
    return _page(rows, older, lambda row: _about_message(row, user))


def about_answers(user: User, older: str = "") -> ReportPage:
    """Return a page of reports about answers of the assistant, like `about_messages`."""
    rows = ChatReport.objects.filter(user=user).select_related("message__chat").defer("message__content")
    rows = rows.annotate(excerpt=text_start("message__content"))
    return _page(rows, older, lambda row: _about_answer(row, user))


def _page(rows: QuerySet[Any], older: str, describe: Callable[[Any], OwnReport]) -> ReportPage:
    direction = Direction.parse(older=older, newer=None, key=rows.model._meta.pk.to_python)
    shown, _, has_older = direction.cut(list(direction.apply(rows)[: PAGE_SIZE + 1]), PAGE_SIZE)
    last = str(Cursor(shown[-1].created_at, shown[-1].pk)) if has_older else ""
    return ReportPage([describe(row) for row in shown], last)


def _about_message(report: Any, user: User) -> OwnReport:
    message = report.message
    reads = may_read(user, message)
    tone, state = _STATES[Report.Status(report.status)]
    is_on_page = report.has_page and (reads or (message.withdrawn and not message.deleted))
    return OwnReport(
        at=report.created_at,
        category=report.get_category_display(),
        words=report.text,
        tone=tone,
        state=str(state),
        outcome=report.outcome,
        decided_at=report.handled_at,
        excerpt=plain_excerpt(report.excerpt, EXCERPT) if reads else placeholder_for(message),
        url=reverse("tree", args=[message.pk]) + f"#message-{message.pk}" if is_on_page else "",
        lang=message.lang if reads else "",
    )


def _about_answer(report: Any, user: User) -> OwnReport:
    chat = report.message.chat
    is_there = chat.user_id == user.pk and chat.deleted_at is None
    tone, state = _STATES[Report.Status.OPEN] if report.resolved_at is None else _ANSWERED
    return OwnReport(
        at=report.created_at,
        category=report.get_kind_display(),
        words=report.reason,
        tone=tone,
        state=str(state),
        outcome=report.outcome,
        decided_at=report.resolved_at,
        excerpt=plain_excerpt(report.excerpt, EXCERPT) if is_there else gettext("(this chat is deleted)"),
        url=reverse("chat", args=[chat.pk]) if is_there else "",
    )
