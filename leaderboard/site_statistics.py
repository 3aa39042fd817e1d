"""The statistics of the statistics page and the wire. Each function returns plain data for JSON.

Only periodic jobs call them (leaderboard.cached_statistics), since some read every message of the site.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import groupby
from operator import itemgetter
from typing import Any
from uuid import UUID

from django.contrib.postgres.fields import ArrayField
from django.db.models import Aggregate, Count, DateField, DurationField, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import TruncWeek
from django.utils import timezone

from leaderboard.models import Standing, Tally
from leaderboard.time_frames import Frame
from oasst.accounts.models import User
from oasst.core.text.languages import name_of
from trees.labels import LABELS
from trees.lifecycle.states import TABLE, State
from trees.models import Message, MessageTree, Ranking, Review, Role, Skip, Topic, TreeTransition
from trees.published import PUBLISHED
from trees.statistics.bootstrap import ratio_interval
from trees.statistics.krippendorff import Answers, alpha, alpha_interval, comparable
from trees.statistics.label_answers import answers_by_label, distance_of
from trees.statistics.rankings import kendall_w, pairwise_agreement

TOPICS = 20
WEEKS = 12  # how far back the series go
GROWTH_WEEKS = 26
Table = dict[str, Any]
"""`columns`: names; `rows`: lists of values, each with the label first."""


def topics() -> Table:
    """The largest topics of prompts, of all languages together."""
    largest = Topic.objects.order_by("-size", "pk").values_list("lang", "name", "size")[:TOPICS]
    rows = [[f"{name_of(lang)}: {name}", size] for lang, name, size in largest]
    return {"columns": ["Topic", "Prompts"], "rows": rows}


def _human() -> QuerySet[Message]:
    return Message.objects.filter(deleted=False, review_result=True, synthetic=False)


def _counts(rows: QuerySet[Any], *names: str) -> list[tuple[Any, ...]]:
    """Return (value of each name, number of rows) tuples, ordered by the values."""
    return list(rows.order_by(*names).values_list(*names).annotate(Count("pk")))


def _table(columns: list[str], rows: Iterable[Iterable[Any]]) -> Table:
    return {"columns": columns, "rows": [list(row) for row in rows]}


def _since(weeks: int = WEEKS) -> datetime:
    """Return the Monday on which a series of this many weeks begins."""
    today = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    return today - timedelta(days=today.weekday(), weeks=weeks - 1)


def _week_of(field: str) -> TruncWeek:
    return TruncWeek(field, output_field=DateField(), tzinfo=UTC)


def _weeks(weeks: int = WEEKS) -> list[str]:
    return [(_since(weeks) + timedelta(weeks=number)).date().isoformat() for number in range(weeks)]


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


def published_trees_by_lang() -> dict[str, int]:
    """The finished conversations that visitors can read, for the front page."""
    return dict(_counts(Message.objects.filter(PUBLISHED, parent=None), "lang"))


def users_accepted_tos() -> dict[str, int]:
    return {"count": User.objects.filter(enabled=True, deleted_at=None).exclude(terms_version="").count()}


# --- The statistics page ---


def growth() -> Table:
    """The number of accepted messages that people had written by the end of each week, by role. Two statements."""
    roles = (Role.PROMPTER, Role.ASSISTANT)
    begin = _since(GROWTH_WEEKS)
    totals: Counter[str] = Counter(dict(_counts(_human().filter(created_at__lt=begin), "role")))
    lately = _human().filter(created_at__gte=begin).annotate(week=_week_of("created_at"))
    counts = {(week.isoformat(), role): number for week, role, number in _counts(lately, "week", "role")}
    rows = []
    for week in _weeks(GROWTH_WEEKS):
        totals.update({role.value: counts.get((week, role.value), 0) for role in roles})
        rows.append([week, *(totals[role.value] for role in roles)])
    return _table(["Week of", "User", "Assistant"], rows)


def people() -> dict[str, int]:
    """How many people wrote, reviewed or ranked anything that counts. One statement."""
    work = Standing.objects.filter(frame=Frame.TOTAL, lang="")
    return {"count": work.filter(Q(points__gt=0) | Q(prompts__gt=0)).count()}


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


Units = Counter[Answers]


def agreement() -> dict[str, Table]:
    """Agreement of reviewers by label, by language and by week: `agreement_by_label` and so on.

    One statement reads the reviews, text by text, so that memory does not grow with their number. A text belongs to the
    week of its first review.
    """
    overall: dict[str, Units] = defaultdict(Counter)
    by_language: dict[str, dict[str, Units]] = defaultdict(lambda: defaultdict(Counter))
    by_week: dict[str, dict[str, Units]] = defaultdict(lambda: defaultdict(Counter))
    for lang, week, answers in _answers_by_text():
        for label, values in answers.items():
            overall[label][values] += 1
            if len(values) > 1:
                by_language[lang][label][values] += 1
                by_week[week][label][values] += 1
    labels = [label for label in LABELS if label in overall]
    return {
        "agreement_by_label": _table(
            ["Label", "Alpha", "From", "To", "Texts compared"],
            ([_name(label), *_alpha(overall[label], label), comparable(overall[label])] for label in labels),
        ),
        "agreement_by_language": _alphas("Language", sorted(by_language), by_language, labels),
        "agreement_by_week": _alphas("Week of", _weeks(), by_week, labels),
    }


def _answers_by_text() -> Iterator[tuple[str, str, dict[str, Answers]]]:
    """Yield language, week and answers by label for each text that was reviewed lately."""
    reviews = Review.objects.filter(kind=Review.Kind.REVIEW, created_at__gte=_since()).order_by("revision")
    rows = reviews.values_list("revision", "message__tree__lang", _week_of("created_at"), "labels")
    for _, group in groupby(rows.iterator(), key=itemgetter(0)):
        of_text = list(group)
        week = min(week for _, _, week, _ in of_text)
        yield of_text[0][1], week.isoformat(), answers_by_label(labels for *_, labels in of_text)


def _alpha(units: Units, label: str) -> list[float | None]:
    """Return alpha and both ends of its interval."""
    distance = distance_of(label)
    interval = alpha_interval(units, distance) or (None, None)
    return [_rounded(value) for value in (alpha(units, distance), *interval)]


def _alphas(first: str, groups: Iterable[str], units: dict[str, dict[str, Units]], labels: list[str]) -> Table:
    rows = (
        [group, *(_rounded(alpha(units.get(group, {}).get(label, {}), distance_of(label))) for label in labels)]
        for group in groups
    )
    return _table([first, *map(_name, labels)], rows)


def _name(label: str) -> str:
    return label.replace("_", " ")


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


ALL_LANGUAGES = "mul"  # the tag of ISO 639 for many languages

Orders = tuple[tuple[int, ...], ...]
"""The rankings of the replies to one message, best first. Replies are numbered in the order of the first ranking, so
that most messages have the same few orders."""


def ranking_agreement() -> Table:
    """Agreement of those who ranked the same replies lately, for all languages together and for each.

    One statement reads the rankings, message by message.
    """
    messages: dict[str, Counter[Orders]] = defaultdict(Counter)
    for lang, orders in _orders_by_message():
        if len(orders) > 1:
            messages[ALL_LANGUAGES][orders] += 1
            messages[lang][orders] += 1
    rows = [
        [lang, *_ranking_row(messages[lang])] for lang in sorted(messages, key=lambda one: (one != ALL_LANGUAGES, one))
    ]
    return _table(
        [
            *("Language", "Agreement", "From", "To", "Pairs in the same order"),
            *("Kendall's W", "W, from", "W, to", "W beyond chance", "Messages compared"),
        ],
        rows,
    )


def _orders_by_message() -> Iterator[tuple[str, Orders]]:
    rankings = Ranking.objects.filter(not_rankable=False, created_at__gte=_since()).order_by("parent", "created_at")
    rows = rankings.values_list("parent", "parent__tree__lang", "ordered_ids")
    for (_, lang), group in groupby(rows.iterator(), key=itemgetter(0, 1)):
        numbers: dict[UUID, int] = {}
        yield (
            lang,
            tuple(tuple(numbers.setdefault(reply, len(numbers)) for reply in ordered_ids) for *_, ordered_ids in group),
        )


def _ranking_row(messages: Counter[Orders]) -> list[float | None]:
    """Return the agreement on pairs beyond chance, both ends of its interval, the share of pairs in the same order; the
    mean W, both ends of its interval, its value beyond chance; the number of messages.
    """
    pairs: Counter[tuple[float, float]] = Counter()
    ws: Counter[tuple[float, float]] = Counter()
    beyond_chance = 0.0
    for orders, number in messages.items():
        pairs[pairwise_agreement(orders)] += number
        if concordance := kendall_w(orders):
            ws[concordance.w, 1.0] += number
            beyond_chance += number * concordance.beyond_chance
    share, w = _with_ends(pairs), _with_ends(ws)
    agreement = [None if value is None else 2 * value - 1 for value in share]
    row = [*agreement, share[0], *w, beyond_chance / ws.total() if ws else None]
    return [*map(_rounded, row), messages.total()]


def _with_ends(parts: Counter[tuple[float, float]]) -> tuple[float | None, float | None, float | None]:
    """Return sum(a) / sum(b) of these (a, b), and both ends of its interval."""
    above = sum(a * number for (a, _), number in parts.items())
    below = sum(b * number for (_, b), number in parts.items())
    return above / below if below else None, *(ratio_interval(parts) or (None, None))


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
