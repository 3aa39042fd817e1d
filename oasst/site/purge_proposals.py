"""A purge takes two people: one proposes it, and another one looks at it again, types the name and confirms, or
refuses with a reason.

Only if nobody else on the site could confirm does one person purge alone; the audit log says so. Trusted programs and
`./manage.py purge_user` need no second person.
"""

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext

from oasst.accounts import locks, roles, second_person
from oasst.accounts.models import PurgeProposal, User
from oasst.core.audit.recording import record
from oasst.core.errors import Conflict, NotFound
from oasst.core.text.validation import clean_reason
from oasst.site import acts, purging
from trees.models import Purge
from trees.moderation.offered_actions import is_purged

Outcome = PurgeProposal.Outcome


def open_proposals(user: User | None = None) -> QuerySet[PurgeProposal]:
    """Return the proposals, about one user or all, that can still be confirmed."""
    proposals = second_person.open_proposals(PurgeProposal)
    return proposals if user is None else proposals.filter(user=user)


def propose(*, user: User, actor: User, reason: str) -> PurgeProposal:
    """Propose to purge this user. Raise NotAllowed as a ban does, Invalid (the reason), Conflict (`already_proposed`,
    `already_purged`, `no_second_person`).
    """
    reason = clean_reason(reason)
    with transaction.atomic(durable=True):
        actor = _lock(user, actor)
        if is_purged(user):
            raise Conflict(gettext("What this person gave is purged already."), code="already_purged")
        if second_person.is_alone(user, actor):
            raise Conflict(
                gettext("Nobody else on this site could confirm it. Purge at once."), code="no_second_person"
            )
        second_person.refuse_again(open_proposals(user).select_related("proposer").first(), actor)
        proposal = PurgeProposal.objects.create(user=user, proposer=actor, reason=reason)
        record(acts.PROPOSE_PURGE, user, actor=actor, person_id=user.pk, reason=reason)
        return proposal


def confirm(*, user: User, actor: User, name: str) -> Purge:
    """Start the purge that somebody else proposed, with their reason. `name` is the typed name of the user.

    Raise NotAllowed as a ban does, Invalid `name`, Conflict (`nothing_proposed`, `own_proposal`, `already_purged`).
    """
    with transaction.atomic(durable=True):
        actor = _lock(user, actor)
        proposal = second_person.find_open(open_proposals(), user=user)
        second_person.require_foreign(proposal, actor)
        second_person.require_name(user, name)
        purge = purging.start_purge(user=user, actor=actor, reason=proposal.reason)
        # `proposal_of` finds it by that time.
        confirmed = PurgeProposal.objects.filter(pk=proposal.pk)
        second_person.settle(confirmed, Outcome.CONFIRMED, actor, decided_at=purge.created_at)
        return purge


def refuse(*, proposal_id: int, actor: User, reason: str) -> PurgeProposal:
    """Refuse what somebody else proposed. Raise NotAllowed as a ban does, NotFound, Invalid (the reason), Conflict
    (`nothing_proposed`, `own_proposal`).
    """
    with transaction.atomic(durable=True):
        named = PurgeProposal.objects.select_related("user").filter(pk=proposal_id).first()
        if named is None:
            raise NotFound(gettext("There is no such proposal."), code="no_such_proposal")
        actor = _lock(named.user, actor)
        reason = clean_reason(reason)
        proposal = second_person.find_open(open_proposals(), pk=proposal_id)
        second_person.refuse(proposal, actor, reason)
        record(acts.REFUSE_PURGE, named.user, actor=actor, person_id=named.user_id, reason=reason)
        return proposal


def purge_alone(*, user: User, actor: User, reason: str, name: str) -> Purge:
    """Start a purge without a second person, on a site where nobody else could confirm it.

    Raise NotAllowed as a ban does, Invalid (the reason, `name`), Conflict (`second_person_needed`, `already_purged`).
    """
    reason = clean_reason(reason)
    with transaction.atomic(durable=True):
        actor = _lock(user, actor)
        if not second_person.is_alone(user, actor):
            raise Conflict(
                gettext("A purge takes two people. Propose it; somebody else confirms."), code="second_person_needed"
            )
        second_person.require_name(user, name)
        purge = purging.start_purge(user=user, actor=actor, reason=reason)
        record(acts.PURGE_ALONE, purge, actor=actor, person_id=user.pk, reason=reason)
        return purge


def withdraw(*, user: User, actor: User) -> None:
    """Withdraw the actor's own proposal about this user. Raise Conflict `nothing_proposed`."""
    with transaction.atomic(durable=True):
        locks.lock_administrators()
        locks.lock_user(user)
        second_person.find_own(open_proposals(), actor, user=user)
        second_person.settle(open_proposals(user).filter(proposer=actor), Outcome.WITHDRAWN, actor)
        record(acts.WITHDRAW_PURGE, user, actor=actor, person_id=user.pk)


def proposal_of(purge: Purge) -> PurgeProposal | None:
    """Return the proposal that became this purge; None if one person or a program purged alone."""
    proposals = PurgeProposal.objects.select_related("proposer")
    return proposals.filter(user=purge.person_id, outcome=Outcome.CONFIRMED, decided_at=purge.created_at).first()


def _lock(user: User, actor: User) -> User:
    """Lock the user, and return the actor as they are now, of a higher rank until the transaction ends."""
    locks.lock_administrators()
    locks.lock_user(user)
    actor = User.objects.get(pk=actor.pk)
    roles.require_higher_rank(actor, user)
    return actor
