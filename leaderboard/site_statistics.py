"""What the statistics page and the wire count. Each function reads the data set and gives plain data for JSON.

Run by the clock only (leaderboard.cached_statistics): some read every message of the site.
"""

from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

from django.db import connection
from django.utils import timezone

from leaderboard.agreement import alpha, interval, nominal
from trees.labels import LABELS
from trees.lifecycle.states import TABLE, State
from trees.models import Skip

WEEKS = 12  # how far back the series go
Table = dict[str, Any]
"""`columns`: names; `rows`: lists of values, the first of them the label."""

_HUMAN = "NOT deleted AND review_result AND NOT synthetic"


def _rows(sql: str, **facts: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, facts)
        return cursor.fetchall()


def _table(columns: list[str], rows: list[Any]) -> Table:
    return {"columns": columns, "rows": [list(row) for row in rows]}


def _since() -> date:
    """The Monday that the series begin with."""
    today = timezone.now().date()
    return today - timedelta(days=today.weekday(), weeks=WEEKS - 1)


def _weeks() -> list[str]:
    return [(_since() + timedelta(weeks=number)).isoformat() for number in range(WEEKS)]


# --- What the wire knows ---


def human_messages_by_lang() -> dict[str, int]:
    return dict(_rows(f"SELECT lang, count(*) FROM trees_message WHERE {_HUMAN} GROUP BY lang ORDER BY lang"))


def human_messages_by_role() -> dict[str, int]:
    return dict(_rows(f"SELECT role, count(*) FROM trees_message WHERE {_HUMAN} GROUP BY role ORDER BY role"))


def message_trees_by_state() -> dict[str, int]:
    return dict(_rows("SELECT state, count(*) FROM trees_messagetree GROUP BY state ORDER BY state"))


def message_trees_states_by_lang() -> list[dict[str, Any]]:
    rows = _rows("SELECT lang, state, count(*) FROM trees_messagetree GROUP BY lang, state ORDER BY lang, state")
    return [{"lang": lang, "state": state, "count": number} for lang, state, number in rows]


def users_accepted_tos() -> dict[str, int]:
    ((number,),) = _rows(
        "SELECT count(*) FROM accounts_user WHERE enabled AND deleted_at IS NULL AND terms_version <> ''"
    )
    return {"count": number}


# --- The statistics page ---


def messages() -> Table:
    rows = _rows(
        f"""
        SELECT lang, count(*) FILTER (WHERE role = 'prompter'), count(*) FILTER (WHERE role = 'assistant')
        FROM trees_message WHERE {_HUMAN} GROUP BY lang ORDER BY count(*) DESC, lang
        """
    )
    return _table(["Language", "User", "Assistant"], rows)


def trees() -> Table:
    """Languages by states, the largest first."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for one in message_trees_states_by_lang():
        counts[one["lang"]][one["state"]] = one["count"]
    shown = [state for state in State if any(by[state.value] for by in counts.values())]
    rows: list[list[Any]] = [[lang, *(by[state.value] for state in shown)] for lang, by in counts.items()]
    rows.sort(key=lambda row: (-counts[row[0]].total(), row[0]))
    return _table(["Language", *(TABLE[state].label for state in shown)], rows)


def flow() -> Table:
    """How many trees entered each state in each week."""
    found = _rows(
        """
        SELECT date_trunc('week', at, 'UTC')::date::text, to_state, count(*) FROM trees_treetransition
        WHERE at >= %(since)s AND from_state <> '' GROUP BY 1, 2
        """,
        since=_since(),
    )
    counts = {(week, state): number for week, state, number in found}
    shown = [state for state in State if any(state.value == one for _, one in counts)]
    rows = [[week, *(counts.get((week, state.value), 0) for state in shown)] for week in _weeks()]
    return _table(["Week of", *(TABLE[state].label for state in shown)], rows)


def waiting() -> Table:
    """Hours that trees spent in a state before they left it during the last weeks, and how many are in it now."""
    found = _rows(
        """
        WITH steps AS (
            SELECT tree_id, from_state, at - lag(at) OVER (PARTITION BY tree_id ORDER BY id) AS stay, at
            FROM trees_treetransition
            WHERE tree_id IN (SELECT tree_id FROM trees_treetransition WHERE at >= %(since)s)
        )
        SELECT from_state, count(*), percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY extract(epoch FROM stay))
        FROM steps WHERE at >= %(since)s AND stay IS NOT NULL AND from_state <> '' GROUP BY from_state
        """,
        since=_since(),
    )
    stays = {state: (left, [round(float(second) / 3600, 1) for second in seconds]) for state, left, seconds in found}
    now = message_trees_by_state()
    rows = [
        [
            TABLE[state].label,
            *(stays[state.value][1] if state.value in stays else (None, None)),
            now.get(state.value, 0),
        ]
        for state in State
        if state.value in stays or now.get(state.value)
    ]
    return _table(["State", "Half left within, hours", "Nine of ten within, hours", "In it now"], rows)


Unit = Counter[float]
Judged = dict[tuple[str, str], dict[Any, Unit]]


def _judged() -> Judged:
    """(language, label), (week, label) and ("", label) → text → answer → people."""
    found: Judged = defaultdict(lambda: defaultdict(Counter))
    rows = _rows(
        """
        SELECT tree.lang, date_trunc('week', review.created_at, 'UTC')::date::text, review.revision_id,
               label.key, label.value::text::float, count(*)
        FROM trees_review review
        JOIN trees_message message ON message.id = review.message_id
        JOIN trees_messagetree tree ON tree.id = message.tree_id, jsonb_each(review.labels) AS label
        WHERE review.kind = 'review' AND review.set_aside_id IS NULL AND review.created_at >= %(since)s
              AND label.value <> 'null'::jsonb
        GROUP BY 1, 2, 3, 4, 5
        """,
        since=_since(),
    )
    for lang, week, revision, label, value, people in rows:
        for group in ("", lang, week):
            found[group, label][revision][value] += people
    return found


def _alphas(groups: list[str], judged: Judged) -> list[list[Any]]:
    labels = [name for name in LABELS if ("", name) in judged]
    rows = []
    for group in groups:
        row: list[Any] = [group]
        for name in labels:
            distance = interval if LABELS[name].widget == "likert" else nominal
            found = alpha(judged.get((group, name), {}).values(), distance)
            row.append(None if found is None else round(found, 4))
        rows.append(row)
    return rows


def agreement_by_label() -> Table:
    judged = _judged()
    labels = [name for name in LABELS if ("", name) in judged]
    alphas = _alphas([""], judged)[0][1:]
    texts = [sum(sum(unit.values()) > 1 for unit in judged["", name].values()) for name in labels]
    return _table(
        ["Label", "Alpha", "Texts with two or more answers"],
        [[name.replace("_", " "), *numbers] for name, *numbers in zip(labels, alphas, texts, strict=True)],
    )


def agreement_by_language() -> Table:
    return _agreement("Language", lambda groups: sorted(group for group in groups if group and not group[0].isdigit()))


def agreement_by_week() -> Table:
    return _agreement("Week of", lambda groups: _weeks())


def _agreement(first: str, choose: Callable[[set[str]], list[str]]) -> Table:
    judged = _judged()
    labels = [name.replace("_", " ") for name in LABELS if ("", name) in judged]
    return _table([first, *labels], _alphas(choose({group for group, _ in judged}), judged))


def acceptance() -> Table:
    """What reviewers decided about texts, by the week in which those were written."""
    found = _rows(
        """
        SELECT date_trunc('week', created_at, 'UTC')::date::text, count(*) FILTER (WHERE review_result),
               count(*) FILTER (WHERE NOT review_result), count(*) FILTER (WHERE review_result IS NULL)
        FROM trees_message WHERE created_at >= %(since)s AND author_id IS NOT NULL AND NOT deleted GROUP BY 1
        """,
        since=_since(),
    )
    counts = {week: numbers for week, *numbers in found}
    rows = [[week, *counts.get(week, (0, 0, 0))] for week in _weeks()]
    return _table(["Week of", "Accepted", "Not accepted", "In review"], rows)


def skips() -> Table:
    """Why people passed on work, during the last weeks."""
    found = _rows(
        """
        SELECT reason, kind, count(*) FROM trees_skip
        WHERE created_at >= %(since)s AND set_aside_id IS NULL GROUP BY 1, 2
        """,
        since=_since(),
    )
    counts = {(reason, kind): number for reason, kind, number in found}
    reasons = [*Skip.Reason.choices, ("", "No reason given")]
    rows = [[label, *(counts.get((reason, kind), 0) for kind in Skip.Kind.values)] for reason, label in reasons]
    return _table(["Reason", *Skip.Kind.labels], [row for row in rows if sum(row[1:])])


def contributors() -> Table:
    """People who wrote, reviewed or ranked in each week."""
    found = _rows(
        """
        SELECT date_trunc('week', start, 'UTC')::date::text, count(DISTINCT person_id),
               count(DISTINCT person_id) FILTER (WHERE kind = ANY(%(writing)s)),
               count(DISTINCT person_id) FILTER (WHERE kind IN ('labels_simple', 'labels_full')),
               count(DISTINCT person_id) FILTER (WHERE kind = 'rankings_total')
        FROM leaderboard_tally WHERE start >= %(since)s AND kind = ANY(%(work)s) GROUP BY 1
        """,
        since=_since(),
        writing=_WRITING,
        work=[*_WRITING, "labels_simple", "labels_full", "rankings_total"],
    )
    counts = {week: numbers for week, *numbers in found}
    rows = [[week, *counts.get(week, (0, 0, 0, 0))] for week in _weeks()]
    return _table(["Week of", "People", "Wrote", "Reviewed", "Ranked"], rows)


_WRITING = ["prompts", "replies_assistant", "replies_prompter"]
