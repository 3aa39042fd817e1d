"""Bans of administrators: one administrator proposes a ban and another one confirms or refuses it. One always remains.

Lifting it works the same way. The operator needs neither (`./manage.py ban_user`, `unban_user`).
"""

from django.db.models import F, QuerySet
from django.utils.translation import gettext

from oasst.accounts import acts, second_person
from oasst.accounts.account_bans import apply_ban, lift_ban
from oasst.accounts.locks import lock_administrators, lock_user
from oasst.accounts.models import BanProposal, Role, User
from oasst.core.audit.recording import record
from oasst.core.errors import Conflict, NotAllowed
from oasst.core.text.validation import clean_reason

Outcome = BanProposal.Outcome


def needs_confirmation(user: User, actor: User) -> bool:
    """Return True if an administrator decides about another one."""
    return user.role == Role.ADMIN and actor.is_active and actor.is_superuser and actor.pk != user.pk


def open_proposals(user: User | None = None) -> QuerySet[BanProposal]:
    """Return the proposals, about one user or all, that can still be confirmed. No query if the user is no admin."""
    if user is not None and user.role != Role.ADMIN:
        return BanProposal.objects.none()
    proposals = second_person.open_proposals(BanProposal, [Role.ADMIN]).filter(user__role=Role.ADMIN)
    proposals = proposals.exclude(lifts=F("user__enabled"))
    return proposals if user is None else proposals.filter(user=user)


def shown_at_start(actor: User) -> QuerySet[BanProposal]:
    """Return the open proposals, and what others refused this administrator lately."""
    return (open_proposals() | second_person.refused_lately(BanProposal, actor, "user")).order_by("pk")


def ban(user: User, *, actor: User, reason: str) -> bool:
    """Propose to ban an administrator, or confirm another administrator's proposal, whose reason counts.

    Return True if the user is banned now. Needs an open transaction. Raise NotAllowed `rank`, Invalid (the reason),
    Conflict (`banned`, `already_proposed`, `last_administrator`).
    """
    return _decide(user, actor, reason, lifts=False)


def unban(user: User, *, actor: User, reason: str) -> bool:
    """Do the same as `ban` to lift a ban. Raise Conflict `not_banned` if there is none."""
    return _decide(user, actor, reason, lifts=True)


def confirm(proposal_id: int, *, actor: User) -> BanProposal:
    """Do what this proposal says, with its reason, and return it. Needs an open transaction.

    Raise NotAllowed `rank`, Conflict (`nothing_proposed` if it is no longer open, `already_proposed` by the actor,
    `last_administrator`).
    """
    lock_administrators()
    proposal = _find_open(proposal_id)
    _decide(proposal.user, actor, proposal.reason, lifts=proposal.lifts, confirms=proposal)
    return proposal


def refuse(user: User, *, actor: User, reason: str) -> None:
    """Refuse what another administrator proposes about this one. Needs an open transaction.

    Raise NotAllowed `rank`, Invalid (the reason), Conflict (`nothing_proposed`, `own_proposal`).
    """
    lock_administrators()
    _refuse(second_person.find_open(open_proposals().select_related("user"), user=user), actor, reason)


def refuse_one(proposal_id: int, *, actor: User, reason: str) -> None:
    """Refuse this proposal, as `refuse` does. Needs an open transaction."""
    lock_administrators()
    _refuse(_find_open(proposal_id), actor, reason)


def _refuse(proposal: BanProposal, actor: User, reason: str) -> None:
    actor = _other_administrator(proposal.user, actor)
    reason = clean_reason(reason)
    second_person.refuse(proposal, actor, reason)
    record(acts.REFUSE_PROPOSAL, proposal.user, actor=actor, person_id=proposal.user_id, reason=reason)


def withdraw_one(proposal_id: int, *, actor: User) -> None:
    """Withdraw this proposal of the actor. Needs an open transaction. Raise Conflict `nothing_proposed`."""
    lock_administrators()
    withdraw(_find_open(proposal_id).user, actor=actor)


def _find_open(proposal_id: int) -> BanProposal:
    return second_person.find_open(open_proposals().select_related("user"), pk=proposal_id)


def withdraw(user: User, *, actor: User, reason: str = "") -> None:
    """Withdraw the actor's proposal about this user. Raise Conflict `nothing_proposed`."""
    lock_administrators()
    proposals = BanProposal.objects.filter(user=user, proposer=actor, outcome=Outcome.OPEN)
    second_person.find_own(proposals, actor, user=user)
    second_person.settle(proposals, Outcome.WITHDRAWN, actor)
    record(acts.WITHDRAW_PROPOSAL, user, actor=actor, person_id=user.pk, reason=reason)


def _decide(user: User, actor: User, reason: str, *, lifts: bool, confirms: BanProposal | None = None) -> bool:
    reason = clean_reason(reason)
    lock_administrators()
    lock_user(user)
    actor = _other_administrator(user, actor)
    if user.enabled and lifts:
        raise Conflict(gettext("This person is not suspended."), code="not_banned")
    if not user.enabled and not lifts:
        raise Conflict(gettext("This person is suspended already."), code="banned")
    proposals = open_proposals(user).order_by("pk")
    if proposals.filter(proposer=actor).exists():
        raise Conflict(
            gettext("You proposed this already. Another administrator has to confirm it."), code="already_proposed"
        )
    proposal = confirms or proposals.first()
    if proposal is None:
        BanProposal.objects.create(user=user, proposer=actor, reason=reason, lifts=lifts)
        act = acts.PROPOSE_UNBAN if lifts else acts.PROPOSE_BAN
        record(act, user, actor=actor, person_id=user.pk, reason=reason)
        return False
    (lift_ban if lifts else apply_ban)(user, actor=actor, reason=proposal.reason)
    second_person.settle(BanProposal.objects.filter(pk=proposal.pk), Outcome.CONFIRMED, actor)
    return True


def _other_administrator(user: User, actor: User) -> User:
    """Return the actor as they are now: they may have been banned meanwhile. Raise NotAllowed `rank`."""
    actor = User.objects.get(pk=actor.pk)
    if not needs_confirmation(user, actor):
        raise NotAllowed(gettext("Only another administrator decides about an administrator."), code="rank")
    return actor
