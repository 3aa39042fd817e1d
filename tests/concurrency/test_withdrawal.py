"""An author withdraws a text while others answer, review or decide about it: nothing is lost or left half done."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from oasst.accounts.models import User
from oasst.site.invariants import find_differences
from tasks.kinds import Kind
from tasks.models import Task
from tests.concurrency.test_rivals import ROUNDS, SMALL, rivals
from tests.crowd import answer, start_tree, take, work_until
from tests.factories import new_people, new_person
from trees.contributing import withdrawal
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import Deletion, Message, MessageTree, Review, Withdrawal
from trees.moderation import moderator_actions

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
ROOMY = replace(SMALL, max_active_trees=100)


@pytest.fixture(autouse=True)
def _everything_agrees(transactional_db: None) -> Iterator[None]:
    yield
    assert list(find_differences(ROOMY)) == []


@pytest.fixture
def mo(transactional_db: None) -> User:
    return new_person("Mo", role="moderator")


def prompt_of(tree: MessageTree) -> tuple[Message, User]:
    prompt = Message.objects.select_related("author").get(pk=tree.pk)
    assert prompt.author is not None
    return prompt, prompt.author


def withdraw(prompt: Message, author: User, policy: TreePolicy = ROOMY) -> None:
    withdrawal.withdraw(message_id=prompt.pk, author=author, policy=policy)


def test_against_a_reply_of_the_same_moment() -> None:
    for _ in range(ROUNDS):
        tree = work_until(start_tree(ROOMY), State.GROWING, ROOMY)
        prompt, author = prompt_of(tree)
        task = take(new_person("Writer"), ROOMY, Kind.ASSISTANT_REPLY)
        codes = rivals(
            lambda one=prompt, by=author: withdraw(one, by),  # type: ignore[misc]
            lambda one=task: answer(one, ROOMY),  # type: ignore[misc]
            allowed={"message_deleted"},
        )
        assert codes[0] == ""
        prompt.refresh_from_db()
        was_answered = Message.objects.filter(parent=prompt.pk, deleted=False).exists()
        assert was_answered == (codes[1] == "") == (Task.objects.get(pk=task.pk).status == Task.Status.DONE)
        assert (prompt.deleted, prompt.hidden, prompt.withdrawn) == (not was_answered, was_answered, True)
        assert Withdrawal.objects.get(message=prompt).status == ("open" if was_answered else "granted")


def test_against_the_reviews_that_decide() -> None:
    for _ in range(ROUNDS):
        tree = start_tree(ROOMY)
        prompt, author = prompt_of(tree)
        tasks = [take(person, ROOMY, Kind.LABEL_INITIAL_PROMPT) for person in new_people(2)]
        codes = rivals(
            lambda one=prompt, by=author: withdraw(one, by),  # type: ignore[misc]
            *[lambda one=one: answer(one, ROOMY) for one in tasks],  # type: ignore[misc]
            allowed={"message_deleted"},
        )
        assert codes[0] == ""
        tree.refresh_from_db()
        assert tree.state == State.HALTED_BY_MODERATOR
        assert Review.objects.filter(message=prompt.pk).count() == codes[1:].count("")


def test_pressed_twice_at_once() -> None:
    prompt, author = prompt_of(start_tree(ROOMY))
    rivals(*[lambda: withdraw(prompt, author)] * 3, allowed=set())
    assert Withdrawal.objects.count() == Deletion.objects.count() == 1


def test_an_author_who_undoes_it_against_a_moderator_who_decides(mo: User) -> None:
    for _ in range(ROUNDS):
        tree = work_until(start_tree(ROOMY), State.GROWING, ROOMY)
        prompt, author = prompt_of(tree)
        answer(take(new_person("Writer"), ROOMY, Kind.ASSISTANT_REPLY), ROOMY)
        withdraw(prompt, author)
        made = Withdrawal.objects.get(message=prompt)
        codes = rivals(
            lambda pk=prompt.pk, by=author: withdrawal.undo(  # type: ignore[misc]
                message_id=pk, author=by, policy=ROOMY
            ),
            lambda pk=made.pk: moderator_actions.grant_withdrawal(  # type: ignore[misc]
                withdrawal_id=pk, actor=mo, reason="As you wish.", policy=ROOMY
            ),
            allowed={"already_decided", "already_deleted"},
        )
        assert codes in (["", "already_decided"], ["already_deleted", ""])
        prompt.refresh_from_db()
        assert (prompt.deleted, prompt.hidden, prompt.withdrawn) == (codes[1] == "", False, codes[1] == "")
        moderator_actions.halt(tree_id=tree.pk, actor=mo, reason="Out of the way of the next round.", policy=ROOMY)
