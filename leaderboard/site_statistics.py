"""The statistics of the statistics page and the wire. Each function returns plain data for JSON.

Only periodic jobs call them (leaderboard.cached_statistics), since some read every message of the site.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db.models import Aggregate, Count, DateField, DurationField, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import TruncWeek
from django.utils import timezone

from leaderboard.agreement import alpha, interval, nominal
from leaderboard.models import Tally
from oasst.accounts.models import User
from trees.labels import LABELS
from trees.lifecycle.states import TABLE, State
from trees.models import Message, MessageTree, Review, Role, Skip, TreeTransition

WEEKS = 12  # how far back the series go
Table = dict[str, Any]
"""`columns`: names; `rows`: lists of values, each with the label first."""


def _human() -> QuerySet[Message]:
    return Message.objects.filter(deleted=False, review_result=True, synthetic=False)


def _counts(rows: QuerySet[Any], *names: str) -> list[tuple[Any, ...]]:
    """Return (value of each name, number of rows) tuples, ordered by the values."""
    return list(rows.order_by(*names).values_list(*names).annotate(Count("pk")))


def _table(columns: list[str], rows: Iterable[Iterable[Any]]) -> Table:
    return {"columns": columns, "rows": [list(row) for row in rows]}


def _since() -> datetime:
    """Return the Monday on which the series begin."""
    today = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    return today - timedelta(days=today.weekday(), weeks=WEEKS - 1)


def _week_of(field: str) -> TruncWeek:
    return TruncWeek(field, output_field=DateField(), tzinfo=UTC)


def _weeks() -> list[str]:
    return [(_since() + timedelta(weeks=number)).date().isoformat() for number in range(WEEKS)]


# --- The wire ---


def human_messages_by_lang() -> dict[str, int]:
    return dict(_counts(_human(), "lang"))


def human_messages_by_role() -> dict[str, int]:
    return dict(_counts(_human(), "role"))


def message_trees_by_state() -> dict[str, int]:
    return dict(_counts(MessageTree.objects.all(), "state"))


def message_trees_states_by_lang() -> list[dict[str, Any]]:
    rows = _counts(MessageTree.objects.all(), "lang", "state")
    return [{"lang": lang, "state": state, "count": number} for lang, state, number in rows]


def users_accepted_tos() -> dict[str, int]:
    return {"count": User.objects.filter(enabled=True, deleted_at=None).exclude(terms_version="").count()}


# --- The statistics page ---


def messages() -> Table:
    rows = _human().values_list("lang").alias(total=Count("pk")).order_by("-total", "lang")
    by_role = {role.value: Count("pk", filter=Q(role=role)) for role in (Role.PROMPTER, Role.ASSISTANT)}
    return _table(["Language", "User", "Assistant"], rows.annotate(**by_role))


def trees() -> Table:
    """Trees by language and state, the largest language first."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for row in message_trees_states_by_lang():
        counts[row["lang"]][row["state"]] = row["count"]
    states = [state for state in State if any(by[state.value] for by in counts.values())]
    langs = sorted(counts, key=lambda lang: (-counts[lang].total(), lang))
    rows = [[lang, *(counts[lang][state.value] for state in states)] for lang in langs]
    return _table(["Language", *(TABLE[state].label for state in states)], rows)


def flow() -> Table:
    """The number of trees that entered each state in each week."""
    steps = TreeTransition.objects.filter(at__gte=_since()).exclude(from_state="").annotate(week=_week_of("at"))
    counts = {(week.isoformat(), state): number for week, state, number in _counts(steps, "week", "to_state")}
    entered = {state for _, state in counts}
    states = [state for state in State if state.value in entered]
    rows = [[week, *(counts.get((week, state.value), 0) for state in states)] for week in _weeks()]
    return _table(["Week of", *(TABLE[state].label for state in states)], rows)


class Percentiles(Aggregate):
    """The 50th and the 90th percentile."""

    function = "percentile_cont"
    template = "%(function)s(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY %(expressions)s)"
    output_field = ArrayField(DurationField())


def waiting() -> Table:
    """Hours that trees stayed in each state that they left during the last weeks, and how many are in it now."""
    before = TreeTransition.objects.filter(tree=OuterRef("tree"), pk__lt=OuterRef("pk")).order_by("-pk")
    stay = F("at") - Subquery(before.values("at")[:1])
    steps = TreeTransition.objects.filter(at__gte=_since()).exclude(from_state="").annotate(stay=stay)
    by_state = steps.filter(stay__isnull=False).values_list("from_state").annotate(both=Percentiles("stay"))
    stays = {state: [round(stay.total_seconds() / 3600, 1) for stay in both] for state, both in by_state}
    now = message_trees_by_state()
    rows = [
        [TABLE[state].label, *stays.get(state.value, (None, None)), now.get(state.value, 0)]
        for state in State
        if state.value in stays or now.get(state.value)
    ]
    return _table(["State", "Half left within, hours", "Nine of ten within, hours", "In it now"], rows)


Unit = Counter[float]
Judged = dict[tuple[str, str], dict[Any, Unit]]


def _judged() -> Judged:
    """Return (group, label) → revision → answer → number of people; a group is a language, a week or "" for all."""
    judged: Judged = defaultdict(lambda: defaultdict(Counter))
    reviews = Review.objects.filter(kind=Review.Kind.REVIEW, created_at__gte=_since())
    rows = reviews.values_list("message__tree__lang", _week_of("created_at"), "revision_id", "labels")
    for lang, week, revision, labels in rows.iterator():
        for label, value in labels.items():
            if value is not None:
                for group in ("", lang, week.isoformat()):
                    judged[group, label][revision][value] += 1
    return judged


def _alpha(judged: Judged, group: str, label: str) -> float | None:
    distance = interval if LABELS[label].widget == "likert" else nominal
    value = alpha(judged.get((group, label), {}).values(), distance)
    return None if value is None else round(value, 4)


def agreement_by_label() -> Table:
    judged = _judged()
    rows = [
        [
            label.replace("_", " "),
            _alpha(judged, "", label),
            sum(unit.total() > 1 for unit in judged["", label].values()),
        ]
        for label in LABELS
        if ("", label) in judged
    ]
    return _table(["Label", "Alpha", "Texts with two or more answers"], rows)


def agreement_by_language() -> Table:
    return _agreement("Language", lambda groups: sorted(group for group in groups if group and not group[0].isdigit()))


def agreement_by_week() -> Table:
    return _agreement("Week of", lambda groups: _weeks())


def _agreement(first: str, choose: Callable[[set[str]], list[str]]) -> Table:
    judged = _judged()
    labels = [label for label in LABELS if ("", label) in judged]
    groups = choose({group for group, _ in judged})
    rows = [[group, *(_alpha(judged, group, label) for label in labels)] for group in groups]
    return _table([first, *(label.replace("_", " ") for label in labels)], rows)


def acceptance() -> Table:
    """Decisions of reviewers, by the week in which the texts were written."""
    texts = Message.objects.filter(created_at__gte=_since(), author__isnull=False, deleted=False)
    numbers_by_week = texts.values_list(_week_of("created_at")).annotate(
        accepted=Count("pk", filter=Q(review_result=True)),
        rejected=Count("pk", filter=Q(review_result=False)),
        in_review=Count("pk", filter=Q(review_result=None)),
    )
    counts = {week.isoformat(): numbers for week, *numbers in numbers_by_week}
    rows = [[week, *counts.get(week, (0, 0, 0))] for week in _weeks()]
    return _table(["Week of", "Accepted", "Not accepted", "In review"], rows)


def skips() -> Table:
    """Reasons for skipping work during the last weeks."""
    rows = _counts(Skip.objects.filter(created_at__gte=_since()), "reason", "kind")
    counts = {(reason, kind): number for reason, kind, number in rows}
    reasons = [*Skip.Reason.choices, ("", "No reason given")]
    table = [[label, *(counts.get((reason, kind), 0) for kind in Skip.Kind.values)] for reason, label in reasons]
    return _table(["Reason", *Skip.Kind.labels], [row for row in table if sum(row[1:])])


def contributors() -> Table:
    """People who wrote, reviewed or ranked in each week."""
    work = Tally.objects.filter(start__gte=_since(), kind__in=[*_WRITING, *_REVIEWING, *_RANKING])
    numbers_by_week = work.values_list(_week_of("start")).annotate(
        people=Count("person", distinct=True),
        wrote=Count("person", distinct=True, filter=Q(kind__in=_WRITING)),
        reviewed=Count("person", distinct=True, filter=Q(kind__in=_REVIEWING)),
        ranked=Count("person", distinct=True, filter=Q(kind__in=_RANKING)),
    )
    counts = {week.isoformat(): numbers for week, *numbers in numbers_by_week}
    rows = [[week, *counts.get(week, (0, 0, 0, 0))] for week in _weeks()]
    return _table(["Week of", "People", "Wrote", "Reviewed", "Ranked"], rows)


_WRITING = ["prompts", "replies_assistant", "replies_prompter"]
_REVIEWING = ["labels_simple", "labels_full"]
_RANKING = ["rankings_total"]
