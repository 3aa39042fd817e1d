"""What moderators see: the queues, one tree with its history, one message with all judgments.

Never writes. Includes deleted messages; the caller decides who may see them.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Case, Count, Exists, F, Lookup, Min, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models.functions import Left
from django.utils import timezone

from oasst.accounts.models import User
from trees.lifecycle.reply_ranks import sort_siblings
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

MAX_REACTIONS = 100
STOPPED = Q(state=State.HALTED_BY_MODERATOR)
PROMPT_EXISTS = Exists(Message.objects.filter(pk=OuterRef("pk"), deleted=False))
"""A condition on trees: a tree has the id of its prompt."""
MAX_REPORTS = 20
MAX_CORRECTIONS = 20


@dataclass(frozen=True)
class Queues:
    open_reports: int
    oldest_report: datetime | None
    open_proposals: int
    oldest_proposal: datetime | None
    open_withdrawals: int
    oldest_withdrawal: datetime | None
    trees: dict[State, int]
    halted: int  # only trees with a prompt: the others need no decision


def queues() -> Queues:
    """Count what waits for moderators. Four statements."""
    reports = Report.objects.filter(status=Report.Status.OPEN).aggregate(n=Count("pk"), oldest=Min("created_at"))
    proposals = waiting_proposals().aggregate(n=Count("pk"), oldest=Min("created_at"))
    withdrawals = waiting_withdrawals().aggregate(n=Count("pk"), oldest=Min("created_at"))
    waits = Count("pk", filter=Q(STOPPED, PROMPT_EXISTS))
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


@dataclass(frozen=True)
class OpenWork:
    """The openings of one kind of work in one language."""

    lang: str
    work: str
    number: int
    held: int  # somebody works on them


def open_work() -> list[OpenWork]:
    """Count the openings by language and kind of work. One statement."""
    held = Count("pk", filter=Q(held_until__gt=timezone.now()))
    rows = Opening.objects.order_by("lang", "work").values_list("lang", "work").annotate(n=Count("pk"), held=held)
    return [OpenWork(*row) for row in rows]


def waiting_proposals() -> QuerySet[Proposal]:
    """Return open proposals, without those whose message was deleted meanwhile."""
    return Proposal.objects.filter(status=Proposal.Status.OPEN, message__deleted=False)


def waiting_withdrawals(rows: QuerySet[Withdrawal] | None = None) -> QuerySet[Withdrawal]:
    """Return withdrawals that need a decision. In a tree of the data set there is nothing to decide."""
    rows = Withdrawal.objects.all() if rows is None else rows
    waiting = rows.filter(status=Withdrawal.Status.OPEN, message__deleted=False)
    return waiting.exclude(tree__state=State.READY_FOR_EXPORT)


def with_prompts(trees: QuerySet[MessageTree]) -> QuerySet[MessageTree]:
    """Annotate the start of the prompt and the number of messages that are not deleted."""
    messages = Message.objects.filter(tree=OuterRef("pk"), deleted=False).order_by()
    return trees.annotate(
        prompt=Subquery(Message.objects.filter(pk=OuterRef("pk")).values(text_start=Left("text", 160))),
        size=Subquery(messages.values("tree").annotate(n=Count("pk")).values("n")),
    )


@dataclass(frozen=True)
class TreeDetails:
    messages: list[Message]
    transitions: list[TreeTransition]
    deletions: list[Deletion]
    reports: list[Report]
    more_reports: int
    proposals: list[Proposal]
    withdrawals: list[Withdrawal]
    openings: list[Opening]


def tree_details(tree: MessageTree) -> TreeDetails:
    """Return a tree with everything that happened to it. Eight statements at most; of reports only the first ones."""
    reports, more_reports = first_reports(Report.objects.filter(message__tree=tree))
    return TreeDetails(
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
    """Yield each message right after its parent, best replies first."""
    children: dict[UUID | None, list[Message]] = defaultdict(list)
    rows = Message.objects.filter(tree=tree).select_related("author").defer("search", "text_digest")
    for message in rows:
        children[message.parent_id].append(message)
    waiting = children[None]
    while waiting:
        message = waiting.pop()
        yield message
        waiting.extend(reversed(sort_siblings(children[message.pk])))


@dataclass(frozen=True)
class MessageDetails:
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


def message_details(message: Message) -> MessageDetails:
    """Return a message with all judgments on it. Ten statements at most; only the latest rows of each long list.

    `deletions` are those that deleted this message, also as part of a branch.
    """
    reports, more_reports = first_reports(Report.objects.filter(message=message))
    return MessageDetails(
        revisions=list(message.revisions.select_related("author").order_by("created_at", "id")),
        reviews=list(message.reviews.select_related("author").order_by("-created_at", "-id")[:MAX_REACTIONS])[::-1],
        reactions=list(message.reactions.select_related("author").order_by("-created_at")[:MAX_REACTIONS]),
        skips=list(message.skips.select_related("author").order_by("-created_at")[:MAX_REACTIONS]),
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
            message.corrections.select_related("author").defer("search", "imported").order_by("-pk")[:MAX_CORRECTIONS]
        )[::-1],
    )


def first_reports(reports: QuerySet[Report]) -> tuple[list[Report], int]:
    """Return up to MAX_REPORTS reports, open ones first, then the latest, and how many more exist.

    One statement, a second one if there are more.
    """
    answered = Case(When(status=Report.Status.OPEN, then=0), default=1)
    rows = reports.select_related("reporter", "handled_by").order_by(answered, "-created_at", "-pk")
    first = list(rows[: MAX_REPORTS + 1])
    more = reports.count() - MAX_REPORTS if len(first) > MAX_REPORTS else 0
    return first[:MAX_REPORTS], more


def latest_messages(user: User) -> list[Message]:
    """Return the latest messages of a user. One statement."""
    messages = Message.objects.filter(author=user).defer("search", "text_digest", "imported")
    return list(messages.order_by("-created_at")[:20])


def search_messages(messages: QuerySet[Message], words: str) -> QuerySet[Message]:
    """Search by the id of the message or of its tree, else by a part of the text."""
    if message_id := _as_id(words):
        return messages.filter(pk=message_id) | messages.filter(tree=message_id)
    return messages.filter(ContainsText(F("text"), Value(words)))


def search_trees(trees: QuerySet[MessageTree], words: str) -> QuerySet[MessageTree]:
    """Search by the id of the tree or of one of its messages, else by a part of the prompt."""
    if message_id := _as_id(words):
        return trees.filter(pk__in=Message.objects.filter(pk=message_id).values("tree"))
    prompts = Message.objects.filter(ContainsText(F("text"), Value(words)), parent=None)
    return trees.filter(pk__in=prompts.values("tree"))


def _as_id(words: str) -> UUID | None:
    try:
        return UUID(words.strip())
    except ValueError:
        return None


class ContainsText(Lookup):
    """A case-insensitive search for a part of a text that uses the trigram index; `icontains` compares in upper case,
    which no index of ours supports.
    """

    lookup_name = "holds"

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        text, text_params = self.process_lhs(compiler, connection)
        pattern = f"%{connection.ops.prep_for_like_query(self.rhs.value)}%"
        return f"{text} ILIKE %s", (*text_params, pattern)


def languages() -> list[str]:
    """Return the languages of all messages."""
    # Raw SQL, since the ORM has no recursion: it hops along the index, where DISTINCT would read all of it.
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
