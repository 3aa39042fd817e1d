"""Reviews weighed by what is known of their authors: when they decide, and that a decision can be reproduced."""

from dataclasses import replace
from itertools import product
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from oasst.accounts.models import User
from oasst.site import purging
from oasst.site.invariants import find_differences
from tests.crowd import start_tree, work_until
from tests.factories import decide, new_people, new_prompt, review
from trees.contributing import reviewers
from trees.lifecycle.consensus import SUREST, MajorityRule, Skill, Vote, rule_from_data
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.policy_change import apply_policy
from trees.lifecycle.states import State
from trees.models import Happening, Message, Opening, Review, ReviewerSkill
from trees.moderation import moderator_actions

POLICY = TreePolicy(weighted_reviews=True, weighted_full_share=0)
RULE = POLICY.weighted_rule
GOOD, FAIR, GUESSES = Skill(0.95, 0.95), Skill(0.75, 0.75), Skill(0.5, 0.5)
KEEP, REJECT = False, True

skills = st.one_of(st.none(), st.builds(Skill, st.floats(0.5, 0.98), st.floats(0.5, 0.98)))
votes = st.lists(st.builds(Vote, st.booleans(), skills), max_size=7)


class TestRule:
    @pytest.mark.parametrize(
        ("given_votes", "verdict"),
        [
            ([], None),
            ([Vote(KEEP, GOOD)], True),
            ([Vote(REJECT, GOOD)], False),
            ([Vote(KEEP)], None),
            ([Vote(REJECT)], None),
            ([Vote(KEEP)] * 2, True),
            ([Vote(REJECT)] * 2, False),
            ([Vote(KEEP, FAIR)] * 2, True),
            ([Vote(KEEP, FAIR), Vote(KEEP, GUESSES)], None),
            ([Vote(KEEP, GUESSES)] * 4, None),
            ([Vote(KEEP, GOOD), Vote(REJECT, GOOD)], True),  # it had been decided
            ([Vote(KEEP, FAIR), Vote(REJECT, GOOD)], None),
        ],
    )
    def test_known_cases(self, given_votes: list[Vote], verdict: bool | None) -> None:
        assert RULE.decision(given_votes) is verdict

    @given(votes)
    def test_undecided_means_that_somebody_is_asked(self, votes: list[Vote]) -> None:
        assert (RULE.votes_needed(votes) == 0) == (RULE.verdict(votes) is not None)

    @given(votes)
    def test_it_ends(self, votes: list[Vote]) -> None:
        if len(votes) >= RULE.most:
            assert RULE.verdict(votes) is not None

    @given(votes, st.randoms())
    def test_who_votes_first_does_not_matter(self, votes: list[Vote], chance: Any) -> None:
        shuffled = list(votes)
        chance.shuffle(shuffled)
        odds = RULE.odds_bad(votes)
        assert RULE.odds_bad(shuffled) == pytest.approx(odds)

    @given(votes, skills)
    def test_a_vote_never_speaks_for_the_opposite(self, votes: list[Vote], skill: Skill | None) -> None:
        odds = RULE.odds_bad(votes)
        assert RULE.odds_bad([*votes, Vote(REJECT, skill)]) >= odds >= RULE.odds_bad([*votes, Vote(KEEP, skill)])

    def test_limits_hold_for_known_skills(self) -> None:
        """Sum over all courses of five votes: the shares of wrong outcomes stay within the limits."""
        wrong_accepted = wrong_rejected = 0.0
        rule = replace(RULE, most=15)
        for course in product((KEEP, REJECT), repeat=11):
            given_votes = [Vote(rejects, Skill(0.85, 0.85)) for rejects in course]
            chance_bad = chance_good = 1.0
            for vote in given_votes:
                chance_bad *= vote.skill.chance(vote.rejects, True)  # type: ignore[union-attr]
                chance_good *= vote.skill.chance(vote.rejects, False)  # type: ignore[union-attr]
            decision = rule.decision(given_votes)
            wrong_accepted += chance_bad * (decision is True)
            wrong_rejected += chance_good * (decision is False)
        assert wrong_accepted < POLICY.weighted_accept_limit
        assert wrong_rejected < POLICY.weighted_reject_limit

    def test_it_is_read_back_from_an_event(self) -> None:
        for rule in (RULE, MajorityRule(3, 0.6)):
            assert rule_from_data({"rejecting": 1, "reviews": 2, **rule.as_data()}) == rule

    @pytest.mark.parametrize(
        "wrong",
        [
            {"weighted_accept_limit": 0},
            {"weighted_reject_limit": 1},
            {"weighted_full_share": 1.5},
            {"weighted_least_reviews": 0},
            {"weighted_most_reviews": 0},
            {"weighted_average_spares": 0.97},  # any newcomer could reject alone
        ],
    )
    def test_senseless_policies(self, wrong: dict[str, float]) -> None:
        with pytest.raises(ValueError, match="weighted_"):
            TreePolicy(**wrong)  # type: ignore[arg-type]


def make_known(person: User, skill: Skill = GOOD, lang: str = "en", texts: int = 50) -> User:
    ReviewerSkill.objects.create(
        person=person,
        lang=lang,
        label=ReviewerSkill.VERDICT,
        texts=texts,
        differed=0,
        finds=skill.finds,
        spares=skill.spares,
        updated_at=timezone.now(),
    )
    return person


def result(message: Message) -> bool | None:
    message.refresh_from_db()
    return message.review_result


def differences(policy: TreePolicy = POLICY) -> list[str]:
    """Return what the invariants find, except that these reviews were given without a task."""
    return [str(found) for found in find_differences(policy) if found.check != "answers_come_from_a_task"]


@pytest.mark.django_db
class TestInTheHouse:
    def test_one_review_of_a_good_reviewer_decides(self, alice: User, bob: User) -> None:
        prompt = new_prompt(alice, policy=POLICY)
        review(prompt, make_known(bob), policy=POLICY)
        assert result(prompt) is True
        assert differences() == []

    def test_strangers_decide_together(self, alice: User, bob: User, eve: User) -> None:
        prompt = new_prompt(alice, policy=POLICY)
        review(prompt, eve, spam=1, policy=POLICY)
        assert result(prompt) is None, "a new account decides nothing alone"
        assert Opening.objects.filter(message=prompt).count() == 1
        review(prompt, bob, spam=1, policy=POLICY)
        assert result(prompt) is False
        assert not Opening.objects.filter(message=prompt).exists()
        assert differences() == []

    @pytest.mark.parametrize(("lang", "texts"), [("de", 50), ("en", 19)])
    def test_who_is_known_elsewhere_or_too_little_is_a_stranger(
        self, alice: User, bob: User, lang: str, texts: int
    ) -> None:
        prompt = new_prompt(alice, policy=POLICY)
        given_review = review(prompt, make_known(bob, lang=lang, texts=texts), policy=POLICY)
        assert (result(prompt), given_review.finds) == (None, None)

    def test_what_is_learnt_later_changes_no_decision(self, alice: User, bob: User, mo: User) -> None:
        decided, undecided = (new_prompt(alice, policy=POLICY) for _ in range(2))
        make_known(bob)
        review(decided, bob, policy=POLICY)
        ReviewerSkill.objects.update(finds=0.6, spares=0.6)
        review(undecided, bob, policy=POLICY)
        ReviewerSkill.objects.update(finds=0.97, spares=0.97)
        assert (result(decided), result(undecided)) == (True, None)
        assert differences() == []
        assert not apply_policy(tree_id=undecided.tree_id, policy=POLICY).has_changes
        event = Happening.objects.get(kind=Happening.Kind.MESSAGE_ACCEPTED, message_id=decided.pk)
        rule = rule_from_data(event.data)
        recorded = Review.objects.get(message=decided)
        assert rule.decision([Vote(KEEP, Skill(recorded.finds or 0, recorded.spares or 0))]) is True

    def test_a_flipped_result_is_found(self, alice: User, bob: User) -> None:
        prompt = new_prompt(alice, policy=POLICY)
        review(prompt, make_known(bob), policy=POLICY)
        Message.objects.filter(pk=prompt.pk).update(review_result=False)
        assert "review_results" in {difference.check for difference in find_differences(POLICY)}

    def test_turned_on_and_off_again(self, alice: User, bob: User) -> None:
        before, plain = new_prompt(alice), TreePolicy()
        review(before, bob)
        apply_policy(tree_id=before.tree_id, policy=POLICY)
        assert differences() == []
        decided = new_prompt(alice, policy=POLICY)
        review(decided, make_known(bob), policy=POLICY)
        for message in (before, decided):
            apply_policy(tree_id=message.tree_id, policy=plain)
        assert (result(before), result(decided)) == (None, True)
        assert differences(plain) == []
        decide(before)
        assert differences(plain) == []

    def test_a_policy_by_which_the_first_vote_had_decided(self, alice: User) -> None:
        careful = replace(POLICY, weighted_least_reviews=3)
        prompt = new_prompt(alice, policy=careful)
        for person, spam in zip(new_people(2), (0, 1), strict=True):
            review(prompt, make_known(person), spam=spam, policy=careful)
        assert result(prompt) is None
        apply_policy(tree_id=prompt.tree_id, policy=POLICY)
        assert result(prompt) is True
        assert differences() == []

    def test_a_share_gets_all_reviews(self, alice: User) -> None:
        policy = replace(POLICY, weighted_full_share=1)
        prompt = new_prompt(alice, policy=policy)
        people = [make_known(person) for person in new_people(3)]
        for person in people[:2]:
            review(prompt, person, policy=policy)
            assert result(prompt) is None
        review(prompt, people[2], policy=policy)
        assert result(prompt) is True
        assert differences(policy) == []

    def test_the_share_is_as_large_as_it_says(self) -> None:
        policy = replace(POLICY, weighted_full_share=0.05)
        messages = [Message(pk=UUID(int=number)) for number in range(4_000)]
        chosen = [policy.gets_all_reviews(message) for message in messages]
        assert 150 < sum(chosen) < 250
        assert [policy.gets_all_reviews(message) for message in messages] == chosen
        with override_settings(SECRET_KEY="another one"):  # nobody can tell from an id
            assert [policy.gets_all_reviews(message) for message in messages] != chosen

    def test_a_purged_reviewer_decides_nothing_any_more(self, alice: User, bob: User, mo: User) -> None:
        prompt = new_prompt(alice, policy=POLICY)
        review(prompt, make_known(bob), spam=1, policy=POLICY)
        assert result(prompt) is False
        order = purging.start_purge(user=bob, actor=mo, reason="A test")
        purging.continue_purge(purge_id=order.pk, policy=POLICY)
        assert differences() == []
        purging.undo_purge(purge_id=order.pk, actor=mo, reason="Wrong person.")
        purging.continue_purge(purge_id=order.pk, policy=POLICY)
        assert result(prompt) is False
        assert differences() == []

    def test_a_conversation_from_its_prompt_to_the_data_set(self) -> None:
        policy = replace(POLICY, goal_tree_size=4, max_tree_depth=1, weighted_full_share=0.3)
        people = new_people(6)
        for person, quality in zip(people, (0.97, 0.95, 0.9, 0.7, 0.5), strict=False):
            make_known(person, Skill(quality, quality))
        tree = work_until(start_tree(policy, people[5]), State.READY_FOR_EXPORT, policy, people)
        assert Review.objects.filter(message__tree=tree).exclude(finds=None).exists()
        assert list(find_differences(policy)) == []

    def test_an_edited_text_is_reviewed_anew(self, alice: User, bob: User, mo: User) -> None:
        prompt = new_prompt(alice, policy=POLICY)
        review(prompt, make_known(bob), policy=POLICY)
        moderator_actions.edit_message(
            message_id=prompt.pk, actor=mo, text="Another text", reason="A test", policy=POLICY
        )
        assert differences() == []

    @pytest.mark.parametrize("number", [0, 30])
    def test_it_costs_one_statement_when_on_and_none_when_off(self, alice: User, bob: User, number: int) -> None:
        for person in new_people(number):
            make_known(person)
        make_known(bob)

        def cost(policy: TreePolicy) -> int:
            prompt = new_prompt(alice, policy=policy)
            with CaptureQueriesContext(connection) as queries:
                review(prompt, bob, policy=policy)
            assert ("trees_reviewerskill" in str(queries.captured_queries)) == policy.weighted_reviews
            return len(queries)

        undecided = replace(POLICY, weighted_least_reviews=2)  # as for the majority: the first review decides nothing
        assert cost(undecided) == cost(TreePolicy()) + 1

    def test_skills_that_were_learnt_are_used(self, alice: User) -> None:
        people = new_people(3)
        for _ in range(25):
            prompt = new_prompt(alice)
            for person in people:
                Review.objects.create(message=prompt, revision_id=prompt.revision_id, author=person, labels={"spam": 0})
        reviewers.learn()
        learnt = reviewers.known_skill(person=people[0], lang="en")
        assert learnt is not None
        assert learnt.spares > 0.9
        assert max(learnt) <= max(SUREST)
