"""A moderator undoes a decision while others go on from it: one is first, both get the right answer."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from oasst.accounts.models import User
from oasst.core.audit.recording import collected_entries
from oasst.site.desk import undoing
from oasst.site.invariants import find_differences
from oasst.site.models import DeskDecision
from tasks.kinds import Kind
from tests.concurrency.test_rivals import ROUNDS, SMALL, kept, rivals
from tests.crowd import answer, start_tree, take
from tests.factories import new_people, new_person
from trees.lifecycle.states import State
from trees.models import Deletion, Message, MessageTree, Proposal, Review
from trees.moderation import bans, moderator_actions

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


@pytest.fixture(autouse=True)
def _everything_agrees() -> Iterator[None]:
    yield
    assert list(find_differences(SMALL)) == []


@pytest.fixture
def mo(transactional_db: None) -> User:
    return new_person("Mo", role="moderator")


def decided(mo: User, act: Callable[..., object], **about: Any) -> Callable[[], None]:
    """Decide, and return what undoes it."""
    with collected_entries() as entries:
        act(**about, actor=mo, reason="Odd.")
    decision = DeskDecision.objects.create(moderator=mo, act="some", entries=[entry.pk for entry in entries])
    return lambda: undoing.undo_decision(decision, actor=mo, reason="A slip.", policy=SMALL)


def test_two_undos_at_once_are_one(mo: User) -> None:
    for _ in range(ROUNDS):
        tree = start_tree(SMALL)
        undo = decided(mo, moderator_actions.delete_message, message_id=tree.pk, policy=SMALL)
        assert sorted(rivals(undo, undo, undo, allowed={"already_undone"})) == ["", "already_undone", "already_undone"]
        assert MessageTree.objects.get(pk=tree.pk).state == State.INITIAL_PROMPT_REVIEW


def test_against_answers(mo: User) -> None:
    """Work that the halt had taken away is given back at the moment in which it is sent."""
    for _ in range(ROUNDS):
        tree = start_tree(SMALL)
        tasks = [take(person, SMALL, Kind.LABEL_INITIAL_PROMPT) for person in new_people(2)]
        undo = decided(mo, moderator_actions.halt, tree_id=tree.pk, policy=SMALL)
        answers = [lambda one=one: answer(one, SMALL) for one in tasks]
        codes = rivals(undo, *answers, allowed={"tree_stopped", "no_place_left"})
        assert codes[0] == ""
        assert Review.objects.filter(message=tree.pk).count() == kept(tasks) == codes[1:].count("")
        moderator_actions.halt(tree_id=tree.pk, actor=mo, reason="Done with.", policy=SMALL)


def test_an_edit_against_a_review_of_the_new_text(mo: User) -> None:
    for _ in range(ROUNDS):
        tree = start_tree(SMALL)
        undo = decided(mo, moderator_actions.edit_message, message_id=tree.pk, text=f"Better {tree.pk}.", policy=SMALL)
        task = take(new_person("Reader"), SMALL, Kind.LABEL_INITIAL_PROMPT)
        codes = rivals(undo, lambda task=task: answer(task, SMALL), allowed={"built_on", "text_changed"})  # type: ignore[misc]
        assert codes in (["", "text_changed"], ["built_on", ""])
        assert Message.objects.get(pk=tree.pk).review_count == codes[1:].count("")
        moderator_actions.halt(tree_id=tree.pk, actor=mo, reason="Done with.", policy=SMALL)


def test_against_a_second_moderator(mo: User) -> None:
    other = new_person("Max", role="moderator")
    for _ in range(ROUNDS):
        tree = start_tree(SMALL)
        undo = decided(mo, moderator_actions.hide, message_id=tree.pk, policy=SMALL)
        delete = lambda pk=tree.pk: moderator_actions.delete_message(  # noqa: E731
            message_id=pk, actor=other, reason="Copied.", policy=SMALL
        )
        assert rivals(undo, delete, allowed=set()) == ["", ""]
        root = Message.objects.get(pk=tree.pk)
        assert (root.deleted, root.kept_hidden) == (True, False)
        assert Deletion.objects.filter(message=root, undone_at=None).count() == 1
        assert not Proposal.objects.filter(message=root, status=Proposal.Status.HIDDEN).exists()


def test_a_ban_is_ended_once(mo: User) -> None:
    other = new_person("Max", role="moderator")
    for person in new_people(ROUNDS):
        with collected_entries() as entries:
            bans.ban(person, actor=mo, reason="Rude.")
        decision = DeskDecision.objects.create(moderator=mo, act="ban", entries=[entry.pk for entry in entries])
        undo = lambda one=decision: undoing.undo_decision(one, actor=mo, reason="A slip.", policy=SMALL)  # noqa: E731
        unban = lambda person=person: bans.unban(  # noqa: E731
            User.objects.get(pk=person.pk), actor=other, reason="They promised."
        )
        codes = rivals(undo, unban, allowed={"built_on", "not_banned"})
        assert codes in (["", "not_banned"], ["built_on", ""])
        person.refresh_from_db()
        assert person.enabled
