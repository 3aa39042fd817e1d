"""A language with rules of its own: its conversations follow them, those of other languages do not."""

import json
from pathlib import Path

import pytest
from django.db import transaction

from oasst.accounts.models import User
from oasst.core.models import AuditEntry
from oasst.site.invariants import find_differences
from tasks import assignment, upkeep
from tasks.kinds import Kind
from tests.factories import (
    conversation,
    decide,
    growing_tree,
    new_people,
    new_person,
    new_prompt,
    new_reply,
    new_veterans,
    review,
    state_of,
    work_until_state,
)
from trees.contributing import posting, reactions
from trees.interchange.importer import import_files
from trees.lifecycle.policy import EVERY_LANGUAGE, TreePolicy
from trees.lifecycle.policy_change import apply_policy
from trees.lifecycle.states import State, Work
from trees.models import Message, MessageTree, Opening, Proposal
from trees.moderation import auto_moderation, moderator_actions

pytestmark = pytest.mark.django_db
SIZES = {"goal_tree_size": 4, "max_tree_depth": 1}
ALL_AGREE = {"acceptance_threshold_initial_prompt": 0.9}
GERMAN = {
    "num_reviews_initial_prompt": 2,
    "num_reviews_reply": 1,
    "goal_tree_size": 6,
    "max_tree_depth": 3,
    "num_required_rankings": 1,
    "rank_prompter_replies": True,
    "num_prompter_replies": 2,
    "auto_mod_red_flags": 2,
}
POLICY = TreePolicy.of({EVERY_LANGUAGE: SIZES | ALL_AGREE, "de": GERMAN})


def prompt_in(lang: str, author: User) -> Message:
    return new_prompt(author, policy=POLICY, lang=lang)


def places(message: Message, work: Work = Work.LABEL_INITIAL_PROMPT) -> int:
    return Opening.objects.filter(message=message, work=work).count()


def sizes(message: Message) -> tuple[int, int, int]:
    tree = MessageTree.objects.get(pk=message.tree_id)
    return tree.goal_tree_size, tree.max_depth, tree.max_children_count


def move(message: Message, mo: User, lang: str) -> None:
    moderator_actions.move_to_language(tree_id=message.tree_id, lang=lang, actor=mo, reason="It is not.", policy=POLICY)


def undo_last(mo: User) -> None:
    entry = AuditEntry.objects.filter(actor=mo).order_by("-pk")[0]
    moderator_actions.undo(entry_id=entry.pk, actor=mo, reason="A slip.", policy=POLICY)


def assert_all_agrees() -> None:
    """No check finds anything, and no tree waits for a step that is due."""
    differences = [one for one in find_differences(POLICY) if one.check != "answers_come_from_a_task"]
    assert (differences, upkeep.advance_active_trees(policy=POLICY)) == ([], 0)


class TestReviews:
    def test_a_german_prompt_needs_two_and_an_english_one_three(self, alice: User) -> None:
        german, english = prompt_in("de", alice), prompt_in("en", alice)
        for person in new_people(2):
            review(german, person, policy=POLICY)
            review(english, person, policy=POLICY)
        assert (state_of(german), state_of(english)) == (State.PROMPT_LOTTERY_WAITING, State.INITIAL_PROMPT_REVIEW)
        assert_all_agrees()

    def test_a_whole_conversation_follows_them(self, alice: User) -> None:
        german, english = growing_tree(alice, POLICY, "de"), growing_tree(new_person("Ada"), POLICY)
        for prompt in (german, english):
            work_until_state(prompt.pk, State.READY_FOR_EXPORT, POLICY)
            assert_all_agrees()
        replies = Message.objects.exclude(parent=None)
        assert set(replies.filter(tree=german.tree_id).values_list("review_count", flat=True)) == {1}
        assert min(replies.filter(tree=english.tree_id).values_list("review_count", flat=True)) > 1
        accepted = Message.objects.filter(review_result=True)
        assert [accepted.filter(tree=one.tree_id).count() for one in (german, english)] == [6, 4]
        assert accepted.filter(tree=german.tree_id, depth__gt=1).exists()
        assert not accepted.filter(tree=english.tree_id, depth__gt=1).exists()


class TestSizes:
    def test_a_prompt_copies_those_of_its_language(self, alice: User) -> None:
        assert sizes(prompt_in("de", alice)) == (6, 3, 3)
        assert sizes(prompt_in("en", alice)) == (4, 1, 3)

    def test_an_imported_conversation_too(self, tmp_path: Path) -> None:
        path, lines = tmp_path / "trees.jsonl", [conversation(lang="de"), conversation(lang="en")]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        import_files([path], policy=POLICY)
        found = [sizes(Message.objects.get(pk=line["message_tree_id"])) for line in lines]
        assert found == [(6, 3, 3), (4, 1, 3)]

    def test_a_changed_policy_is_applied_by_language(self, alice: User) -> None:
        german, english = new_prompt(alice, lang="de"), new_prompt(alice)
        for prompt in (german, english):
            apply_policy(tree_id=prompt.pk, policy=POLICY)
        assert (sizes(german), sizes(english)) == ((6, 3, 3), (4, 1, 3))
        assert_all_agrees()

    def test_no_limit_of_depth_comes_below_what_somebody_writes(self, alice: User, bob: User) -> None:
        prompt = growing_tree(alice, POLICY, "de")
        answer = new_reply(prompt, bob, policy=POLICY)
        decide(answer, policy=POLICY)
        task = assignment.request_task(user=alice, lang="de", kind=Kind.PROMPTER_REPLY, policy=POLICY)
        apply_policy(tree_id=prompt.pk, policy=TreePolicy.of({EVERY_LANGUAGE: SIZES}))
        assert sizes(prompt) == (4, 2, 3)
        with transaction.atomic():
            posting.post_reply(parent=answer, author=alice, text="And then?", policy=POLICY, lease=task.pk)
        assert_all_agrees()


class TestMovedToAnotherLanguage:
    def test_it_needs_as_many_reviews_as_there(self, alice: User, mo: User) -> None:
        prompt = prompt_in("de", alice)
        review(prompt, new_person("Bob"), policy=POLICY)
        move(prompt, mo, "en")
        review(prompt, new_person("Bea"), policy=POLICY)
        assert (state_of(prompt), places(prompt)) == (State.INITIAL_PROMPT_REVIEW, 1)
        review(prompt, new_person("Ben"), policy=POLICY)
        assert state_of(prompt) == State.PROMPT_LOTTERY_WAITING
        assert_all_agrees()

    def test_reviews_that_suffice_there_decide_at_once(self, alice: User, mo: User) -> None:
        prompt = prompt_in("en", alice)
        for person in new_people(2):
            review(prompt, person, policy=POLICY)
        assert (state_of(prompt), places(prompt)) == (State.INITIAL_PROMPT_REVIEW, 1)
        move(prompt, mo, "de")
        assert state_of(prompt) == State.PROMPT_LOTTERY_WAITING
        assert_all_agrees()
        undo_last(mo)
        assert (state_of(prompt), places(prompt)) == (State.INITIAL_PROMPT_REVIEW, 1)
        assert_all_agrees()

    def test_it_gets_the_sizes_that_differ_there(self, alice: User, mo: User) -> None:
        prompt = prompt_in("en", alice)
        MessageTree.objects.filter(pk=prompt.tree_id).update(max_children_count=2)  # by an earlier policy
        move(prompt, mo, "de")
        assert sizes(prompt) == (6, 3, 2)
        move(prompt, mo, "en")
        assert sizes(prompt) == (4, 1, 2)

    def test_between_languages_with_the_same_rules_the_sizes_stay(self, alice: User, mo: User) -> None:
        prompt = new_prompt(alice)
        before = sizes(prompt)
        move(prompt, mo, "fr")
        assert sizes(prompt) == before != (4, 1, 3)

    def test_a_finished_conversation_keeps_its_sizes(self, alice: User, mo: User) -> None:
        prompt = growing_tree(alice, POLICY)
        work_until_state(prompt.pk, State.READY_FOR_EXPORT, POLICY)
        move(prompt, mo, "de")
        assert (sizes(prompt), state_of(prompt)) == ((4, 1, 3), State.READY_FOR_EXPORT)
        assert_all_agrees()

    def test_undone_it_has_the_sizes_of_before(self, alice: User, mo: User) -> None:
        prompt = growing_tree(alice, POLICY)
        move(prompt, mo, "de")
        assert sizes(prompt) == (6, 3, 3)
        undo_last(mo)
        assert sizes(prompt) == (4, 1, 3)
        assert_all_agrees()

    def test_what_others_wrote_meanwhile_stays(self, alice: User, bob: User, mo: User) -> None:
        prompt = growing_tree(alice, POLICY)
        move(prompt, mo, "de")
        answer = new_reply(prompt, bob, policy=POLICY)
        decide(answer, policy=POLICY)
        follow_up = new_reply(answer, alice, policy=POLICY)
        decide(follow_up, policy=POLICY)
        undo_last(mo)
        assert sizes(prompt) == (4, 2, 3)
        follow_up.refresh_from_db()
        assert not follow_up.deleted
        assert_all_agrees()


class TestComplaints:
    def test_two_flags_hide_a_german_prompt_and_four_an_english_one(self, alice: User) -> None:
        german, english = prompt_in("de", alice), prompt_in("en", alice)
        veterans = new_veterans(4)
        for number, person in enumerate(veterans, start=1):
            for prompt in (german, english):
                if not Proposal.objects.filter(message=prompt).exists():
                    reactions.report(message_id=prompt.pk, reporter=person, category="spam")
                    auto_moderation.moderate(message_id=prompt.pk, policy=POLICY)
            hidden = set(Message.objects.filter(hidden=True).values_list("lang", flat=True))
            assert hidden == (set() if number < 2 else {"de"} if number < 4 else {"de", "en"})

    def test_a_recount_asks_the_language(self, alice: User) -> None:
        prompt = prompt_in("de", alice)
        first, second = new_veterans(2)
        for person in (first, second):
            reactions.report(message_id=prompt.pk, reporter=person, category="spam")
        auto_moderation.moderate(message_id=prompt.pk, policy=POLICY)
        assert auto_moderation.recount(person_id=first.pk, policy=POLICY) == 0
        prompt.refresh_from_db()
        assert prompt.hidden
        type(first).objects.filter(pk=first.pk).update(enabled=False)
        assert auto_moderation.recount(person_id=first.pk, policy=POLICY) == 1
        prompt.refresh_from_db()
        assert not prompt.hidden
