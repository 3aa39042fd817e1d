"""Merging accounts of one person takes two people, because nothing undoes it: one proposes it, and another one looks at
it again, types the name of the account that stays and confirms, or refuses with a reason.

Only if nobody else on the site could confirm does one person merge alone; the audit log says so. Trusted programs need
no second person (`merging.merge_users`).
"""

from collections.abc import Collection, Iterable, Sequence
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext

from oasst.accounts import locks, roles, second_person
from oasst.accounts.models import MergeProposal, User
from oasst.core.audit.acts import Act
from oasst.core.audit.people import merged_into
from oasst.core.audit.recording import record
from oasst.core.errors import Conflict, Invalid, NotAllowed, NotFound
from oasst.core.text.validation import clean_reason
from oasst.site import acts, merging, purge_proposals
from trees.models import Purge

Outcome = MergeProposal.Outcome


def open_proposals(person_ids: Collection[UUID] | None = None) -> QuerySet[MergeProposal]:
    """Return the proposals, about any of these accounts or all, that can still be confirmed. The oldest is first."""
    proposals = second_person.open_proposals(MergeProposal).order_by("pk")
    return proposals if person_ids is None else proposals.filter(names_any(person_ids))


def names_any(person_ids: Collection[UUID]) -> Q:
    """Return the condition of proposals that name any of these accounts."""
    return Q(destination__in=person_ids) | Q(sources__overlap=list(person_ids))


def accounts_in(proposals: Iterable[MergeProposal]) -> dict[UUID, User]:
    """Return all accounts that these name, by id. One statement, or none."""
    ids = {pk for one in proposals for pk in (one.destination_id, *one.sources)}
    return {user.pk: user for user in User.objects.filter(pk__in=ids)} if ids else {}


def is_closed(user: User) -> bool:
    return not user.is_active or user.deleted_at is not None


def is_mergeable(user: User) -> bool:
    """Return True for open accounts without a role. No query."""
    return roles.has_no_role(user) and not is_closed(user)


def require_mergeable(destination: User, sources: Sequence[User], actor: User) -> None:
    """Raise whatever forbids this merge now: NotAllowed (`moderators_only`, `rank`, `staff`), Invalid `accounts`,
    Conflict (`closed`, `purged`, `purge_proposed`). Three statements at most if nothing does.
    """
    accounts = [destination, *sources]
    if not 1 <= len(sources) <= MergeProposal.MOST_SOURCES or len({one.pk for one in accounts}) < len(accounts):
        message = gettext("Choose the account that stays, and one to %(number)s others.")
        raise Invalid(message % {"number": MergeProposal.MOST_SOURCES}, code="accounts")
    for user in accounts:
        roles.require_higher_rank(actor, user)
        if not roles.has_no_role(user):
            message = gettext("%(name)s has a role or duties. Take these away first; then the accounts can be merged.")
            raise NotAllowed(message % {"name": user}, code="staff")
        if is_closed(user):
            raise Conflict(_why_closed(user), code="closed")
    _refuse_purged(accounts)


def _why_closed(user: User) -> str:
    into = merged_into(user.pk)
    if into is not None:
        message = gettext("One of these accounts was merged into %(name)s. Merge that one instead.")
        return message % {"name": User.objects.get(pk=into)}
    if user.is_active:
        return gettext("What %(name)s gave was purged, so there is nothing to merge.") % {"name": user}
    return gettext("One of these accounts was closed, so there is nothing to merge.")


def _refuse_purged(accounts: Sequence[User]) -> None:
    purge = Purge.objects.filter(Purge.UNFINISHED, person__in=accounts).select_related("person").first()
    if purge is not None:
        message = gettext("What %(name)s gave is being purged, or was. Undo the purge first; then merge.")
        raise Conflict(message % {"name": purge.person}, code="purged")
    proposed = purge_proposals.open_proposals().filter(user__in=accounts).select_related("user").first()
    if proposed is not None:
        message = gettext("A purge of %(name)s is proposed. That has to be confirmed, refused or withdrawn first.")
        raise Conflict(message % {"name": proposed.user}, code="purge_proposed")


def propose(*, destination: User, sources: Sequence[User], actor: User, reason: str) -> MergeProposal:
    """Propose to merge the sources into the destination. Raise as `require_mergeable`, Invalid (the reason), Conflict
    (`already_proposed`, `no_second_person`).
    """
    reason = clean_reason(reason)
    with transaction.atomic(durable=True):
        actor = _lock([destination, *sources], actor)
        require_mergeable(destination, sources, actor)
        if second_person.is_alone(destination, actor):
            raise Conflict(
                gettext("Nobody else on this site could confirm it. Merge at once."), code="no_second_person"
            )
        ids = sorted(one.pk for one in sources)
        earlier = open_proposals([destination.pk, *ids]).select_related("proposer").first()
        second_person.refuse_again(earlier, actor)
        proposal = MergeProposal.objects.create(destination=destination, sources=ids, proposer=actor, reason=reason)
        _record(acts.PROPOSE_MERGE, proposal, actor, reason)
        return proposal


def confirm(*, proposal_id: int, actor: User, name: str) -> MergeProposal:
    """Merge the accounts as somebody else proposed it, with their reason. `name` is the typed name of the account that
    stays. Raise as `require_mergeable`, Invalid `name`, Conflict (`nothing_proposed`, `own_proposal`, `changed`).
    """
    with transaction.atomic(durable=True):
        destination, sources = _accounts_of(proposal_id)
        actor = _lock([destination, *sources], actor)
        proposal = second_person.find_open(open_proposals(), pk=proposal_id)
        second_person.require_foreign(proposal, actor)
        require_unchanged(proposal, destination, sources, actor)
        second_person.require_name(destination, name)
        second_person.settle(MergeProposal.objects.filter(pk=proposal.pk), Outcome.CONFIRMED, actor)
        _record(acts.CONFIRM_MERGE, proposal, actor, proposal.reason)
        _merge(destination, sources, actor, proposal.reason)
        return proposal


def refuse(*, proposal_id: int, actor: User, reason: str) -> MergeProposal:
    """Refuse what somebody else proposed, also if one of the accounts was closed or suspended since. Raise NotFound,
    NotAllowed (`moderators_only`, `rank`), Invalid (the reason), Conflict (`nothing_proposed`, `own_proposal`).
    """
    with transaction.atomic(durable=True):
        destination, sources = _accounts_of(proposal_id)
        actor = _lock([destination, *sources], actor)
        for user in (destination, *sources):
            roles.require_higher_rank(actor, user)
        reason = clean_reason(reason)
        proposal = second_person.find_open(open_proposals(), pk=proposal_id)
        second_person.refuse(proposal, actor, reason)
        _record(acts.REFUSE_MERGE, proposal, actor, reason)
        return proposal


def require_unchanged(proposal: MergeProposal, destination: User, sources: Sequence[User], actor: User) -> None:
    """Raise as `require_mergeable`, and Conflict `changed` if an account was suspended after this was proposed."""
    require_mergeable(destination, sources, actor)
    for user in (destination, *sources):
        if not user.enabled and user.banned_at is not None and user.banned_at > proposal.at:
            message = gettext(
                "%(name)s was suspended after this was proposed. Refuse it, or let whoever proposed it withdraw it; "
                "then it can be proposed anew."
            )
            raise Conflict(message % {"name": user}, code="changed")


def merge_alone(*, destination: User, sources: Sequence[User], actor: User, reason: str, name: str) -> None:
    """Merge accounts without a second person, on a site where nobody else could confirm it. Raise as
    `require_mergeable`, Invalid (the reason, `name`), Conflict (`second_person_needed`).
    """
    reason = clean_reason(reason)
    with transaction.atomic(durable=True):
        actor = _lock([destination, *sources], actor)
        require_mergeable(destination, sources, actor)
        if not second_person.is_alone(destination, actor):
            raise Conflict(
                gettext("Merging takes two people. Propose it; somebody else confirms."), code="second_person_needed"
            )
        second_person.require_name(destination, name)
        after = {"sources": [str(one.pk) for one in sources]}
        record(acts.MERGE_ALONE, destination, actor=actor, person_id=destination.pk, reason=reason, after=after)
        _merge(destination, sources, actor, reason)


def withdraw(*, proposal_id: int, actor: User) -> None:
    """Withdraw the actor's own proposal. Raise Conflict `nothing_proposed`."""
    with transaction.atomic(durable=True):
        locks.lock_administrators()
        proposal = second_person.find_own(open_proposals(), actor, pk=proposal_id)
        second_person.settle(MergeProposal.objects.filter(pk=proposal.pk), Outcome.WITHDRAWN, actor)
        _record(acts.WITHDRAW_MERGE, proposal, actor)


def _accounts_of(proposal_id: int) -> tuple[User, list[User]]:
    proposal = MergeProposal.objects.select_related("destination").filter(pk=proposal_id).first()
    if proposal is None:
        raise NotFound(gettext("There is no such proposal."), code="no_such_proposal")
    found = accounts_in([proposal])
    return found[proposal.destination_id], [found[pk] for pk in proposal.sources]


def _lock(accounts: Sequence[User], actor: User) -> User:
    """Lock the accounts and refresh them, always in one order. Return the actor as they are now."""
    locks.lock_administrators()
    for user in sorted(accounts, key=lambda one: one.pk):
        locks.lock_user(user)
    return User.objects.get(pk=actor.pk)


def _merge(destination: User, sources: Sequence[User], actor: User, reason: str) -> None:
    ids = [one.pk for one in sources]
    merging.merge_users(destination_id=destination.pk, source_ids=ids, actor=actor, reason=reason)


def _record(act: Act, proposal: MergeProposal, actor: User, reason: str = "") -> None:
    person_id = proposal.destination_id
    after = {"sources": [str(pk) for pk in proposal.sources]}
    record(act, User(pk=person_id), actor=actor, person_id=person_id, reason=reason, after=after)
