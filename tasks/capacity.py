"""Counts of what the people of each language did in the last weeks. `tasks.supply` reads them on each request."""

from datetime import timedelta

from django.db import connection
from django.utils import timezone

from tasks.supply import HISTORY_WEEKS
from trees.lifecycle.states import RANKING_WORK, REPLY_WORK, REVIEW_WORK


def measure() -> None:
    """Store the number of answers of the last weeks for each language. One statement; safe to run at any time."""
    # SQL by hand: the ORM has no INSERT of a SELECT, and one statement leaves no gap between counting and storing.
    now = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH done AS (
                SELECT lang, min(finished_at) AS since,
                    count(*) FILTER (WHERE kind = ANY(%(reviews)s)) AS reviews,
                    count(*) FILTER (WHERE kind = ANY(%(replies)s)) AS replies,
                    count(*) FILTER (WHERE kind = ANY(%(rankings)s)) AS rankings
                FROM tasks_task WHERE status = 'done' AND finished_at > %(from)s GROUP BY lang
            )
            INSERT INTO tasks_capacity (lang, reviews, replies, rankings, since, measured_at)
            SELECT lang, coalesce(done.reviews, 0), coalesce(done.replies, 0), coalesce(done.rankings, 0),
                least(known.since, done.since), %(now)s
            FROM done FULL JOIN tasks_capacity known USING (lang)
            ON CONFLICT (lang) DO UPDATE SET
                reviews = excluded.reviews, replies = excluded.replies, rankings = excluded.rankings,
                since = excluded.since, measured_at = excluded.measured_at
            """,
            {
                "reviews": [work.value for work in REVIEW_WORK],
                "replies": [work.value for work in REPLY_WORK],
                "rankings": [work.value for work in RANKING_WORK],
                "from": now - timedelta(weeks=HISTORY_WEEKS),
                "now": now,
            },
        )
