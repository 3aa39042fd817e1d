"""Merging accounts while others decide about them."""

from functools import partial
from typing import Any

import pytest

from oasst.accounts import closing
from oasst.accounts.models import MergeProposal, User
from oasst.core.errors import DomainError
from oasst.core.models import AuditEntry
from oasst.site import merge_proposals, merging, purging
from tests.concurrency.together import at_once
from tests.factories import new_person, new_prompt
from trees.models import Message, Purge

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
NAMES = ("First", "Second", "Third")


def proposed(mo: User, name: str) -> tuple[MergeProposal, User, User]:
    """Return an open proposal, the account that stays, and the one that is closed, which wrote a prompt."""
    stays, closes = new_person(name), new_person(f"{name} too")
    new_prompt(closes)
    return merge_proposals.propose(destination=stays, sources=[closes], actor=mo, reason="The same."), stays, closes


def confirming(proposal: MergeProposal, actor: User, name: str) -> Any:
    return partial(merge_proposals.confirm, proposal_id=proposal.pk, actor=actor, name=name)


def codes(results: list[Any]) -> list[str]:
    """Return the codes of the refusals, sorted. Nothing else went wrong."""
    errors = [one for one in results if isinstance(one, BaseException)]
    assert all(isinstance(one, DomainError) for one in errors), errors
    return sorted(one.code for one in errors)


def merges() -> int:
    return AuditEntry.objects.filter(act="account.merge").count()


def test_two_propose(mo: User) -> None:
    ida, stays, closes = new_person("Ida", "admin"), new_person("Eve"), new_person("Eva")
    acts = [
        partial(merge_proposals.propose, destination=one, sources=[other], actor=actor, reason="The same.")
        for actor, one, other in (
            (mo, User.objects.get(pk=stays.pk), User.objects.get(pk=closes.pk)),
            (ida, User.objects.get(pk=closes.pk), User.objects.get(pk=stays.pk)),
        )
    ]
    assert codes(at_once(acts)) == ["already_proposed"] and MergeProposal.objects.count() == 1


def test_two_confirm_while_it_is_refused_and_withdrawn(mo: User) -> None:
    ida, una, max_ = new_person("Ida", "admin"), new_person("Una", "admin"), new_person("Max", "moderator")
    for number, name in enumerate(NAMES):
        proposal, stays, closes = proposed(mo, name)
        before = merges()
        acts = [confirming(proposal, actor, name) for actor in (ida, una)]
        acts.append(partial(merge_proposals.refuse, proposal_id=proposal.pk, actor=max_, reason="No."))
        refused = codes(at_once([*acts, partial(merge_proposals.withdraw, proposal_id=proposal.pk, actor=mo)]))
        assert refused == ["nothing_proposed"] * 3, number
        outcome, merged = MergeProposal.objects.get(pk=proposal.pk).outcome, merges() - before
        assert (outcome, merged) in (("confirmed", 1), ("refused", 0), ("withdrawn", 0))
        author = Message.objects.get(author__in=[stays, closes]).author
        assert author == (stays if merged else closes)


def test_a_program_merges_at_the_same_moment(mo: User) -> None:
    ida = new_person("Ida", "admin")
    for name in NAMES:
        proposal, _stays, closes = proposed(mo, name)
        other = new_person("Somewhere else")
        by_program = partial(merging.merge_users, destination_id=other.pk, source_ids=[closes.pk])
        results = at_once([confirming(proposal, ida, name), by_program])
        # Merging what is closed already moves nothing, so a program may come second and is not refused.
        assert codes(results) in ([], ["closed"])
        assert not User.objects.get(pk=closes.pk).is_active and not Message.objects.filter(author=closes).exists()


def test_closed_or_purged_at_the_same_moment(mo: User) -> None:
    ida = new_person("Ida", "admin")
    for name in NAMES:
        proposal, stays, closes = proposed(mo, name)
        purge = partial(purging.start_purge, user=User.objects.get(pk=closes.pk), actor=mo, reason="Spam.")
        refused = codes(at_once([confirming(proposal, ida, name), purge]))
        assert refused in (["purged"], ["closed"], []), refused
        if Purge.objects.filter(person=closes).exists() and refused:
            assert User.objects.get(pk=stays.pk).is_active and Message.objects.filter(author=closes).exists()
    proposal, stays, closes = proposed(mo, "Fourth")
    close = partial(closing.close_account, User.objects.get(pk=closes.pk))
    assert codes(at_once([confirming(proposal, ida, "Fourth"), close])) in ([], ["closed"])
    assert not User.objects.get(pk=closes.pk).is_active
