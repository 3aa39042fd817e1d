"""Boards: ranks, hidden users, the viewer's own row, and costs."""

import time

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from leaderboard import queries
from leaderboard.levels import THRESHOLDS, level_of
from leaderboard.models import MEASURES, Moved, Standing
from leaderboard.points import COUNTERS, KINDS, score_of
from leaderboard.time_frames import Frame
from oasst.accounts.models import User
from tests.factories import new_people, new_person, new_prompt, review
from tests.leaderboard.test_tallies import read_all

pytestmark = pytest.mark.django_db


def stand(person: User, answers: int, frame: Frame = Frame.TOTAL, lang: str = "") -> User:
    """Give the user a board entry with this many answers, on a board that is not in order yet."""
    row = Standing.objects.create(person=person, frame=frame.value, lang=lang, replies_assistant=answers)
    Moved.objects.create(person=person, frame=row.frame, lang=lang, **{name: getattr(row, name) for name in MEASURES})
    return person


def names(board: queries.Board) -> list[str]:
    return [row.person.display_name for row in board.rows]


class TestOrder:
    def test_most_points_first_and_ties_by_who_came_first(self, eve: User) -> None:
        first, second, third = (new_person(name) for name in ("First", "Second", "Third"))
        stand(third, 9)
        stand(second, 5)
        stand(first, 5)
        board = queries.board(Frame.TOTAL, viewer=eve)
        assert names(board) == ["Third", "First", "Second"]
        assert [(row.rank, row.score) for row in board.rows] == [(1, 36), (2, 20), (3, 20)]

    def test_pages_follow_each_other(self, eve: User) -> None:
        for number, person in enumerate(new_people(5)):
            stand(person, 10 - number)
        first = queries.board(Frame.TOTAL, viewer=eve, size=3)
        second = queries.board(Frame.TOTAL, viewer=eve, start=3, size=3)
        assert (len(first.rows), first.more, len(second.rows), second.more) == (3, True, 2, False)
        assert [row.rank for row in second.rows] == [4, 5]

    def test_the_columns_of_the_database_are_the_formula(self, alice: User) -> None:
        numbers = {name: 7 + place for place, name in enumerate(COUNTERS)}
        row = Standing.objects.create(person=alice, frame="day", lang="", **numbers)
        row.refresh_from_db()
        counts = queries.Counts(numbers)
        assert {name: getattr(row, name) for name in MEASURES} == {name: score_of(counts, name) for name in MEASURES}
        assert {kind.activity for kind in KINDS.values()} - {""} <= set(MEASURES)


class TestWhoIsShown:
    @pytest.mark.parametrize("how", [{"enabled": False}, {"show_on_leaderboard": False}])
    def test_banned_and_hidden_people_are_not_and_leave_no_gap(self, eve: User, how: dict[str, bool]) -> None:
        one, hidden, two = new_people(3)
        for number, person in enumerate((one, hidden, two)):
            stand(person, 9 - number)
        User.objects.filter(pk=hidden.pk).update(**how)
        board = queries.board(Frame.TOTAL, viewer=eve)
        assert [(row.person, row.rank) for row in board.rows] == [(one, 1), (two, 2)]
        stand(eve, 1)
        assert queries.rank_of(Frame.TOTAL, "", "points", 4, eve.pk) == 3
        User.objects.filter(pk=hidden.pk).update(enabled=True, show_on_leaderboard=True)
        assert len(queries.board(Frame.TOTAL, viewer=eve).rows) == 4

    def test_who_is_hidden_sees_no_row_of_their_own(self, eve: User) -> None:
        stand(eve, 3)
        User.objects.filter(pk=eve.pk).update(show_on_leaderboard=False)
        eve.refresh_from_db()
        board = queries.board(Frame.TOTAL, viewer=eve)
        assert (board.rows, board.mine, board.around) == ([], None, [])


class TestMyself:
    def test_my_row_is_marked(self, alice: User) -> None:
        stand(alice, 2)
        board = queries.board(Frame.TOTAL, viewer=alice)
        assert board.rows[0].is_me and board.mine and board.mine.rank == 1
        assert board.around == []

    def test_further_down_i_see_the_window_around_me(self, alice: User) -> None:
        people = new_people(8)
        for number, person in enumerate(people):
            stand(person, 20 - number)
        stand(alice, 16)  # equal to the fifth; the older account comes first
        board = queries.board(Frame.TOTAL, viewer=alice, size=3)
        assert board.mine and board.mine.rank == 5
        assert [(row.rank, row.person) for row in board.around] == [
            (4, people[3]),
            (5, alice),
            (6, people[4]),
            (7, people[5]),
        ]

    def test_what_i_have_just_done_counts_before_it_was_read(self, alice: User, bob: User) -> None:
        prompt = new_prompt(bob)
        review(prompt, alice)
        assert not Standing.objects.exists()
        board = queries.board(Frame.DAY, viewer=alice)
        assert board.mine and (board.mine.score, board.mine.rank, board.mine.counts["labels_full"]) == (2, 1, 1)
        assert board.mine.counts["provisional"] == 2
        read_all()
        again = queries.board(Frame.DAY, viewer=alice)
        assert again.mine and again.mine.score == 2 and again.rows[0].is_me

    def test_the_unread_is_only_added_to_its_language(self, alice: User) -> None:
        new_prompt(alice, lang="de")
        assert [queries.own_counts(alice, lang=lang)[Frame.DAY]["prompts"] for lang in ("", "de", "en")] == [1, 1, 0]


class TestLadder:
    """Lower ranks are counted from the nearest rung above."""

    @pytest.mark.parametrize("tied", [False, True])
    def test_it_gives_the_same_ranks(self, monkeypatch: pytest.MonkeyPatch, eve: User, tied: bool) -> None:
        people = new_people(23)
        for number, person in enumerate(people):
            stand(person, 3 if tied else 100 - number // 2)
        User.objects.filter(pk=people[4].pk).update(enabled=False)
        shown = [person for person in people if person != people[4]]
        monkeypatch.setattr(queries, "RUNG", 4)
        assert len(queries._read_ladder(Frame.TOTAL, "", "points")) == 5 * queries._RUNG_LENGTH
        scores = dict(Standing.objects.values_list("person_id", "points"))
        ranks = [queries.rank_of(Frame.TOTAL, "", "points", scores[one.pk], one.pk) for one in shown]
        assert ranks == list(range(1, 23))
        assert queries.rank_of(Frame.TOTAL, "", "points", 1, eve.pk) == 23

    def test_without_redis_ranks_are_right(self, monkeypatch: pytest.MonkeyPatch, alice: User, bob: User) -> None:
        stand(alice, 1)
        stand(bob, 2)
        monkeypatch.setattr(queries.cache, "get_many", lambda keys: {})
        assert queries.rank_of(Frame.TOTAL, "", "points", 4, alice.pk) == 2

    def test_the_ladder_of_an_older_release_is_not_climbed(self, alice: User, bob: User) -> None:
        """It was a list under another key, which a process of that release may still write while this one starts."""
        stand(alice, 1)
        stand(bob, 2)
        queries.cache.set("rungs:total::points", (time.time(), [[100, 7, str(bob.pk)]] * queries._RUNG_LENGTH), 600)
        assert queries.rank_of(Frame.TOTAL, "", "points", 4, alice.pk) == 2


class TestCost:
    def test_a_board_takes_four_statements_whatever_its_length(self, alice: User) -> None:
        def statements() -> int:
            with CaptureQueriesContext(connection) as captured:
                assert queries.board(Frame.TOTAL, viewer=alice, size=3).around
            return len(captured)

        for number, person in enumerate(new_people(5)):
            stand(person, 20 - number)
        stand(alice, 2)
        assert statements() <= 5, "the ladder is made once a minute"
        few = statements()
        for number, person in enumerate(new_people(30)):
            stand(person, 100 - number)
        assert statements() == few == 4


class TestLevels:
    def test_thresholds_of_the_reference(self) -> None:
        assert THRESHOLDS[:12] == (0, 4, 9, 16, 24, 32, 42, 53, 65, 79, 93, 109)
        assert (THRESHOLDS[19], THRESHOLDS[49], THRESHOLDS[-3:]) == (276, 1558, (5767, 5883, 6000))

    @pytest.mark.parametrize(
        ("points", "number", "missing", "percent"),
        [(0, 1, 4, 0), (3, 1, 1, 75), (4, 2, 5, 0), (5999, 99, 1, 99), (6000, 100, 0, 100), (9999, 100, 0, 100)],
    )
    def test_level(self, points: int, number: int, missing: int, percent: int) -> None:
        level = level_of(points)
        assert (level.number, level.missing, level.percent) == (number, missing, percent)


def test_strangers_are_shown_the_door(client: Client) -> None:
    answer = client.get("/leaderboard/")
    assert answer.status_code == 302
    assert answer["Location"].startswith("/accounts/login/")
