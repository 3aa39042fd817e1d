"""What a merge would do, counted with the functions that do it. Reads only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from allauth.mfa.models import Authenticator
from django.db.models import CharField, Count, QuerySet, Value
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from leaderboard.models import Standing
from leaderboard.time_frames import Frame
from oasst.accounts.models import Acknowledgement, Consent, ProgramSession, Session, Token, User
from oasst.site import merging
from oasst.site.models import Notice
from tasks.models import Task
from trees.models import Review

Rows = QuerySet[Any]
TASKS = "tasks.Task.user"
LABELS: Mapping[str, str | Promise] = {
    "trees.Message.author": _("Messages, also removed ones"),
    "trees.Review.author": _("Reviews"),
    "trees.Ranking.author": _("Rankings"),
    "trees.Reaction.author": _("Reactions"),
    "trees.Report.reporter": _("Reports"),
    "trees.Skip.author": _("Skips"),
    "trees.Practice.person": _("Practice reviews"),
    "trees.Donation.user": _("Chats given to the data set"),
    TASKS: _("Tasks"),
    "inference.Chat.user": _("Chats"),
    "inference.Battle.user": _("Comparisons of answers"),
    "inference.Vote.user": _("Thumbs on answers of the chat"),
    "inference.ChatReport.user": _("Reports about answers of the chat"),
    "inference.Preset.user": _("Presets of the chat"),
    "account.EmailAddress.user": _("E-mail addresses"),
    "socialaccount.SocialAccount.user": _("Accounts at other services"),
    "accounts.Identity.user": _("Names at API clients"),
    "accounts.Ban.user": _("Suspensions, as history"),
    "accounts.AccountWarning.user": _("Warnings"),
    "accounts.Appeal.user": _("Appeals"),
}
"""The relations that the preview names, in its order. The others are records about these, or of what staff did."""


@dataclass(frozen=True)
class Line:
    label: str | Promise
    number: int


@dataclass(frozen=True)
class MergePreview:
    moves: list[Line] = field(default_factory=list)
    """What goes to the account that stays."""
    stays: list[Line] = field(default_factory=list)
    """What stays with the closed accounts, because both did it."""
    ends: list[Line] = field(default_factory=list)
    """What ends with the closed accounts."""
    points: Mapping[UUID, int] = field(default_factory=dict)
    """What each account has now."""
    points_after: int = 0
    points_are_exact: bool = True
    """False if what stays may count for less."""


def preview_merge(destination: User, sources: Sequence[User]) -> MergePreview:
    """Count what a merge of these would do now. Two statements, however much there is."""
    counted = _count(_parts(destination, sources))
    points = _points_of([destination, *sources])
    moves = {name: counted["all", name] - counted["stays", name] for name in LABELS}
    return MergePreview(
        moves=_lines(LABELS, moves),
        stays=_lines(LABELS, {name: counted["stays", name] for name in LABELS}),
        ends=_lines(_ENDS, {name: counted["ends", name] for name in _ENDS}),
        points=points,
        points_after=sum(points.values()),
        points_are_exact=not counted["stays", "trees.Review.author"] + counted["stays", "trees.Ranking.author"],
    )


def _lines(labels: Mapping[str, str | Promise], numbers: Mapping[str, int]) -> list[Line]:
    return [Line(label, numbers[name]) for name, label in labels.items() if numbers[name]]


Part = tuple[str, str, Rows]


def _parts(destination: User, sources: Sequence[User]) -> list[Part]:
    """Return (group, name, rows) of all that is counted."""
    ids = [source.pk for source in sources]
    parts: list[Part] = [("ends", name, rows(ids)) for name, rows in _ROWS_THAT_END.items()]
    parts.append(("all", TASKS, Task.objects.filter(user__in=ids)))
    named = {name: one for one in merging.relations() if (name := merging.name_of(one)) in LABELS}
    parts += [("all", name, merging.rows_of(relation, *ids)) for name, relation in named.items()]
    taken_by = [destination.pk]
    for source in sources:
        stays = {name: merging.staying(relation, source.pk, taken_by) for name, relation in named.items()}
        parts += [("stays", name, rows) for name, rows in stays.items() if rows is not None]
        reviews, rankings = stays["trees.Review.author"], stays["trees.Ranking.author"]
        assert reviews is not None and rankings is not None  # both have a unique constraint
        undone = Review.UNDONE.values()
        tasks = merging.tasks_of(reviews.filter(set_aside=None).exclude(kind__in=undone), rankings)
        parts.append(("stays", TASKS, tasks.filter(user=source)))
        taken_by.append(source.pk)
    return parts


class _Counts(dict[tuple[str, str], int]):
    def __missing__(self, key: tuple[str, str]) -> int:
        return 0


def _count(parts: Sequence[Part]) -> _Counts:
    """Count all of them by one statement."""
    counts = [
        rows.order_by()
        .annotate(counted_group=Value(group, CharField()), counted_name=Value(name, CharField()))
        .values("counted_group", "counted_name")
        .annotate(number=Count("pk"))
        .values_list("counted_group", "counted_name", "number")
        for group, name, rows in parts
    ]
    found = _Counts()
    for group, name, number in counts[0].union(*counts[1:], all=True):
        found[group, name] += number
    return found


def _points_of(people: Sequence[User]) -> dict[UUID, int]:
    rows = Standing.objects.filter(frame=Frame.TOTAL.value, lang="", person__in=people)
    return dict.fromkeys((one.pk for one in people), 0) | dict(rows.values_list("person", "points"))


_ENDS: Mapping[str, str | Promise] = {
    "sessions": _("Browsers that are signed in"),
    "programs": _("Programs that are signed in"),
    "tokens": _("Tokens for programs"),
    "factors": _("Second factors"),
    "consents": _("Consents, asked for anew where needed"),
    "thanks": _("Public thanks under this name"),
    "notices": _("Notices"),
}
_ROWS_THAT_END: Mapping[str, Any] = {
    "sessions": lambda ids: Session.objects.filter(account__in=ids, expire_date__gt=timezone.now()),
    "programs": lambda ids: ProgramSession.objects.filter(user__in=ids, ended_at=None),
    "tokens": lambda ids: Token.objects.filter(user__in=ids),
    "factors": lambda ids: Authenticator.objects.filter(user__in=ids),
    "consents": lambda ids: Consent.objects.filter(user__in=ids, withdrawn_at=None),
    "thanks": lambda ids: Acknowledgement.objects.filter(user__in=ids),
    "notices": lambda ids: Notice.objects.filter(person__in=ids),
}
