"""People report and moderators decide at the same moment: there is one proposal and one decision, which stays."""

from collections.abc import Iterator

import pytest

from oasst.accounts import api_clients
from oasst.accounts.models import User
from oasst.site.invariants import find_differences
from tests.concurrency.test_rivals import ROUNDS, rivals
from tests.factories import growing_tree, new_people, new_person, new_prompt, new_reply
from trees.contributing import reactions
from trees.lifecycle.policy import TreePolicy
from trees.models import Happening, Message, Proposal
from trees.moderation import auto_moderation, client_actions, moderator_actions

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
EVERYBODY = TreePolicy(complaint_min_accepted=0, auto_mod_red_flags=2)


@pytest.fixture(autouse=True)
def _everything_agrees(transactional_db: None) -> Iterator[None]:
    yield
    assert [one for one in find_differences(EVERYBODY) if one.check != "answers_come_from_a_task"] == []


@pytest.fixture
def mo(transactional_db: None) -> User:
    return new_person("Mo", role="moderator")


def complain(message: Message, person: User) -> None:
    reactions.report(message_id=message.pk, reporter=person, category="spam")
    auto_moderation.moderate(message_id=message.pk, policy=EVERYBODY)


def test_flags_at_once_are_one_proposal(mo: User) -> None:
    prompt = new_prompt(new_person("Author"))
    acts = [lambda one=one: complain(prompt, one) for one in new_people(4)]  # type: ignore[misc]
    rivals(*acts, allowed={"message_not_found"})  # hidden before they reported
    assert Message.objects.get().hidden
    assert Proposal.objects.count() == Happening.objects.filter(kind="removal_proposed").count() == 1


def test_a_dismissal_against_one_more_flag(mo: User) -> None:
    for _ in range(ROUNDS):
        prompt = new_prompt(new_person("Author"))
        first, second = new_people(2)
        report = reactions.report(message_id=prompt.pk, reporter=first, category="spam")
        rivals(
            lambda one=report: moderator_actions.settle_report(  # type: ignore[misc]
                report_id=one.pk, actor=mo, status="dismissed", outcome="Fine.", policy=EVERYBODY
            ),
            lambda one=prompt, by=second: complain(one, by),  # type: ignore[misc]
            allowed=set(),
        )
        prompt.refresh_from_db()
        assert (prompt.is_withheld, prompt.kept_at is not None) == (False, True)


def test_two_moderators_who_disagree(mo: User) -> None:
    other = new_person("Max", role="moderator")
    for _ in range(ROUNDS):
        prompt = new_prompt(new_person("Author"))
        for person in new_people(2):
            complain(prompt, person)
        proposal = Proposal.objects.get(message=prompt)
        about = {"proposal_id": proposal.pk, "reason": "So be it.", "policy": EVERYBODY}
        codes = rivals(
            lambda about=about: moderator_actions.uphold(actor=mo, **about),  # type: ignore[misc]
            lambda about=about: moderator_actions.dismiss(actor=other, **about),  # type: ignore[misc]
            allowed={"already_decided"},
        )
        assert sorted(codes) == ["", "already_decided"]
        prompt.refresh_from_db()
        assert (prompt.deleted, prompt.hidden) == (codes[0] == "", False)


def test_two_doors_that_bring_back(mo: User) -> None:
    """A moderator locks the tree before the deletion, as API clients do, so there is no deadlock."""
    site, _ = api_clients.create_api_client(name="website", trusted=True)
    prompt = growing_tree(new_person("Author"))
    replies = [new_reply(prompt, new_person("Writer")) for _ in range(2)]
    for _ in range(ROUNDS):
        gone = [
            moderator_actions.delete_message(message_id=one.pk, actor=mo, reason="Copied.", policy=EVERYBODY)
            for one in replies
        ]
        rivals(
            *(
                lambda pk=one.pk: moderator_actions.undelete(  # type: ignore[misc]
                    deletion_id=pk, actor=mo, reason="Fine.", policy=EVERYBODY
                )
                for one in gone
            ),
            *(
                lambda pk=one.pk: client_actions.undelete_message(pk, site, None, EVERYBODY)  # type: ignore[misc]
                for one in replies
            ),
            allowed={"already_undone"},
        )
        assert not Message.objects.filter(deleted=True).exists()
