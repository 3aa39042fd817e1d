"""A tree from its prompt to the data set, and the refusals on the way."""

import pytest
from django.db import transaction

from oasst.accounts.models import User
from oasst.core.errors import Conflict, Gone, Invalid, NotAllowed
from oasst.site.invariants import find_differences
from tasks import assignment, lottery
from tasks.kinds import Kind
from tests.factories import (
    decide,
    delete,
    growing_tree,
    new_people,
    new_person,
    new_prompt,
    new_reply,
    rank,
    review,
    state_of,
    work_until_state,
)
from trees.contributing import reviews
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State, Work
from trees.models import Happening, Message, MessageTree, Opening, Ranking, Review, TreeTransition

pytestmark = pytest.mark.django_db


class TestWholeLife:
    def test_it_works(self, alice: User) -> None:
        prompt = new_prompt(alice)
        assert state_of(prompt) == State.INITIAL_PROMPT_REVIEW
        decide(prompt)
        assert state_of(prompt) == State.PROMPT_LOTTERY_WAITING
        assert lottery.draw("en", TreePolicy()) == 1
        assert state_of(prompt) == State.GROWING
        work_until_state(prompt.pk, State.READY_FOR_EXPORT)
        messages = Message.objects.filter(tree=prompt.pk)
        assert messages.count() == 12
        assert not Opening.objects.filter(tree=prompt.pk).exists()
        ranked = messages.filter(role="assistant", rank__isnull=False)
        assert ranked.count() >= 3
        walked = TreeTransition.objects.filter(tree=prompt.pk).order_by("id").values_list("to_state", flat=True)
        assert list(walked) == [
            "initial_prompt_review",
            "prompt_lottery_waiting",
            "growing",
            "ranking",
            "ready_for_scoring",
            "ready_for_export",
        ]

    def test_ranks_follow_the_voters(self, alice: User) -> None:
        policy = TreePolicy(goal_tree_size=4, max_tree_depth=1)
        prompt = growing_tree(alice, policy)
        work_until_state(prompt.pk, State.READY_FOR_EXPORT, policy)
        replies = Message.objects.filter(parent=prompt).order_by("position")
        assert [reply.rank for reply in replies] == [0, 1, 2]
        assert [reply.ranking_count for reply in replies] == [3, 3, 3]
        assert Ranking.objects.filter(parent=prompt).values("author").distinct().count() == 3

    def test_a_tree_without_anything_to_rank_is_finished_by_its_last_review(self, alice: User) -> None:
        policy = TreePolicy(goal_tree_size=2)
        prompt = growing_tree(alice, policy)
        reply = new_reply(prompt, new_person("Writer"), policy=policy)
        decide(reply, policy=policy)
        assert state_of(prompt) == State.READY_FOR_EXPORT

    def test_a_tree_that_can_not_grow_on_is_ranked(self, alice: User) -> None:
        policy = TreePolicy(goal_tree_size=12, max_tree_depth=1, max_children_count=2)
        prompt = growing_tree(alice, policy)
        work_until_state(prompt.pk, State.READY_FOR_EXPORT, policy)
        assert Message.objects.filter(tree=prompt.pk).count() == 3


class TestReview:
    def test_two_equal_reviews_decide(self, alice: User) -> None:
        prompt = new_prompt(alice)
        for reviewer in new_people(2):
            review(prompt, reviewer)
        prompt.refresh_from_db()
        assert (prompt.review_count, prompt.review_result) == (2, True)

    def test_a_split_vote_asks_a_third_person(self, alice: User, bob: User, carol: User) -> None:
        prompt = new_prompt(alice)
        review(prompt, bob, spam=1)
        assert Opening.objects.filter(message=prompt).count() == 1
        review(prompt, carol, spam=0)
        prompt.refresh_from_db()
        assert prompt.review_result is None
        assert Opening.objects.filter(message=prompt).count() == 1
        review(prompt, new_person("Third"), spam=1)
        assert state_of(prompt) == State.ABORTED_LOW_GRADE
        assert not Opening.objects.filter(message=prompt).exists()

    def test_two_boxes_of_one_person_are_one_vote(self, alice: User, bob: User, carol: User) -> None:
        prompt = new_prompt(alice)
        with transaction.atomic():
            reviews.record_labels(
                message=prompt, author=bob, labels={"spam": 1, "lang_mismatch": 1}, policy=TreePolicy()
            )
        review(prompt, carol)
        review(prompt, new_person("Third"))
        assert state_of(prompt) == State.PROMPT_LOTTERY_WAITING

    @pytest.mark.parametrize(
        ("labels", "code", "field"),
        [
            ({}, "label_missing", "spam"),
            ({"spam": None}, "label_missing", "spam"),
            ({"spam": 0, "sparkle": 1}, "unknown_label", "sparkle"),
            ({"spam": 0, "fails_task": 1}, "label_not_asked", "fails_task"),
            ({"spam": 2}, "label_range", "spam"),
            ({"spam": float("nan")}, "label_range", "spam"),
        ],
    )
    def test_bad_labels_change_nothing(
        self, alice: User, bob: User, labels: dict[str, float], code: str, field: str
    ) -> None:
        prompt = new_prompt(alice)
        with pytest.raises(Invalid) as refusal, transaction.atomic():
            reviews.record_labels(message=prompt, author=bob, labels=labels, policy=TreePolicy())
        assert (refusal.value.code, refusal.value.field) == (code, field)
        prompt.refresh_from_db()
        assert prompt.review_count == 0
        assert not Review.objects.exists()
        assert Opening.objects.filter(message=prompt).count() == 2

    def test_nobody_reviews_their_own_message_or_twice(self, alice: User, bob: User) -> None:
        prompt = new_prompt(alice)
        with pytest.raises(NotAllowed):
            review(prompt, alice)
        review(prompt, bob)
        with pytest.raises(Conflict) as refusal:
            review(prompt, bob)
        assert refusal.value.code == "already_reviewed"
        prompt.refresh_from_db()
        assert prompt.review_count == 1

    def test_a_review_too_many_is_refused(self, alice: User) -> None:
        prompt = new_prompt(alice)
        decide(prompt)
        with pytest.raises(Gone) as refusal:
            review(prompt, new_person("Late"))
        assert refusal.value.code == "no_place_left"


class TestReply:
    def test_a_parent_whose_replies_were_rejected_is_offered_again(self, alice: User) -> None:
        policy = TreePolicy(goal_tree_size=3)
        prompt = growing_tree(alice, policy)
        for _ in range(2):
            decide(new_reply(prompt, new_person("Writer"), policy=policy), accept=False, policy=policy)
        assert state_of(prompt) == State.GROWING
        assert Opening.objects.filter(message=prompt, work=Work.ASSISTANT_REPLY).count() == 2

    def test_never_more_places_than_the_tree_needs(self, alice: User) -> None:
        policy = TreePolicy(goal_tree_size=3)
        prompt = growing_tree(alice, policy)
        assert Opening.objects.filter(tree=prompt.pk, work=Work.ASSISTANT_REPLY).count() == 2
        new_reply(prompt, new_person("Writer"), policy=policy)
        assert Opening.objects.filter(tree=prompt.pk, work=Work.ASSISTANT_REPLY).count() == 1

    def test_one_standing_reply_a_person(self, alice: User, bob: User) -> None:
        prompt = growing_tree(alice)
        reply = new_reply(prompt, bob)
        with pytest.raises(Conflict) as refusal:
            new_reply(prompt, bob)
        assert refusal.value.code == "duplicate_reply"
        decide(reply, accept=False)
        new_reply(prompt, bob)
        assert Message.objects.filter(parent=prompt, author=bob).count() == 2

    def test_the_same_text_again_is_refused(self, alice: User) -> None:
        new_prompt(alice, "Why is the sky blue?")
        with pytest.raises(Conflict) as refusal:
            new_prompt(alice, " \nWhy is the sky blue?  \r\n")
        assert refusal.value.code == "duplicate"
        assert MessageTree.objects.count() == 1

    def test_the_first_text_is_a_revision(self, alice: User) -> None:
        prompt = new_prompt(alice, "Why is the sky blue?")
        assert prompt.revisions.get().text == "Why is the sky blue?"
        assert prompt.revision == prompt.revisions.get()


class TestRanking:
    def test_not_rankable_votes_do_not_order(self, alice: User) -> None:
        policy = TreePolicy(goal_tree_size=3, max_tree_depth=1)
        prompt = growing_tree(alice, policy)
        work_until_state(prompt.pk, State.RANKING, policy)
        for person in new_people(3):
            rank(prompt, person, policy, not_rankable=True)
        assert state_of(prompt) == State.READY_FOR_EXPORT
        assert set(Message.objects.filter(parent=prompt).values_list("rank", flat=True)) == {None}

    def test_refusals(self, alice: User, bob: User, carol: User) -> None:
        policy = TreePolicy(goal_tree_size=3, max_tree_depth=1)
        prompt = growing_tree(alice, policy)
        decide(new_reply(prompt, bob, policy=policy), policy=policy)
        work_until_state(prompt.pk, State.RANKING, policy)
        ids = list(Message.objects.filter(parent=prompt).values_list("pk", flat=True))

        def attempt(person: User, order: list[object]) -> str:
            with pytest.raises((Invalid, NotAllowed, Conflict)) as refusal, transaction.atomic():
                reviews.record_ranking(parent=prompt, author=person, ordered_ids=order, policy=policy)  # type: ignore[arg-type]
            return refusal.value.code

        assert attempt(carol, [ids[0], ids[0]]) == "ranking_repeats"
        assert attempt(carol, [ids[0], prompt.pk]) == "ranking_unknown"
        assert attempt(carol, [ids[0]]) == "ranking_incomplete"
        assert attempt(bob, ids) == "own_reply"
        assert not Ranking.objects.exists()
        rank(prompt, carol, policy)
        assert attempt(carol, ids) == "already_ranked"
        assert Ranking.objects.count() == 1


class TestOutbox:
    def test_each_fact_once(self, alice: User) -> None:
        policy = TreePolicy(goal_tree_size=3, max_tree_depth=1)
        prompt = growing_tree(alice, policy)
        work_until_state(prompt.pk, State.READY_FOR_EXPORT, policy)
        kinds = [h.kind for h in Happening.objects.filter(tree=prompt.pk)]
        assert kinds.count("message_posted") == 3
        assert kinds.count("message_reviewed") == Review.objects.count() == 6
        assert kinds.count("message_accepted") == 3
        assert kinds.count("replies_ranked") == 3
        assert kinds.count("tree_moved") == 5


class TestHardCases:
    """Found by random events, as in test_model."""

    def test_a_place_held_on_a_deleted_message_does_not_count(self, alice: User, bob: User) -> None:
        policy = TreePolicy(goal_tree_size=4, max_children_count=3)
        prompt = growing_tree(alice, policy)
        reply = new_reply(prompt, new_person("Writer"), policy=policy)
        decide(reply, policy=policy)
        task = assignment.request_task(user=bob, lang="en", kind=Kind.PROMPTER_REPLY, policy=policy)
        assert task.message_id == reply.pk
        delete(reply, policy)
        places = Opening.objects.filter(tree=prompt.pk)
        assert set(places.values_list("message_id", flat=True)) == {prompt.pk}
        assert places.count() == 3
        assert not [str(one) for one in find_differences(policy) if one.check == "replies_wanted"]

    def test_a_tree_whose_every_message_was_deleted_is_stopped(self, alice: User) -> None:
        policy = TreePolicy(goal_tree_size=3, max_tree_depth=1)
        prompt = growing_tree(alice, policy)
        work_until_state(prompt.pk, State.RANKING, policy)
        delete(prompt, policy)
        assert state_of(prompt) == State.HALTED_BY_MODERATOR
        assert not Opening.objects.exists()

    def test_a_policy_that_asks_for_fewer_reviews_lets_the_given_ones_decide(self, alice: User) -> None:
        """No tree waits for a review that is not requested."""
        strict, mild = TreePolicy(num_reviews_reply=3), TreePolicy(num_reviews_reply=1)
        prompt = growing_tree(alice, strict)
        first, second = (new_reply(prompt, writer, policy=strict) for writer in new_people(2))
        review(first, new_person("Reviewer"), policy=strict)
        first.refresh_from_db()
        assert first.review_result is None
        review(second, new_person("Reviewer"), policy=mild)
        first.refresh_from_db()
        assert first.review_result is True
        assert Happening.objects.filter(message=first, kind="message_accepted").count() == 1
        assert not Opening.objects.filter(message=first, work=Work.LABEL_ASSISTANT_REPLY).exists()
