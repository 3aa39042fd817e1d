"""What moderators look at: the queues, one tree with all that happened to it, one message with all that was said of it.

Never writes. Deleted messages are in it; who may see them is decided by the caller.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import (
    Case,
    Count,
    Exists,
    F,
    Lookup,
    Min,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Value,
    When,
)
from django.db.models.functions import Left

from oasst.accounts.models import User
from trees.lifecycle.reply_ranks import in_order
from trees.lifecycle.states import State
from trees.models import (
    Deletion,
    Message,
    MessageTree,
    Opening,
    Proposal,
    Reaction,
    Report,
    Review,
    Revision,
    Skip,
    TreeTransition,
    Withdrawal,
)

MOST_REACTIONS = 100
STOPPED = Q(state=State.HALTED_BY_MODERATOR)
PROMPT_STANDS = Exists(Message.objects.filter(pk=OuterRef("pk"), deleted=False))
"""Of trees, which have the id of their prompt."""
MOST_REPORTS = 20
MOST_CORRECTIONS = 20


@dataclass(frozen=True)
class Queues:
    open_reports: int
    oldest_report: datetime | None
    open_proposals: int
    oldest_proposal: datetime | None
    open_withdrawals: int
    oldest_withdrawal: datetime | None
    trees: dict[State, int]
    halted: int
    """Stopped conversations whose prompt stands: without it there is nothing left to decide."""


def queues() -> Queues:
    """Four statements."""
    reports = Report.objects.filter(status=Report.Status.OPEN).aggregate(n=Count("pk"), oldest=Min("created_at"))
    proposals = waiting_proposals().aggregate(n=Count("pk"), oldest=Min("created_at"))
    withdrawals = waiting_withdrawals().aggregate(n=Count("pk"), oldest=Min("created_at"))
    waits = Count("pk", filter=Q(STOPPED, PROMPT_STANDS))
    rows = list(MessageTree.objects.order_by().values_list("state").annotate(n=Count("pk"), waits=waits))
    states = {State(state): number for state, number, _ in rows}
    halted = sum(waiting for _, _, waiting in rows)
    return Queues(
        open_reports=reports["n"],
        oldest_report=reports["oldest"],
        open_proposals=proposals["n"],
        oldest_proposal=proposals["oldest"],
        open_withdrawals=withdrawals["n"],
        oldest_withdrawal=withdrawals["oldest"],
        trees=states,
        halted=halted,
    )


def waiting_proposals() -> QuerySet[Proposal]:
    """What many people said and no moderator has answered. What was deleted meanwhile, alone or with all above it,
    waits for nothing.
    """
    return Proposal.objects.filter(status=Proposal.Status.OPEN, message__deleted=False)


def waiting_withdrawals(rows: QuerySet[Withdrawal] | None = None) -> QuerySet[Withdrawal]:
    """What authors withdrew and a moderator has to decide. In a tree of the data set there is nothing to decide."""
    rows = Withdrawal.objects.all() if rows is None else rows
    waiting = rows.filter(status=Withdrawal.Status.OPEN, message__deleted=False)
    return waiting.exclude(tree__state=State.READY_FOR_EXPORT)


def with_prompts(trees: QuerySet[MessageTree]) -> QuerySet[MessageTree]:
    """With the beginning of the prompt and the number of messages that stand."""
    here = Message.objects.filter(tree=OuterRef("pk"), deleted=False).order_by()
    return trees.annotate(
        prompt=Subquery(Message.objects.filter(pk=OuterRef("pk")).values(text_start=Left("text", 160))),
        size=Subquery(here.values("tree").annotate(n=Count("pk")).values("n")),
    )


@dataclass(frozen=True)
class TreeFile:
    messages: list[Message]
    transitions: list[TreeTransition]
    deletions: list[Deletion]
    reports: list[Report]
    more_reports: int
    proposals: list[Proposal]
    withdrawals: list[Withdrawal]
    openings: list[Opening]


def tree_file(tree: MessageTree) -> TreeFile:
    """Eight statements. The latest reports, open ones first, and how many more there are."""
    reports, more_reports = _first_reports(Report.objects.filter(message__tree=tree))
    return TreeFile(
        messages=list(_in_reading_order(tree)),
        transitions=list(TreeTransition.objects.filter(tree=tree).select_related("actor").order_by("id")),
        deletions=list(
            Deletion.objects.filter(tree=tree).select_related("actor", "undone_by").order_by("created_at", "id")
        ),
        reports=reports,
        more_reports=more_reports,
        proposals=list(Proposal.objects.filter(tree=tree).select_related("decided_by").order_by("created_at")),
        withdrawals=list(Withdrawal.objects.filter(tree=tree).select_related("decided_by").order_by("created_at")),
        openings=list(Opening.objects.filter(tree=tree).select_related("holder").order_by("-priority", "id")),
    )


def _in_reading_order(tree: MessageTree) -> Iterator[Message]:
    """Each message right after the one that it answers, best replies first."""
    children: dict[UUID | None, list[Message]] = defaultdict(list)
    rows = Message.objects.filter(tree=tree).select_related("author").defer("search", "text_digest")
    for message in rows:
        children[message.parent_id].append(message)
    waiting = children[None]
    while waiting:
        message = waiting.pop()
        yield message
        waiting.extend(reversed(in_order(children[message.pk])))


@dataclass(frozen=True)
class MessageFile:
    revisions: list[Revision]
    reviews: list[Review]
    reactions: list[Reaction]
    skips: list[Skip]
    reports: list[Report]
    more_reports: int
    proposals: list[Proposal]
    withdrawals: list[Withdrawal]
    deletions: list[Deletion]
    corrections: list[Message]


def message_file(message: Message) -> MessageFile:
    """Ten statements. `deletions` are those that took this message, also as part of a branch. Of what anybody may add
    to there are the latest.
    """
    reports, more_reports = reports_about(message.pk)
    return MessageFile(
        revisions=list(message.revisions.select_related("author").order_by("created_at", "id")),
        reviews=list(message.reviews.select_related("author").order_by("-created_at", "-id")[:MOST_REACTIONS])[::-1],
        reactions=list(message.reactions.select_related("author").order_by("-created_at")[:MOST_REACTIONS]),
        skips=list(message.skips.select_related("author").order_by("-created_at")[:MOST_REACTIONS]),
        reports=reports,
        more_reports=more_reports,
        proposals=list(message.proposals.select_related("decided_by").order_by("created_at")),
        withdrawals=list(message.withdrawals.select_related("decided_by").order_by("created_at")),
        deletions=list(
            Deletion.objects.filter(tree=message.tree_id, message_ids__contains=[message.pk])
            .select_related("actor", "undone_by")
            .order_by("created_at")
        ),
        corrections=list(
            message.corrections.select_related("author").defer("search", "imported").order_by("-pk")[:MOST_CORRECTIONS]
        )[::-1],
    )


def reports_about(message_id: UUID) -> tuple[list[Report], int]:
    """Those that wait, then those that were answered; the latest first, up to MOST_REPORTS; and how many more there
    are. Two statements.
    """
    return _first_reports(Report.objects.filter(message=message_id))


def _first_reports(reports: QuerySet[Report]) -> tuple[list[Report], int]:
    answered = Case(When(status=Report.Status.OPEN, then=0), default=1)
    rows = reports.select_related("reporter", "handled_by").order_by(answered, "-created_at", "-pk")
    return list(rows[:MOST_REPORTS]), max(0, reports.count() - MOST_REPORTS)


def latest_messages(person: User) -> list[Message]:
    """One statement."""
    mine = Message.objects.filter(author=person).defer("search", "text_digest", "imported")
    return list(mine.order_by("-created_at")[:20])


def search_messages(messages: QuerySet[Message], words: str) -> QuerySet[Message]:
    """By the id of the message or of its tree, else by a piece of the text."""
    if found := _as_id(words):
        return messages.filter(pk=found) | messages.filter(tree=found)
    return messages.filter(Holds(F("text"), Value(words)))


def search_trees(trees: QuerySet[MessageTree], words: str) -> QuerySet[MessageTree]:
    """By the id of the tree or of one of its messages, else by a piece of the prompt."""
    if found := _as_id(words):
        return trees.filter(pk__in=Message.objects.filter(pk=found).values("tree"))
    prompts = Message.objects.filter(Holds(F("text"), Value(words)), parent=None)
    return trees.filter(pk__in=prompts.values("tree"))


def _as_id(words: str) -> UUID | None:
    try:
        return UUID(words.strip())
    except ValueError:
        return None


class Holds(Lookup):
    """The text holds these words, in any case. Written so that the trigram index serves it; `icontains` compares upper
    case with upper case, which no index of ours does.
    """

    lookup_name = "holds"

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        text, text_params = self.process_lhs(compiler, connection)
        pattern = f"%{connection.ops.prep_for_like_query(self.rhs.value)}%"
        return f"{text} ILIKE %s", (*text_params, pattern)


def languages() -> list[str]:
    """The languages of all messages."""
    # By hand, since the ORM has no recursion: hops along the index from one to the next. DISTINCT would read all of it.
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH RECURSIVE hop AS (
                (SELECT lang FROM trees_message ORDER BY lang LIMIT 1)
                UNION ALL
                SELECT (SELECT lang FROM trees_message WHERE lang > hop.lang ORDER BY lang LIMIT 1)
                FROM hop WHERE hop.lang IS NOT NULL
            )
            SELECT lang FROM hop WHERE lang IS NOT NULL
            """
        )
        return [lang for (lang,) in cursor.fetchall()]
