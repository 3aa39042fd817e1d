"""What boards say of models, and what people cannot make them say."""

import random
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from inference.battles import rating
from inference.battles.rating import rate
from inference.comparing.bradley_terry import ELO
from inference.models import Battle, BattleBoard
from oasst.accounts.models import User
from tests.factories import new_people, new_person
from tests.inference.battles.making import decided

pytestmark = pytest.mark.django_db
MODELS = ("strong", "middle", "weak")
STRENGTH = {"strong": 2.0, "middle": 0.0, "weak": -2.0}


def compare(people: list[User], number: int, chance: random.Random) -> None:
    """People compare by the strengths above."""
    for index in range(number):
        left, right = chance.sample(MODELS, 2)
        wins = chance.random() < 1 / (1 + 2.718 ** (STRENGTH[right] - STRENGTH[left]))
        decided(people[index % len(people)], left, right, "left" if wins else "right")


def points(lang: str = "") -> dict[str, float]:
    return {row["model"]: row["points"] for row in BattleBoard.objects.get(lang=lang).standing}


def test_a_known_order_is_found() -> None:
    compare(new_people(20), 240, random.Random(3))
    assert rate() == 2
    board = BattleBoard.objects.get(lang="en")
    assert [row["model"] for row in board.standing] == list(MODELS)
    assert (board.battles, board.people) == (240, 20)
    for row in board.standing:
        assert row["low"] <= row["points"] <= row["high"]
        # True strengths are 2, 0 and -2 in natural logarithms; people here say little about each pair.
        assert row["low"] - 150 < STRENGTH[row["model"]] * ELO < row["high"] + 150
    assert sum(row["battles"] for row in board.standing) == 2 * 240


def test_ties_are_half(alice: User) -> None:
    decided(alice, "one", "two", "both")
    decided(new_person("Dora"), "two", "one", "neither")
    rate()
    assert points() == {"one": 0.0, "two": 0.0}
    assert {row["won"] for row in BattleBoard.objects.get(lang="").standing} == {0.5}


def test_all_that_one_person_says_about_a_pair_is_one_vote(alice: User) -> None:
    for person in new_people(3):
        decided(person, "one", "two", "left")
    rate()
    before = points()
    for _ in range(30):
        decided(alice, "two", "one", "left")
    rate()
    assert points()["one"] > points()["two"], "thirty votes of one person outweigh three people"
    assert before["one"] > points()["one"]


def test_who_prefers_noise_is_not_counted(alice: User) -> None:
    for person in new_people(3):
        decided(person, "one", "two", "left")
    rate()
    before = points()
    decided(alice, "two", "one", "left")
    for _ in range(rating.LEAST_CHECKS):
        decided(alice, "one", "two", "left", noise="left")
    rate()
    assert points() == before
    assert BattleBoard.objects.get(lang="").people == 3


def test_length_is_taken_out() -> None:
    """People prefer what is longer, whoever wrote it. `wordy` is longer more often."""
    chance = random.Random(5)
    people = new_people(10)
    for index in range(200):
        wordy_is_long = chance.random() < 0.8
        texts = ("word " * 200, "word " * 20) if wordy_is_long else ("word " * 20, "word " * 200)
        longer_wins = chance.random() < 0.9
        outcome = "left" if wordy_is_long == longer_wins else "right"
        decided(people[index % 10], "wordy", "brief", outcome, texts=texts)
    rate()
    board = BattleBoard.objects.get(lang="")
    won = {row["model"]: row["won"] for row in board.standing}
    assert won["wordy"] > 0.65
    assert abs(points()["wordy"] - points()["brief"]) < 120
    assert board.styles["length"] > 100 and board.styles["bold"] == 0


def test_what_does_not_count(alice: User, bob: User) -> None:
    decided(alice, "one", "one", "left")
    decided(alice, "one", "two", "left", noise="left")
    decided(bob, "one", "two", "left")
    bob.is_active = False
    bob.save()
    assert rate() == 0 and not BattleBoard.objects.exists()


def test_a_language_has_a_board_when_there_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rating, "LEAST_BATTLES", 2)
    for person, lang in zip(new_people(3), ("de", "de", "fr"), strict=True):
        decided(person, "one", "two", "left", lang=lang)
    rate()
    assert set(BattleBoard.objects.values_list("lang", flat=True)) == {"", "de"}
    Battle.objects.filter(lang="de").delete()
    rate()
    assert set(BattleBoard.objects.values_list("lang", flat=True)) == {""}


def test_ten_times_the_battles_cost_no_more_statements(alice: User) -> None:
    def cost() -> int:
        with CaptureQueriesContext(connection) as asked:
            rate()
        return len(asked)

    decided(alice, "one", "two", "left")
    decided(alice, "one", "two", "left", noise="right")
    few = cost()
    for person in new_people(10):
        decided(person, "one", "two", "right")
        decided(person, "one", "two", "left", noise="right")
    assert cost() == few <= 8


def test_the_page(alice: User) -> None:
    client = Client()
    client.force_login(alice)
    assert "Nothing to show yet" in client.get(reverse("battle_board")).content.decode()
    compare(new_people(5), 40, random.Random(3))
    rate()
    page: Any = client.get(reverse("battle_board")).content.decode()
    assert [page.index(f"<bdi>{model}") for model in MODELS] == sorted(page.index(f"<bdi>{model}") for model in MODELS)
    assert "40 comparisons" in page and "by 5 people" in page
    assert client.get(reverse("battle_board"), {"lang": "en"}).status_code == 200
    assert "Nothing to show yet" in client.get(reverse("battle_board"), {"lang": "de"}).content.decode()
