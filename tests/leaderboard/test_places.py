"""Boards are read by places that follow later: what that saves, and that nobody can tell."""

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from leaderboard import hot, queries, rebuild, schedules, tallies
from leaderboard.models import MEASURES, Moved, Place, Standing
from leaderboard.points import COUNTERS, score_of
from leaderboard.time_frames import Frame
from oasst.accounts.models import User
from tests.factories import decide, new_people, new_prompt, review
from tests.leaderboard.test_boards import stand
from tests.leaderboard.test_tallies import read_all
from trees.contributing.reviews import record_labels
from trees.lifecycle.policy import TreePolicy
from trees.moderation import moderator_actions

pytestmark = pytest.mark.django_db


def changed(table: str) -> tuple[int, int]:
    """Return how many rows of a table this transaction updated, and how many of them in place, without index
    changes.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_stat_get_xact_tuples_updated(%s::regclass), pg_stat_get_xact_tuples_hot_updated(%s::regclass)",
            [table, table],
        )
        updated, in_place = cursor.fetchone()
        return updated, in_place


def during(table: str, act: Callable[[], object]) -> tuple[int, int]:
    before = changed(table)
    act()
    after = changed(table)
    return after[0] - before[0], after[1] - before[1]


REWRITTEN = ["leaderboard_standing", "leaderboard_trollstanding", "leaderboard_moved"]


class TestCost:
    """Rows that one review writes."""

    @pytest.fixture
    def count_a_review(self, alice: User, bob: User) -> Callable[[], None]:
        def count() -> None:
            with transaction.atomic():
                labels = {"spam": 0, "toxicity": 0.5}
                record_labels(message=new_prompt(bob), author=alice, labels=labels, policy=TreePolicy())
            read_all()

        # Rows are updated in place if their page has room. In a reused database the last page may be full of rows that
        # earlier tests rolled back; truncated tables start with an empty page until the test ends.
        with connection.cursor() as cursor:
            cursor.execute(f"TRUNCATE {', '.join(REWRITTEN)}")
        count()
        hot.put_in_order()
        count()
        return count

    @pytest.mark.parametrize("table", REWRITTEN)
    def test_counted_rows_are_rewritten_in_place(self, count_a_review: Callable[[], None], table: str) -> None:
        updated, in_place = during(table, count_a_review)
        assert updated == in_place > 0

    def test_four_boards_in_two_languages_for_each_person(self, count_a_review: Callable[[], None]) -> None:
        assert during("leaderboard_standing", count_a_review)[0] == 2 * len(Frame) * 2

    def test_no_place_until_boards_are_put_in_order_and_then_one(self, count_a_review: Callable[[], None]) -> None:
        def ten() -> None:
            for _ in range(10):
                count_a_review()

        assert during("leaderboard_place", ten) == (0, 0)
        # One row for each of the two users, however much they did; equal scores are not written again.
        assert during("leaderboard_place", tallies.order_boards)[0] <= 2 * len(Frame) * 2
        assert during("leaderboard_place", tallies.order_boards) == (0, 0)

    def test_putting_in_order_is_one_statement_however_many_moved(self, alice: User) -> None:
        for number, person in enumerate(new_people(20)):
            stand(person, number)
        with CaptureQueriesContext(connection) as captured:
            assert hot.put_in_order() == 20
        assert len(captured) == 1

    def test_reading_is_planned_once_and_not_each_time(self, alice: User) -> None:
        for number, person in enumerate(new_people(30)):
            stand(person, 100 - number)
        stand(alice, 2)

        def plans() -> tuple[int, int]:
            """Return how many plans were made for given parameters, and how often a stored one was used."""
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT sum(custom_plans), sum(generic_plans) FROM pg_prepared_statements "
                    "WHERE statement LIKE '%leaderboard_place%'"
                )
                custom, generic = cursor.fetchone()
                return int(custom), int(generic)

        def read(times: int) -> None:
            for _ in range(times):
                assert queries.board(Frame.TOTAL, viewer=alice, size=3).around
                standpoints = [queries.BoardPosition(frame, 2, alice.pk) for frame in Frame]
                assert len(queries.ranks_of("", "points", standpoints)) == len(Frame)

        read(6)  # PostgreSQL plans the first five times
        before = plans()
        read(4)
        after = plans()
        assert after[0] == before[0]
        assert after[1] - before[1] == 4 * 4, "top, rank and window of a page, and the ranks of all frames"


def seen(measure: str, people: list[User]) -> list[Any]:
    """Return everything that boards show."""
    rows = queries.top(Frame.TOTAL, measure=measure)
    shown: list[Any] = [[(row.rank, row.person.pk, row.score, row.counts) for row in rows]]
    for person in people:
        person.refresh_from_db()
        board = queries.board(Frame.TOTAL, viewer=person, measure=measure, size=3)
        shown.append([(row.rank, row.person.pk, row.score) for row in [*board.rows, *board.around]])
        counts = queries.own_counts(person)[Frame.TOTAL]
        score = score_of(counts, measure)
        shown.append(queries.rank_of(Frame.TOTAL, "", measure, score, person.pk))
    return shown


class TestBoards:
    @pytest.mark.parametrize("measure", MEASURES)
    def test_they_are_the_same_whoever_has_moved(self, monkeypatch: pytest.MonkeyPatch, measure: str) -> None:
        monkeypatch.setattr(queries, "RUNG", 4)
        dice, people = random.Random(measure), new_people(24)
        kinds = ("replies_assistant", "labels_full", "rankings_total", "accepted_replies_assistant")

        def set_scores(some: list[User]) -> None:
            for person in some:
                row, _ = Standing.objects.update_or_create(
                    person=person, frame="total", lang="", defaults={kind: dice.randrange(4) for kind in kinds}
                )
                row.refresh_from_db()
                Moved.objects.filter(person=person).delete()
                Moved.objects.create(
                    person=person, frame="total", lang="", **{name: getattr(row, name) for name in MEASURES}
                )

        set_scores(people)
        hot.put_in_order()
        set_scores(people[::3])
        ended = people[3]
        Standing.objects.filter(person=ended).delete()
        Moved.objects.filter(person=ended).update(stands=False)
        User.objects.filter(pk__in=[people[5].pk, people[6].pk]).update(enabled=False)
        queries.cache.clear()
        before = seen(measure, people)
        assert before[0] == self.expected(measure)
        hot.put_in_order()
        assert not Moved.objects.exists()
        queries.cache.clear()
        assert seen(measure, people) == before
        assert not Place.objects.filter(person=ended).exists()

    def expected(self, measure: str) -> list[tuple[int, UUID, int, queries.Counts]]:
        rows = Standing.objects.filter(frame="total", lang="", person__enabled=True)
        ordered = sorted(rows, key=lambda row: (-getattr(row, measure), row.person_id))
        return [
            (rank, row.person_id, getattr(row, measure), queries.Counts({n: getattr(row, n) for n in COUNTERS}))
            for rank, row in enumerate(ordered, start=1)
        ]

    def test_work_is_seen_as_soon_as_it_is_counted(self, alice: User, bob: User) -> None:
        review(new_prompt(bob), alice)
        read_all()
        tallies.order_boards()
        for number in (2, 3):
            review(new_prompt(bob), alice)
            read_all()
            (row,) = queries.top(Frame.DAY, measure="reviewing")[:1]
            assert (row.person, row.score) == (alice, 2 * number)

    def test_what_came_to_nothing_leaves_the_board_at_once(self, alice: User, bob: User, mo: User) -> None:
        prompt = new_prompt(alice)
        read_all()
        tallies.order_boards()
        moderator_actions.delete_message(message_id=prompt.pk, actor=mo, reason="x", policy=TreePolicy())
        read_all()
        assert alice not in [row.person for row in queries.top(Frame.TOTAL)]
        tallies.order_boards()
        assert not Place.objects.filter(person=alice).exists()
        assert list(rebuild.differences()) == []

    def test_who_is_gone_for_good_leaves_nothing(self, alice: User) -> None:
        stand(alice, 3)
        hot.put_in_order()
        stand_again = Standing.objects.get(person=alice)
        Moved.objects.create(
            person=alice, frame="total", lang="", **{name: getattr(stand_again, name) for name in MEASURES}
        )
        alice.delete()
        assert not Place.objects.exists() and not Moved.objects.exists()


class TestOrder:
    def test_the_clock_puts_boards_in_order(self, alice: User) -> None:
        new_prompt(alice)
        read_all()
        assert Moved.objects.exists() and not Place.objects.exists()
        schedules.put_boards_in_order()
        assert not Moved.objects.exists()
        assert Place.objects.count() == Standing.objects.count() == 8

    def test_the_reader_does_when_too_many_moved(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tallies, "MAX_MOVED", 2)
        people = new_people(3)
        for person in people[:2]:
            new_prompt(person)
        read_all()
        assert not Place.objects.exists()
        new_prompt(people[2])
        read_all()
        assert not Moved.objects.exists()
        assert Place.objects.filter(frame="total", lang="").count() == 3

    def test_and_so_does_the_moving_on_of_time(self, alice: User) -> None:
        decide(new_prompt(alice))
        read_all()
        tallies.advance_frames(timezone.now() + timedelta(days=2))
        assert not Moved.objects.exists()
        assert {place.frame for place in Place.objects.all()} == {"week", "month", "total"}
        assert list(rebuild.differences()) == []

    def test_a_day_later_places_are_right_whatever_happened(self, alice: User, bob: User, mo: User) -> None:
        """For example, an older release without places counted while this one was rolled out."""
        new_prompt(alice)
        read_all()
        tallies.order_boards()
        Standing.objects.filter(person=alice, frame="total").update(replies_assistant=7)
        Place.objects.create(person=bob, frame="total", lang="", **dict.fromkeys(MEASURES, 8))
        tallies.advance_frames(timezone.now() + timedelta(days=1))
        assert not Place.objects.filter(person=bob).exists()
        assert [row.score for row in queries.top(Frame.TOTAL)] == [28]

    def test_nor_does_an_old_note_of_a_move_stay(self, alice: User) -> None:
        """The older release counted after this one had stored her scores as moved."""
        new_prompt(alice)
        read_all()
        assert Moved.objects.filter(person=alice, frame="total").exists()
        Standing.objects.filter(person=alice, frame="total").update(replies_assistant=7)
        tallies.advance_frames(timezone.now() + timedelta(days=1))
        assert [row.score for row in queries.top(Frame.TOTAL)] == [28]

    def test_a_crash_in_the_middle_leaves_all_as_it_was(self, alice: User) -> None:
        new_prompt(alice)
        read_all()
        before = seen("quality", [alice])
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            hot.put_in_order()
            raise ZeroDivisionError
        assert Moved.objects.exists() and not Place.objects.exists()
        assert seen("quality", [alice]) == before
        assert list(rebuild.differences()) == []


@pytest.mark.django_db(transaction=True)
def test_a_site_that_has_scores_is_migrated_and_back(alice: User, bob: User) -> None:
    review(new_prompt(bob), alice)
    read_all()

    def indexes() -> set[str]:
        with connection.cursor() as cursor:
            return set(connection.introspection.get_constraints(cursor, "leaderboard_standing"))

    try:
        MigrationExecutor(connection).migrate([("leaderboard", "0001_boards")])
        assert "standing_by_points" in indexes()
    finally:
        executor = MigrationExecutor(connection)  # also what other apps build on it
        executor.migrate(executor.loader.graph.leaf_nodes())
    assert not {name for name in indexes() if name.startswith("standing_by")}
    assert Place.objects.count() == Standing.objects.count() > 8
    assert list(rebuild.differences()) == []
    assert [row.person for row in queries.top(Frame.TOTAL)][:1] == [alice]


class TestDifferences:
    @pytest.mark.parametrize("model", [Place, Moved])
    def test_a_wrong_place_is_found_and_made_right(self, alice: User, bob: User, model: type[Place | Moved]) -> None:
        review(new_prompt(bob), alice)
        read_all()
        if model is Place:
            tallies.order_boards()
        assert list(rebuild.differences()) == []
        model.objects.filter(person=alice).update(reviewing=99)
        assert list(rebuild.differences())
        rebuild.rebuild()
        assert list(rebuild.differences()) == []
        model.objects.filter(person=alice).delete()
        assert bool(list(rebuild.differences())) is (model is Place), "who did not move is where their place says"
