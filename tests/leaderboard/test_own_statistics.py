"""A person's own figures by time frame: the twelve of them, their place, and what they cost."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from leaderboard import own_statistics, queries
from leaderboard.models import Standing
from leaderboard.time_frames import Frame
from oasst.accounts.models import User
from tests.factories import new_people, new_prompt, review
from tests.leaderboard.test_boards import stand

pytestmark = pytest.mark.django_db


def table(person: User) -> dict[str, list[int | None]]:
    found = own_statistics.table_of(person, queries.own_counts(person))
    return {str(row.label) + " (part)" * row.is_part: row.numbers for row in found.rows}


def test_twelve_figures_in_four_frames(client: Client, alice: User) -> None:
    counts = {"replies_assistant": 5, "accepted_replies_assistant": 4, "reply_ranked_1": 1, "rankings_total": 3}
    Standing.objects.create(person=alice, frame=Frame.WEEK, lang="", replies_assistant=2, rankings_total=3)
    Standing.objects.create(person=alice, frame=Frame.TOTAL, lang="", **counts)
    found = own_statistics.table_of(alice, queries.own_counts(alice))
    assert len(found.rows) == 12 and len(found.frames) == 4
    figures = table(alice)
    assert figures["Answers as the assistant"] == [0, 2, 0, 5]
    assert figures["Points"] == [0, 11, 0, 48]
    client.force_login(alice)
    with CaptureQueriesContext(connection) as captured:
        page = client.get("/me/statistics/").text
    assert "My statistics" in page and "Times ranked first" in page
    assert len(captured) <= 12, "also without a ladder"


def test_somebody_new_gets_a_sentence_and_no_zeros(client: Client, alice: User) -> None:
    client.force_login(alice)
    page = client.get("/me/statistics/").text
    assert "Nothing to count yet" in page and "Times ranked first" not in page


def test_what_was_done_a_moment_ago_counts_everywhere(alice: User, bob: User) -> None:
    review(new_prompt(bob), alice)
    assert table(alice)["Full reviews"] == [1, 1, 1, 1]


def test_the_place_on_the_board(alice: User, bob: User) -> None:
    stand(alice, 1)
    stand(bob, 2)
    assert table(alice)["Place on the board"] == [None, None, None, 2]
    alice.show_on_leaderboard = False
    assert table(alice)["Place on the board"] == [None] * 4


def test_the_cost_does_not_grow(alice: User) -> None:
    def statements() -> int:
        with CaptureQueriesContext(connection) as captured:
            own_statistics.table_of(alice, queries.own_counts(alice))
        return len(captured)

    for frame in Frame:
        stand(alice, 1, frame)
    statements()
    few = statements()
    for person in new_people(10):
        for frame in Frame:
            stand(person, 3, frame)
    assert statements() == few == 2
