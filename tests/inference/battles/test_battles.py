"""A person compares two answers without knowing whose they are, decides once, and goes on with the better one."""

import random
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from inference.battles import battles, contestants
from inference.battles.contestants import Contestant, Kind, draw, kinds_for
from inference.chats import asking, listing
from inference.chats.access import get_chat_for, get_message_for, get_turn_for
from inference.models import Battle, BattleBoard, Chat, ChatMessage, Turn
from inference.policy import ChatPolicy
from inference.registry import offer
from oasst.accounts.models import User
from oasst.core.errors import Busy, Conflict, Invalid, NotAllowed, NotFound
from oasst.site.own_data.contents import PARTS
from tests.concurrency.together import at_once
from tests.inference.battles.making import ANSWERS, answer, answered, begun
from tests.inference.talking import POLICY
from trees import donations
from trees.policies.reading import current_policy

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _chat(settings: Any) -> Iterator[None]:
    settings.OASST_CHAT_MODEL, settings.RATE_LIMITS = "secret/tiny", False
    offer.forget()
    yield
    offer.forget()


def signed_in(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


def decide(battle: Battle, outcome: str = "right", **more: Any) -> Battle:
    return battles.decide(user=battle.user, battle_id=battle.pk, outcome=outcome, **more)


class TestBegin:
    def test_both_are_asked_the_same(self, alice: User) -> None:
        battle = begun(alice, "Why do cats purr when they are content? ")
        turns = Turn.objects.filter(message__in=(battle.left_id, battle.right_id))
        assert {turn.state for turn in turns} == {"pending"}
        assert {turn.model for turn in turns} == {"secret/tiny"}
        (question,) = ChatMessage.objects.filter(chat=battle.chat_id, role="prompter")
        assert question.content == "Why do cats purr when they are content?"
        assert battle.lang == "en" and battle.chat.blind and not battle.is_of_drafts
        assert (battle.left_model, battle.right_model) == ("secret/tiny", "secret/tiny")

    def test_drafts_of_one_model(self, alice: User) -> None:
        battle = begun(alice, kind="drafts")
        seeds = {turn.sampling["seed"] for turn in Turn.objects.filter(message__chat=battle.chat_id)}
        assert battle.is_of_drafts and len(seeds) == 2

    def test_refused_together_and_nothing_is_stored(self, alice: User, people: Any, settings: Any) -> None:
        with pytest.raises(Busy):
            battles.begin(user=alice, text="Why?", kind="presets", policy=ChatPolicy(queue_limit=1))
        for text, kind, error in (("", "presets", Invalid), ("Why?", "planets", Invalid), ("Why?", "models", Invalid)):
            with pytest.raises(error):
                begun(alice, text, kind)
        banned = people("Ned")
        User.objects.filter(pk=banned.pk).update(enabled=False)
        with pytest.raises(NotAllowed):
            begun(User.objects.get(pk=banned.pk))
        settings.OASST_CHAT_MODEL = "none"
        with pytest.raises(Conflict, match="switched off"):
            begun(alice)
        assert not Chat.objects.exists() and not Battle.objects.exists() and not Turn.objects.exists()

    def test_some_wait_for_a_decision_and_no_more(self, alice: User) -> None:
        for _ in range(battles.MOST_OPEN):
            last = begun(alice)
        with pytest.raises(Conflict) as error:
            begun(alice)
        assert error.value.code == "too_many_battles"
        battles.give_up(user=alice, battle_id=last.pk)
        begun(alice)


class TestDecide:
    def test_the_chat_goes_on_with_the_better_answer(self, alice: User) -> None:
        battle = answered(alice)
        stored = decide(battle, "right", why=["clear", "correct"], comment="  It is  short. ")
        stored.refresh_from_db()
        assert (stored.outcome, stored.why, stored.comment) == ("right", ["correct", "clear"], "It is short.")
        chat = get_chat_for(alice, battle.chat_id)
        assert chat.active_tail_id == battle.right_id and chat.model == "secret/tiny"
        turn = asking.start_turn(
            user=alice, chat_id=chat.pk, text="And why else?", policy=POLICY, parent_id=battle.right_id
        )
        assert turn.model == "secret/tiny"

    def test_once(self, alice: User) -> None:
        battle = answered(alice)
        assert decide(battle, "both").outcome == decide(battle, "both").outcome == "both"
        with pytest.raises(Conflict) as error:
            decide(battle, "left")
        assert error.value.code == "already_decided"
        with pytest.raises(Conflict):
            battles.give_up(user=alice, battle_id=battle.pk)

    def test_what_is_refused(self, alice: User, bob: User) -> None:
        battle = begun(alice)
        with pytest.raises(Conflict) as error:
            decide(battle)
        assert error.value.code == "not_answered"
        answer(battle)
        for more in ({"outcome": "first"}, {"why": ["loud"]}, {"comment": "word " * 200}):
            with pytest.raises(Invalid):
                decide(battle, **more)
        with pytest.raises(NotFound):
            battles.decide(user=bob, battle_id=battle.pk, outcome="left")
        with pytest.raises(NotFound):
            battles.give_up(user=bob, battle_id=battle.pk)
        assert not Battle.objects.get(pk=battle.pk).outcome

    def test_given_up_it_is_gone(self, alice: User) -> None:
        battle = begun(alice)
        battles.give_up(user=alice, battle_id=battle.pk)
        assert not Battle.objects.exists()
        assert Chat.objects.get(pk=battle.chat_id).deleted_at is not None
        assert {turn.state for turn in Turn.objects.all()} == {"stopped"}
        with pytest.raises(NotFound):
            battles.give_up(user=alice, battle_id=battle.pk)


@pytest.mark.django_db(transaction=True)
def test_eight_begin_at_once(alice: User) -> None:
    results = at_once([partial(begun, alice, f"Why is number {number} even?") for number in range(8)])
    refused = [one.code for one in results if isinstance(one, Conflict)]
    assert refused == ["too_many_battles"] * 3 and Battle.objects.count() == battles.MOST_OPEN
    assert Turn.objects.count() == 2 * battles.MOST_OPEN


@pytest.mark.django_db(transaction=True)
def test_eight_decide_at_once(alice: User) -> None:
    battle = answered(alice)

    def act(number: int) -> str:
        try:
            return decide(battle, ("left", "right")[number % 2]).outcome
        except Conflict as error:
            return error.code

    results = Counter(at_once([partial(act, number) for number in range(8)]))
    stored = Battle.objects.get(pk=battle.pk).outcome
    assert results == {stored: 4, "already_decided": 4}


class TestBlind:
    def test_nothing_else_shows_it_before_the_decision(self, alice: User) -> None:
        battle = answered(alice)
        for find in (get_chat_for, get_message_for, get_turn_for):
            with pytest.raises(NotFound):
                find(alice, battle.chat_id if find is get_chat_for else battle.left_id)
        for filters in (
            listing.ChatFilter(),
            listing.ChatFilter(model="secret/tiny"),
            listing.ChatFilter(search="purr"),
        ):
            assert not listing.filter_chats(alice, filters).exists()
        about: dict[str, Any] = {"upto": None, "alone": False, "lang": "en", "policy": current_policy()}
        with pytest.raises(NotFound):
            donations.get_offer_for(alice, battle.chat_id, **about)
        for part in PARTS:
            if part.name in ("chats", "chat_messages", "battles"):
                assert "secret" not in str(list(part.rows(alice).values(*part.columns))), part.name
        client = signed_in(alice)
        for address in (
            reverse("battle", args=[battle.pk]),
            reverse("battles"),
            reverse("chats"),
            reverse("chat_list"),
        ):
            page = client.get(address).content.decode()
            shown = page.split("<main", 1)[1].split("chat-panel")[0].split("composer")[0]
            assert "tiny" not in shown, address
        decide(battle)
        assert "secret/tiny" in client.get(reverse("battle", args=[battle.pk])).content.decode()
        assert client.get(reverse("chat", args=[battle.chat_id])).status_code == 200

    def test_a_new_chat_takes_over_nothing(self, alice: User) -> None:
        answered(alice)
        assert asking.start_chat(user=alice, text="Hello?", policy=POLICY).message.chat.model == ""


class TestContestants:
    def test_what_can_be_compared(self, alice: User, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        assert kinds_for(alice) == [Kind.PRESETS, Kind.DRAFTS]
        monkeypatch.setattr(contestants, "models_for", lambda user: ["one", "two"])
        assert kinds_for(alice) == [Kind.MODELS, Kind.PRESETS, Kind.DRAFTS]
        monkeypatch.setattr(contestants, "models_for", lambda user: [])
        assert kinds_for(alice) == []

    def test_uncertain_pairs_are_drawn_more_often_and_sides_are_chance(
        self, alice: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """`new` met nobody; `one` and `two` met four hundred times and are far apart."""
        monkeypatch.setattr(contestants, "models_for", lambda user: ["new", "one", "two"])
        row = {"preset": "k50", "low": 0, "high": 0, "won": 0.5, "battles": 400}
        standing = [
            {**row, "model": "one", "points": 200.0, "against": {"two\nk50": 400}},
            {**row, "model": "two", "points": -200.0, "against": {"one\nk50": 400}},
        ]
        BattleBoard.objects.create(lang="", battles=400, people=9, standing=standing)
        chance = random.Random(7)
        drawn = [draw(alice, Kind.MODELS, chance) for _ in range(400)]
        met = Counter(frozenset((one.left.model, one.right.model)) for one in drawn)
        assert met[frozenset(("one", "two"))] < 10
        assert min(met[frozenset(("new", other))] for other in ("one", "two")) > 100
        assert 150 < sum(one.left.model == "new" for one in drawn) < 250
        assert 5 < sum(bool(one.noise) for one in drawn) < 45

    def test_noise_is_one_side(self) -> None:
        pairing = contestants.Pairing(Contestant("one"), Contestant("two"), noise="right")
        assert [chosen["temperature"] for _, chosen in pairing.sides()] == [0.75, 2.0]


class TestPages:
    def test_from_the_question_to_the_names(self, alice: User) -> None:
        client = signed_in(alice)
        page = client.get(reverse("battles")).content.decode()
        assert "two settings of one model" in page
        response = client.post(reverse("battle_begin"), {"text": "What is a cat?", "kind": "presets"})
        (battle,) = Battle.objects.all()
        address = reverse("battle", args=[battle.pk])
        assert response.url == address
        page = client.get(address).content.decode()
        assert 'http-equiv="refresh"' in page and "data-refresh=" in page and 'name="outcome"' not in page
        answer(battle)
        page = client.get(address).content.decode()
        assert all(text in page for text in ANSWERS) and page.count('name="outcome"') == 4
        assert "http-equiv" not in page and "data-refresh-over" in page
        response = client.post(reverse("battle_decide", args=[battle.pk]), {"outcome": "left", "why": "clear"})
        assert response.url == address
        page = client.get(address).content.decode()
        assert "secret/tiny" in page and "the left answer is better" in page and "clearer" in page

    def test_what_is_refused_is_said_and_the_text_is_kept(self, alice: User) -> None:
        client = signed_in(alice)
        response = client.post(reverse("battle_begin"), {"text": "What is a cat?", "kind": "planets"})
        assert response.status_code == 400 and "What is a cat?" in response.content.decode()
        battle = answered(alice)
        response = client.post(reverse("battle_decide", args=[battle.pk]), {"outcome": "left", "comment": "no " * 400})
        assert response.status_code == 400 and "no no no" in response.content.decode()
        decide(battle, "left")
        response = client.post(reverse("battle_decide", args=[battle.pk]), {"outcome": "right"})
        assert response.status_code == 409

    def test_a_stranger_finds_nothing(self, alice: User, bob: User) -> None:
        battle = answered(alice)
        client = signed_in(bob)
        assert client.get(reverse("battle", args=[battle.pk])).status_code == 404
        assert client.post(reverse("battle_decide", args=[battle.pk]), {"outcome": "left"}).status_code == 404
        assert client.post(reverse("battle_give_up", args=[battle.pk])).status_code == 404

    def test_without_chat(self, alice: User, settings: Any) -> None:
        settings.OASST_CHAT_MODEL = "none"
        assert "The assistant is off" in signed_in(alice).get(reverse("battles")).content.decode()
        assert signed_in(alice).get(reverse("battle_board")).status_code == 200

    def test_an_answer_that_failed_cannot_be_compared(self, alice: User) -> None:
        battle = answered(alice)
        Turn.objects.filter(pk=battle.left_id).update(state="failed")
        page = signed_in(alice).get(reverse("battle", args=[battle.pk])).content.decode()
        assert "could not be finished" in page and 'name="outcome"' not in page and "Give up" in page

    def test_statements_do_not_grow(self, alice: User) -> None:
        battle, client = answered(alice), signed_in(alice)

        def cost(address: str) -> int:
            with CaptureQueriesContext(connection) as asked:
                client.get(address)
            return len(asked)

        addresses = [reverse("battles"), reverse("battle", args=[battle.pk]), reverse("battle_board")]
        few = [cost(address) for address in addresses] and [cost(address) for address in addresses]
        for _ in range(4):
            begun(alice)
        assert [cost(address) for address in addresses] == few and max(few) <= 12
