"""How long a task takes: the median of recent tasks of its kind and language.

Only tasks from pages count: we do not know when an API client shows a task to its user.
"""

from django.db import connection

from tasks.kinds import Kind
from tasks.supply import HISTORY_WEEKS, Supply

MIN_TASKS = 20  # tasks: fewer say more about those users than about the work


def measure() -> None:
    """Store the median of each language and kind. Tasks that took over an hour do not count. One statement."""
    # SQL by hand: the ORM cannot group the result of a grouping.
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
            {"weeks": HISTORY_WEEKS, "enough": MIN_TASKS},
        )


def estimated_minutes(supply: Supply) -> dict[Kind, int]:
    """Return kind → minutes, at least 1, of the kinds that were measured in the language of the supply."""
    return {kind: max(1, round(supply.seconds[kind] / 60)) for kind in Kind if kind in supply.seconds}
