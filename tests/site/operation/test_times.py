"""Times of jobs: in words for people in their time zone, the next run, and runs that were missed."""

from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from celery.schedules import crontab
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from oasst.site.operation import times
from oasst.site.operation.forms import TimesForm
from oasst.site.operation.times import Pattern, Times

NOW = datetime(2026, 11, 30, 18, 30, 30, tzinfo=UTC)  # a Monday
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


class TestWords:
    @pytest.mark.parametrize(
        ("schedule", "words"),
        [
            (crontab(), "every minute"),
            (crontab(minute="*/10"), "every 10 minutes"),
            (crontab(minute="20"), "hourly at minute 20"),
            (crontab(minute="20", hour="3"), "daily at 03:20 UTC (04:20 your time)"),
            (crontab(minute="5", hour="9", day_of_week="1"), "weekly on Monday at 09:05 UTC (10:05 your time)"),
            (
                crontab(minute="30", hour="23", day_of_week="0"),
                "weekly on Sunday at 23:30 UTC (Monday 00:30 your time)",
            ),
            (crontab(minute="5", hour="*/2"), "at the times of cron 5 */2 * * *, in UTC"),
            (crontab(minute="*/7"), "at the times of cron */7 * * * *, in UTC"),
        ],
    )
    def test_in_berlin(self, schedule: crontab, words: str) -> None:
        with timezone.override("Europe/Berlin"):
            assert times.in_words(schedule, NOW) == words

    def test_where_the_clock_shows_the_same_nothing_is_added(self) -> None:
        with timezone.override("UTC"):
            assert times.in_words(crontab(minute="20", hour="3"), NOW) == "daily at 03:20 UTC"


@given(
    st.builds(
        Times,
        pattern=st.sampled_from(list(Pattern)),
        minutes=st.sampled_from(times.MINUTES),
        minute=st.integers(0, 59),
        at=st.builds(time, st.integers(0, 23), st.integers(0, 59)),
        weekday=st.integers(0, 6),
        cron=st.just("1,2 */3 * * 1-5"),
    )
)
def test_what_is_written_is_read_again(chosen: Times) -> None:
    found = times.read(times.write(chosen))
    needed = {Pattern.MINUTES: ["minutes"], Pattern.HOURLY: ["minute"], Pattern.DAILY: ["at"]}
    needed |= {Pattern.WEEKLY: ["at", "weekday"], Pattern.CRON: ["cron"]}
    assert found.pattern == chosen.pattern
    assert [getattr(found, name) for name in needed[chosen.pattern]] == [
        getattr(chosen, name) for name in needed[chosen.pattern]
    ]


class TestMissed:
    @pytest.mark.parametrize(
        ("schedule", "ago", "overdue"),
        [
            (crontab(), 4 * MINUTE, False),
            (crontab(), 8 * MINUTE, True),
            (crontab(minute="*/10"), 19 * MINUTE, False),
            (crontab(minute="*/10"), 30 * MINUTE, True),
            (crontab(minute="20", hour="3"), 30 * HOUR, False),
            (crontab(minute="20", hour="3"), 3 * DAY, True),
        ],
    )
    def test_by_more_than_its_period(self, schedule: crontab, ago: timedelta, overdue: bool) -> None:
        assert times.is_overdue(schedule, NOW - ago, NOW) is overdue

    @pytest.mark.parametrize(
        ("schedule", "gap"),
        [
            (crontab(), MINUTE),
            (crontab(minute="20"), HOUR),
            (crontab(minute="0", hour="8-17"), 15 * HOUR),
            (crontab(minute="0", hour="8", day_of_week="1"), 7 * DAY),
            # Every minute, but not always.
            (crontab(day_of_week="1-5"), 2 * DAY + MINUTE),
            (crontab(day_of_month="1-27"), 4 * DAY + MINUTE),
            (crontab(month_of_year="11"), 336 * DAY + MINUTE),
            (crontab(minute="0", hour="0", day_of_month="29", month_of_year="2"), 1461 * DAY),
        ],
    )
    def test_the_longest_gap(self, schedule: crontab, gap: timedelta) -> None:
        assert times.longest_gap(schedule, NOW) == gap


class TestForm:
    def form(self, **sent: Any) -> TimesForm:
        return TimesForm(
            {"minutes": "10", "minute": "", "day_at": "", "week_at": "", "weekday": "1", "cron": "", **sent}
        )

    @pytest.mark.parametrize(
        ("sent", "parts"),
        [
            ({"pattern": "minutes", "minutes": "1"}, "* * * * *"),
            ({"pattern": "minutes", "minutes": "15"}, "*/15 * * * *"),
            ({"pattern": "hourly", "minute": "0"}, "0 * * * *"),
            ({"pattern": "daily", "day_at": "03:20"}, "20 3 * * *"),
            ({"pattern": "weekly", "week_at": "09:05", "weekday": "0"}, "5 9 * * 0"),
            ({"pattern": "cron", "cron": " 5 */2 * * 1-5 "}, "5 */2 * * 1-5"),
            ({"pattern": "daily", "day_at": "03:20", "minute": "99", "cron": "x"}, "20 3 * * *"),
        ],
    )
    def test_each_pattern(self, sent: dict[str, str], parts: str) -> None:
        form = self.form(**sent)
        assert form.is_valid(), form.errors
        assert " ".join(times.parts_of(form.cleaned_data["schedule"])) == parts

    @pytest.mark.parametrize(
        ("sent", "field"),
        [
            ({}, "pattern"),
            ({"pattern": "often"}, "pattern"),
            ({"pattern": "minutes", "minutes": "7"}, "minutes"),
            ({"pattern": "hourly"}, "minute"),
            ({"pattern": "hourly", "minute": "60"}, "minute"),
            ({"pattern": "daily"}, "day_at"),
            ({"pattern": "daily", "day_at": "25:00"}, "day_at"),
            ({"pattern": "weekly", "week_at": "09:05", "weekday": "7"}, "weekday"),
            ({"pattern": "cron"}, "cron"),
            ({"pattern": "cron", "cron": "* * * *"}, "cron"),
            ({"pattern": "cron", "cron": "99 * * * *"}, "cron"),
            ({"pattern": "cron", "cron": "0 0 31 2 *"}, "cron"),
            ({"pattern": "cron", "cron": "a b c d e"}, "cron"),
            ({"pattern": "cron", "cron": f"0 {','.join(['12'] * 40)} * * *"}, "cron"),  # longer than beat can store
        ],
    )
    def test_what_is_no_time_is_refused_beside_its_field(self, sent: dict[str, str], field: str) -> None:
        form = self.form(**sent)
        assert not form.is_valid() and list(form.errors) == [field]
