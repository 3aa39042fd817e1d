"""How long a task takes: as long as the people of its language took for such a task lately, in the middle.

Of tasks from pages only: when a program shows a task to its person is not known here.
"""

from django.core.cache import cache
from django.db import connection

from tasks.kinds import TABLE, Kind
from tasks.models import Capacity
from tasks.supply import WATCHED_WEEKS

ENOUGH = 20  # tasks: fewer say more about those people than about the work
_KEPT = 900  # seconds
_GUESSES = {"text": 240, "labels": 60, "ranking": 120}  # seconds, where nobody knows better


def measure() -> None:
    """Note the median for each language and kind. Who left a page open over lunch does not count. One statement."""
    # By hand: the ORM groups once, and not what it has grouped again.
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE tasks_capacity SET seconds = coalesce(typical.seconds, '{}') FROM tasks_capacity known LEFT JOIN (
                SELECT lang, jsonb_object_agg(kind, seconds) AS seconds FROM (
                    SELECT lang, kind, round(percentile_cont(0.5) WITHIN GROUP (
                        ORDER BY extract(epoch FROM finished_at - created_at)))::int AS seconds
                    FROM tasks_task
                    WHERE status = 'done' AND api_client_id IS NULL
                      AND finished_at > now() - %(weeks)s * interval '1 week'
                      AND finished_at - created_at < interval '1 hour'
                    GROUP BY lang, kind HAVING count(*) >= %(enough)s
                ) AS medians GROUP BY lang
            ) AS typical USING (lang) WHERE tasks_capacity.lang = known.lang
            """,
            {"weeks": WATCHED_WEEKS, "enough": ENOUGH},
        )


def minutes(lang: str) -> dict[Kind, int]:
    """Kind → about so many minutes, at least one. No statement while the cache knows it."""
    key = f"tasks.minutes.{lang}"
    seconds: dict[str, int] | None = cache.get(key)
    if seconds is None:
        seconds = Capacity.objects.filter(pk=lang).values_list("seconds", flat=True).first() or {}
        cache.set(key, seconds, timeout=_KEPT)
    return {kind: max(1, round(seconds.get(kind, _GUESSES[TABLE[kind].answer]) / 60)) for kind in Kind}
