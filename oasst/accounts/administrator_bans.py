"""Bans of administrators: one other administrator proposes it, a second one confirms, and one always stays.

The same two voices lift it. The operator of the site needs neither (`./manage.py ban_user`, `unban_user`).
"""

from django.db.models import F, QuerySet
from django.utils import timezone

from oasst.accounts.account_bans import let_in, shut_out
from oasst.accounts.locks import lock_administrators, lock_user
from oasst.accounts.models import BanProposal, Role, User
from oasst.core.errors import Conflict, NotAllowed
from oasst.core.text.validation import clean_reason

Outcome = BanProposal.Outcome


def needs_two(user: User, actor: User) -> bool:
    """Is this an administrator deciding about another one?"""
    return user.role == Role.ADMIN and actor.is_active and actor.is_superuser and actor.pk != user.pk


def open_proposals(user: User | None = None) -> QuerySet[BanProposal]:
    """What was proposed, about this person or about anybody, and can still be confirmed. Costs nothing for people who
    are no administrators.
    """
    if user is not None and user.role != Role.ADMIN:
        return BanProposal.objects.none()
    fresh = timezone.now() - BanProposal.LIFETIME
    proposers = User.objects.filter(role=Role.ADMIN, enabled=True, is_active=True)
    found = BanProposal.objects.filter(outcome=Outcome.OPEN, at__gt=fresh, proposer__in=proposers)
    found = found.exclude(lifts=F("user__enabled"))
    return found if user is None else found.filter(user=user)


def ban(user: User, *, actor: User, reason: str) -> bool:
    """Propose that this administrator is banned, or confirm what another administrator proposed, whose reason counts.
    Returns whether the person is banned now.

    Inside the caller's transaction. Raises NotAllowed `rank`, Invalid (the reason), Conflict (`banned`,
    `already_proposed`, `last_administrator`).
    """
    return _decide(user, actor, reason, lifts=False)


def unban(user: User, *, actor: User, reason: str) -> bool:
    """As `ban`, to let this administrator in again. Raises Conflict `not_banned` for one who is not banned."""
    return _decide(user, actor, reason, lifts=True)


def withdraw(user: User, *, actor: User) -> None:
    """Take back what this administrator proposed about the person. Raises Conflict `nothing_proposed`."""
    lock_administrators()
    _settle(BanProposal.objects.filter(user=user, proposer=actor, outcome=Outcome.OPEN), Outcome.WITHDRAWN, actor)


def _decide(user: User, actor: User, reason: str, *, lifts: bool) -> bool:
    reason = clean_reason(reason)
    lock_administrators()
    lock_user(user)
    actor = User.objects.get(pk=actor.pk)  # who was banned a moment ago has no voice
    if not needs_two(user, actor):
        raise NotAllowed("Only another administrator decides about an administrator.", code="rank")
    if user.enabled and lifts:
        raise Conflict("This person is not banned.", code="not_banned")
    if not user.enabled and not lifts:
        raise Conflict("This person is banned already.", code="banned")
    proposals = open_proposals(user).order_by("pk")
    if proposals.filter(proposer=actor).exists():
        raise Conflict("You proposed this already. Another administrator has to confirm it.", code="already_proposed")
    proposal = proposals.first()
    if proposal is None:
        BanProposal.objects.create(user=user, proposer=actor, reason=reason, lifts=lifts)
        return False
    (let_in if lifts else shut_out)(user, actor=actor, reason=proposal.reason)
    _settle(BanProposal.objects.filter(pk=proposal.pk), Outcome.CONFIRMED, actor)
    return True


def _settle(proposals: QuerySet[BanProposal], outcome: str, actor: User) -> None:
    if not proposals.update(outcome=outcome, decided_by=actor, decided_at=timezone.now()):
        raise Conflict("You have proposed nothing here.", code="nothing_proposed")
