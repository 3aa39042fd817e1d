"""What moderators see: the queues, one tree with its history, one message with all judgments.

Never writes. Includes deleted messages; the caller decides who may see them.
"""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Case, Count, Exists, Lookup, OuterRef, Q, QuerySet, Subquery, When
from django.db.models.functions import Left
from django.utils import timezone

from oasst.accounts.models import ApiClient, User
from oasst.core.rows_together import read_together
from trees.lifecycle.states import State
from trees.models import (
    Deletion,
    Message,
    MessageReading,
    MessageTree,
    Opening,
    Proposal,
    Ranking,
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
MAX_REVISIONS = 50
MAX_OPENINGS = 100
MOST_STEPS = 200


def count_trees() -> tuple[dict[State, int], int]:
    """Count the conversations by state, and those that stopped although their prompt stands. One statement."""
    waits = Count("pk", filter=Q(STOPPED, PROMPT_EXISTS))
    rows = list(MessageTree.objects.order_by().values_list("state").annotate(n=Count("pk"), waits=waits))
    return {State(state): number for state, number, _ in rows}, sum(waiting for _, _, waiting in rows)


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
    deletions: list[Deletion]
    reports: list[Report]
    more_reports: int
    proposals: list[Proposal]
    withdrawals: list[Withdrawal]
    openings: list[tuple[Opening, str]]
    """With the start of the text."""


def tree_details(tree: MessageTree) -> TreeDetails:
    """Return what happened to a tree, besides its messages and steps (`conversation_tree`). Six statements at most; of
    reports and openings only the first ones.
    """
    reports, more_reports = first_reports(Report.objects.filter(message__tree=tree))
    openings = Opening.objects.filter(tree=tree).select_related("holder").annotate(text=Left("message__text", 200))
    return TreeDetails(
        deletions=list(
            Deletion.objects.filter(tree=tree).select_related("actor", "undone_by").order_by("created_at", "id")
        ),
        reports=reports,
        more_reports=more_reports,
        proposals=list(Proposal.objects.filter(tree=tree).select_related("decided_by").order_by("created_at")),
        withdrawals=list(Withdrawal.objects.filter(tree=tree).select_related("decided_by").order_by("created_at")),
        openings=[(opening, opening.text) for opening in openings.order_by("-priority", "id")[:MAX_OPENINGS]],
    )


@dataclass(frozen=True)
class MessageDetails:
    revisions: list[Revision]
    readings: list[MessageReading]
    reviews: list[Review]
    reactions: list[Reaction]
    skips: list[Skip]
    reports: list[Report]
    more_reports: int
    proposals: list[Proposal]
    withdrawals: list[Withdrawal]
    deletions: list[Deletion]
    """Those that deleted this message, also as part of a branch."""
    corrections: list[Message]
    rankings: list[Ranking]
    """Of the replies beside this message, and of those to it."""
    transitions: list[TreeTransition]


def message_details(message: Message) -> MessageDetails:
    """Return a message with all judgments on it and the steps of its tree; give it its tree, the message that it
    corrects and its client. Only the latest rows of each long list. Two statements, a third for more than MAX_REPORTS.
    """
    reports = Report.objects.filter(message=message)
    tables: dict[str, QuerySet[Any]] = {
        "revisions": message.revisions.order_by("-created_at", "-id")[:MAX_REVISIONS],
        "readings": MessageReading.objects.filter(revision=message.revision_id).order_by("kind"),
        "reviews": message.reviews.order_by("-created_at", "-id")[:MAX_REACTIONS],
        "reactions": message.reactions.order_by("-created_at")[:MAX_REACTIONS],
        "skips": message.skips.order_by("-created_at")[:MAX_REACTIONS],
        "reports": _open_first(reports)[: MAX_REPORTS + 1],
        "proposals": message.proposals.order_by("created_at"),
        "withdrawals": message.withdrawals.order_by("created_at"),
        "deletions": Deletion.objects.filter(tree=message.tree_id, message_ids__contains=[message.pk]).order_by(
            "created_at"
        ),
        "corrections": message.corrections.order_by("-pk")[:MAX_CORRECTIONS],
        "rankings": Ranking.objects.filter(parent__in=ranked_parents(message)),
        "transitions": latest_transitions(message.tree_id),
        "tree": MessageTree.objects.filter(pk=message.tree_id),
        "correction_of": Message.objects.filter(corrections=message.pk),
        "api_client": ApiClient.objects.filter(pk__in=[message.api_client_id] if message.api_client_id else []),
    }
    rows = read_together(Message.objects.filter(pk=message.pk), tables)
    for name in ("tree", "correction_of", "api_client"):
        setattr(message, name, next(iter(rows.pop(name)), None))
    for name in ("revisions", "reviews", "corrections", "transitions"):
        rows[name].reverse()
    more = reports.count() - MAX_REPORTS if len(rows["reports"]) > MAX_REPORTS else 0
    rows["reports"] = rows["reports"][:MAX_REPORTS]
    return MessageDetails(more_reports=more, **rows)


def latest_transitions(tree_id: UUID) -> QuerySet[TreeTransition]:
    """Return the last MOST_STEPS steps of a tree, the latest first."""
    return TreeTransition.objects.filter(tree=tree_id).order_by("-id")[:MOST_STEPS]


def ranked_parents(message: Message) -> list[UUID]:
    """Return the messages whose replies are compared on the page of a message: the one it answers, and itself."""
    return [message.parent_id, message.pk] if message.parent_id else [message.pk]


def _open_first(reports: QuerySet[Report]) -> QuerySet[Report]:
    return reports.order_by(Case(When(status=Report.Status.OPEN, then=0), default=1), "-created_at", "-pk")


def first_reports(reports: QuerySet[Report]) -> tuple[list[Report], int]:
    """Return up to MAX_REPORTS reports, open ones first, then the latest, and how many more exist.

    One statement, a second one if there are more.
    """
    rows = _open_first(reports).select_related("reporter", "handled_by")
    first = list(rows[: MAX_REPORTS + 1])
    more = reports.count() - MAX_REPORTS if len(first) > MAX_REPORTS else 0
    return first[:MAX_REPORTS], more


def latest_messages(user: User) -> list[Message]:
    """Return the latest messages of a user. One statement."""
    messages = Message.objects.filter(author=user).defer("search", "text_digest", "imported")
    return list(messages.order_by("-created_at")[:20])


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
