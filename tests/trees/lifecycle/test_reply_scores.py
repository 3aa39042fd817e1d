"""Scores of replies beside their ranks: evidence, read from the rankings."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse

from oasst.accounts.models import User
from tests.factories import growing_tree, new_person, work_until_state
from trees.contributing import reviews
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.reply_scores import scores_of_replies
from trees.lifecycle.states import State
from trees.models import Message

pytestmark = pytest.mark.django_db
POLICY = TreePolicy(
    num_reviews_initial_prompt=1, num_reviews_reply=1, goal_tree_size=4, max_children_count=3, num_required_rankings=5
)


@pytest.fixture
def prompt(alice: User) -> Message:
    """A prompt with three accepted replies, to be ranked."""
    prompt = growing_tree(alice, POLICY)
    work_until_state(prompt.pk, State.RANKING, POLICY)
    return prompt


def replies_to(prompt: Message) -> list[Message]:
    return list(prompt.children.order_by("position"))


def rank_as(prompt: Message, order: str, **more: Any) -> None:
    """Let someone new rank the replies, which are named a, b, c by their position."""
    ids = [replies_to(prompt)["abc".index(name)].pk for name in order]
    with transaction.atomic():
        reviews.record_ranking(parent=prompt, author=new_person("Ranker"), ordered_ids=ids, policy=POLICY, **more)


class TestScores:
    def test_beside_the_rank(self, prompt: Message) -> None:
        for order in ("abc", "abc", "bac"):
            rank_as(prompt, order)
        (found,) = scores_of_replies([prompt.pk])
        assert found.people == 3 and found.called_all_wrong == 0
        a, b, c = (next(one for one in found.replies if one.message == reply) for reply in replies_to(prompt))
        assert a.score and b.score and c.score
        assert a.score.value > b.score.value > c.score.value
        assert all(one.score and 0 < one.score.error < 2 for one in found.replies)
        assert [(one.won, one.compared) for one in (a, b, c)] == [(5, 6), (4, 6), (0, 6)]
        assert found.pairs == (7, 9)
        assert found.concordance and found.concordance.w == pytest.approx(7 / 9)

    def test_whoever_calls_all_wrong_has_no_order(self, prompt: Message) -> None:
        rank_as(prompt, "abc")
        rank_as(prompt, "cba", not_rankable=True)
        (found,) = scores_of_replies([prompt.pk])
        assert (found.people, found.called_all_wrong) == (1, 1)
        assert found.pairs.compared == 0 and found.concordance is None

    def test_a_deleted_reply_is_left_out(self, prompt: Message) -> None:
        for order in ("abc", "cab"):
            rank_as(prompt, order)
        gone = replies_to(prompt)[0]
        Message.objects.filter(pk=gone.pk).update(deleted=True)
        (found,) = scores_of_replies([prompt.pk])
        assert gone not in [one.message for one in found.replies]
        assert found.pairs == (0, 1)

    def test_nobody_ranked(self, prompt: Message) -> None:
        assert scores_of_replies([prompt.pk]) == []

    def test_two_statements_however_many(
        self, prompt: Message, django_assert_num_queries: Callable[[int], Any]
    ) -> None:
        rank_as(prompt, "abc")
        with django_assert_num_queries(2):
            scores_of_replies([prompt.pk])
        for order in ("cba", "bca", "acb"):
            rank_as(prompt, order)
        reply = replies_to(prompt)[0]
        with django_assert_num_queries(2):
            scores_of_replies([reply.pk, prompt.pk])

    def test_it_never_decides(self, prompt: Message) -> None:
        rank_as(prompt, "abc")
        before = list(Message.objects.order_by("pk").values())
        scores_of_replies([prompt.pk])
        assert list(Message.objects.order_by("pk").values()) == before


class TestAdmin:
    def test_moderators_see_how_clear_a_rank_is(self, client: Client, prompt: Message, mo: User) -> None:
        client.force_login(mo)
        reply = replies_to(prompt)[0]
        address = reverse("admin:trees_message_change", args=[reply.pk])
        assert "Pairs won" not in client.get(address).text
        for order in ("abc", "abc", "bac"):
            rank_as(prompt, order)
        page = client.get(address).text
        assert "How people ranked it and the other replies" in page
        assert "3 rankings; pairs that two people put in the same order: 7 of 9; Kendall’s W 0.78." in page
        assert "5 of 6" in page and "±" in page and "(this message)" in page
        page = client.get(reverse("admin:trees_message_change", args=[prompt.pk])).text
        assert "How people ranked the replies to it" in page and "(this message)" not in page
