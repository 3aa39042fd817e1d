"""Streaks, in the time zone of the user."""

import random
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from leaderboard import streaks, tallies
from leaderboard.badges import BADGES, badges_of
from leaderboard.points import COUNTERS
from leaderboard.queries import Counts
from leaderboard.streaks import Streak
from oasst.accounts.models import User
from oasst.site.merging import merge_users
from tests.concurrency.together import at_once
from tests.crash.processes import wait_until
from tests.factories import new_people, new_prompt
from trees.models import Happening


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}+00:00")


def person(zone: str = "UTC", *moments: str) -> User:
    someone = User(time_zone=zone)
    for moment in moments:
        streaks.extend_streak(someone, [at(moment)])
    return someone


class TestDays:
    def test_it_begins_with_one(self) -> None:
        one = person("UTC", "2026-03-01T10:00")
        assert streaks.streak_of(one, at("2026-03-01T12:00")) == Streak(1, True)
        assert (one.streak_days, one.streak_started_at) == (1, at("2026-03-01T10:00"))

    def test_twice_a_day_is_one_day(self) -> None:
        one = person("UTC", "2026-03-01T10:00", "2026-03-01T23:59", "2026-03-02T00:01")
        assert streaks.streak_of(one, at("2026-03-02T12:00")) == Streak(2, True)

    def test_one_missed_day_is_forgiven_and_two_are_not(self) -> None:
        one = person("UTC", "2026-03-01T10:00", "2026-03-03T10:00")
        assert streaks.streak_of(one, at("2026-03-03T12:00")).days == 3
        assert streaks.streak_of(one, at("2026-03-05T23:59")) == Streak(3, False)
        assert streaks.streak_of(one, at("2026-03-06T00:00")) == Streak(0, False)
        streaks.extend_streak(one, [at("2026-03-06T01:00")])
        assert streaks.streak_of(one, at("2026-03-06T02:00")) == Streak(1, True)

    def test_the_reminder_is_for_days_without_work(self) -> None:
        one = person("UTC", "2026-03-01T10:00")
        assert not streaks.streak_of(one, at("2026-03-01T20:00")).wants_today
        assert streaks.streak_of(one, at("2026-03-02T20:00")).wants_today
        assert not streaks.streak_of(one, at("2026-03-09T20:00")).wants_today, "there is nothing left to keep"


class TestZones:
    @pytest.mark.parametrize(
        ("zone", "days"),
        # 10:30 and 18:40 UTC: one day in London, two in Kiritimati (+14: 00:30 and 08:40 are one) and in Kolkata.
        [("Europe/London", 1), ("Asia/Kolkata", 2), ("Pacific/Kiritimati", 1), ("America/Anchorage", 1)],
    )
    def test_the_day_is_that_of_the_person(self, zone: str, days: int) -> None:
        one = person(zone, "2026-03-01T10:30", "2026-03-01T18:40")
        assert streaks.streak_of(one, at("2026-03-01T19:00")).days == days

    def test_where_the_clocks_change(self) -> None:
        one = person("Europe/Berlin", "2026-03-28T22:30", "2026-03-29T21:30", "2026-03-30T22:30")
        assert streaks.streak_of(one, at("2026-03-30T22:40")).days == 4


class TestOrder:
    def test_moments_may_come_again_and_in_any_order(self) -> None:
        moments = [f"2026-03-{day:02}T12:00" for day in (3, 1, 2, 2, 4)]
        one = person("UTC", *moments)
        assert streaks.streak_of(one, at("2026-03-04T13:00")) == Streak(4, True)

    def test_what_is_far_back_does_not_join(self) -> None:
        one = person("UTC", "2026-03-10T12:00", "2026-03-01T12:00")
        assert streaks.streak_of(one, at("2026-03-10T13:00")).days == 1

    @pytest.mark.django_db
    def test_work_that_is_read_late_joins_what_it_lies_between(self, alice: User) -> None:
        days = [at(f"2026-03-{day:02}T12:00") for day in (9, 5, 7)]  # the 5th is too far from the 9th by itself
        Happening.objects.bulk_create(Happening(kind="message_posted", actor=alice, at=day) for day in days)
        for day in days:
            streaks.record_work([(alice.pk, day)])
        alice.refresh_from_db()
        assert (alice.streak_days, alice.streak_started_at) == (5, days[1])

    @pytest.mark.django_db
    @pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu", "Pacific/Kiritimati", "CET"])
    def test_made_again_it_is_what_it_was(self, alice: User, bob: User, zone: str) -> None:
        dice = random.Random(zone)
        User.objects.filter(pk=alice.pk).update(time_zone=zone)
        User.objects.filter(pk=bob.pk).update(streak_days=9, streak_started_at=at("2026-01-01T00:00"))  # did nothing
        start = at("2026-03-15T00:00")  # clocks change in between
        for _ in range(20):
            moments = sorted(start + timedelta(hours=dice.randrange(0, 700)) for _ in range(dice.choice([1, 9, 40])))
            Happening.objects.all().delete()
            Happening.objects.bulk_create(
                Happening(kind="message_posted", actor=alice, at=moment) for moment in moments
            )
            User.objects.filter(pk=alice.pk).update(streak_days=None, streak_started_at=None, last_activity_at=None)
            streaks.record_work([(alice.pk, moment) for moment in moments])
            known = User.objects.values_list("streak_started_at", "last_activity_at", "streak_days")
            before = known.get(pk=alice.pk)
            streaks.recompute_streaks(User.objects.filter(pk__in=[alice.pk, bob.pk]))
            assert known.get(pk=alice.pk) == before
            assert known.get(pk=bob.pk) == (None, None, None)

    @pytest.mark.django_db
    def test_nobody_is_there(self) -> None:
        streaks.recompute_streaks(User.objects.none())
        streaks.recompute_streaks(User.objects.all())
        assert not User.objects.exists()

    @pytest.mark.django_db
    def test_the_cost_does_not_grow_with_people(self) -> None:
        def statements(people: int) -> int:
            for one in new_people(people):
                Happening.objects.create(kind="message_posted", actor=one)
            with CaptureQueriesContext(connection) as captured:
                streaks.recompute_streaks(User.objects.all())
            return len(captured)

        assert statements(2) == 3
        assert statements(20) == 3

    @pytest.mark.django_db(transaction=True)
    def test_made_again_beside_a_merge(self, alice: User, bob: User) -> None:
        """Recomputing waits for the merge, and reads its result."""
        Happening.objects.create(kind="message_posted", actor=alice, at=at("2026-03-05T12:00"))
        Happening.objects.create(kind="message_posted", actor=bob, at=at("2026-03-06T12:00"))

        def make_again() -> None:
            with transaction.atomic():
                streaks.recompute_streaks(User.objects.all())

        def is_waiting() -> bool:
            with connection.cursor() as cursor:
                cursor.execute("SELECT FROM pg_locks WHERE NOT granted")
                return cursor.rowcount > 0

        make_again()
        with ThreadPoolExecutor(1) as pool:
            with transaction.atomic():
                merge_users(destination_id=bob.pk, source_ids=[alice.pk])
                other = pool.submit(at_once, [make_again])
                wait_until(is_waiting, 20, lambda: "it does not wait")
            assert other.result() == [None]
        assert dict(User.objects.values_list("pk", "streak_days")) == {alice.pk: None, bob.pk: 2}

    @pytest.mark.django_db
    def test_work_carries_it_on(self, alice: User) -> None:
        new_prompt(alice)
        tallies.read_outbox()
        alice.refresh_from_db()
        assert alice.streak_days == 1
        assert alice.last_activity_at is not None and alice.last_activity_at - alice.created_at < timedelta(hours=1)


class TestBadges:
    def test_each_says_its_rule_and_can_be_had(self) -> None:
        everything = Counts(dict.fromkeys(COUNTERS, 1000)) - Counts({"reviews_disagreed": 1000})
        assert all(shown.earned for shown in badges_of(everything, Streak(30, True)))
        assert not any(shown.earned for shown in badges_of(Counts(), Streak(0, False)))
        assert all(badge.rule.endswith(".") for badge in BADGES)

    def test_a_keen_eye_is_right_nine_times_of_ten(self) -> None:
        def earned(agreed: int, disagreed: int) -> bool:
            counts = Counts({"reviews_agreed": agreed, "reviews_disagreed": disagreed})
            return next(one for one in badges_of(counts, Streak(0, False)) if one.badge.key == "eye").earned

        assert earned(45, 5)
        assert not earned(44, 6)
        assert not earned(49, 0)
