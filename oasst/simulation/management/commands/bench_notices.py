"""manage.py bench_notices: what the jobs of notices cost with many users. scripts/bench calls it."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.management import CommandError, CommandParser
from django.db import connection
from django.utils import timezone

from leaderboard import hot, tallies
from leaderboard.models import Risen
from oasst.accounts.models import User
from oasst.core.models import WaitingJob
from oasst.embedded.commands import ServiceCommand
from oasst.simulation.measuring.timing import Timings
from oasst.site.models import NoticeAccount
from oasst.site.notices import digests, keeping, levels

_PEOPLE = """
    INSERT INTO accounts_user (id, password, email, display_name, role, created_at, time_zone, interface_language,
        contribution_languages, enabled, ban_reason, is_active, notes, show_on_leaderboard, terms_version)
    SELECT gen_random_uuid(), '', 'person' || number || '@example.org', 'Person ' || number, 'general', now(), 'UTC',
           'en', '{}', true, '', true, '', true, ''
    FROM generate_series(1, %s) AS number
"""
_ADDRESSES = """
    INSERT INTO account_emailaddress (user_id, email, verified, "primary")
    SELECT id, email, true, true FROM accounts_user
"""
# Everybody has a level, and was told of it.
_STANDINGS = """
    INSERT INTO leaderboard_standing (frame, lang, person_id, replies_assistant)
    SELECT 'total', '', id, 3 FROM accounts_user
"""
_ACCOUNTS = """
    INSERT INTO site_noticeaccount (person_id, muted, digest, level, digest_at)
    SELECT id, '{}', 'weekly', 100, now() - interval '1 day' FROM accounts_user
"""
# Each has two unread notices: one was mailed, the other waits for the next mail.
_NOTICES = """
    INSERT INTO site_notice (person_id, kind, level, data, created_at, mailed_at)
    SELECT id, 'level_reached', level, '{}', now() - interval '2 days', CASE WHEN level = 2 THEN now() END
    FROM accounts_user, generate_series(2, 3) AS level
"""
_RISE = """
    UPDATE leaderboard_standing SET replies_assistant = replies_assistant + 30
    WHERE person_id IN (SELECT person_id FROM leaderboard_standing ORDER BY person_id LIMIT %s)
"""


class Command(ServiceCommand):
    help = "Fill an empty database with users who have notices, and measure the jobs. scripts/bench calls it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--people", type=int, default=100_000)
        parser.add_argument("--times", type=int, default=20)

    def handle(self, *args: Any, people: int, times: int, **options: Any) -> None:
        if User.objects.exists():
            raise CommandError("The database is not empty. scripts/bench notices makes one of its own.")
        settings.SENDS_MAIL = True
        with connection.cursor() as cursor:
            cursor.execute(_PEOPLE, [people])
            for statement in (_ADDRESSES, _STANDINGS, _ACCOUNTS, _NOTICES):
                cursor.execute(statement)
            hot.recompute_moved()
            hot.put_in_order()
            Risen.objects.all().delete()
            cursor.execute("VACUUM ANALYZE")
        self.stdout.write(f"{people} people, each with a level, two unread notices and a weekly mail")
        timings = Timings()
        self._measure(timings, "levels, nobody rose", levels.tell_levels, times)
        self._measure(timings, "digests, none is due", digests.begin_digests, times)
        self._measure(timings, "old notices, none is old", keeping.delete_old, times)
        for number in (100, 1000, 10_000):
            if number <= people:
                self._change(timings, number)
        for line in timings.table():
            self.stdout.write(line)

    def _measure(self, timings: Timings, name: str, job: Callable[[], object], times: int) -> None:
        for _ in range(times):
            with timings.measure(name):
                job()

    def _change(self, timings: Timings, number: int) -> None:
        """Let so many people rise, and let so many mails be due."""
        with connection.cursor() as cursor:
            cursor.execute("UPDATE site_noticeaccount SET level = 1")
            cursor.execute(_RISE, [number])
            hot.recompute_moved()
            cursor.execute("VACUUM ANALYZE")
        with timings.measure(f"put {number} places in order"):
            tallies.order_boards()
        with timings.measure(f"levels, {number} rose"):
            while levels.tell_levels() >= levels.BATCH:
                pass
        morning = timezone.now().replace(hour=8) + timedelta(days=1)
        due = NoticeAccount.objects.order_by("person").values("person")[:number]
        NoticeAccount.objects.update(digest_due_at=None)
        NoticeAccount.objects.filter(person__in=due).update(digest_due_at=morning)
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE site_noticeaccount")
        with timings.measure(f"digests, {number} are due"):
            digests.begin_digests(morning)
        with timings.measure(f"digests, {number} wait already"):
            digests.begin_digests(morning)
        WaitingJob.objects.all().delete()
