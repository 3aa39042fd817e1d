"""Decisions that take two people: one proposes, and somebody else looks at it again and confirms within seven days.

A proposal ends with the office of its proposer. What is decided, and who may, is up to the modules that use this:
`administrator_bans`, and `purge_proposals` and `merge_proposals` of `oasst.site`.
"""

from collections.abc import Collection
from datetime import datetime
from typing import TypeVar

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext

from oasst.accounts import roles
from oasst.accounts.models import Role, SecondPersonProposal, User
from oasst.core.errors import Conflict, Invalid

Outcome = SecondPersonProposal.Outcome
STAFF = (Role.MODERATOR, Role.ADMIN)
AnyProposal = TypeVar("AnyProposal", bound=SecondPersonProposal)


def open_proposals(model: type[AnyProposal], proposed_by: Collection[Role] = STAFF) -> QuerySet[AnyProposal]:
    """Return the proposals that can still be confirmed: not older than seven days, by somebody who still has one of
    these roles.
    """
    return model._default_manager.filter(
        outcome=Outcome.OPEN,
        at__gt=timezone.now() - model.LIFETIME,
        proposer__role__in=proposed_by,
        proposer__enabled=True,
        proposer__is_active=True,
    )


def is_alone(user: User, actor: User) -> bool:
    """Return True if nobody but the actor may decide about this user, so that nobody could confirm."""
    return not roles.those_above(user).exclude(pk=actor.pk).exists()


def refuse_again(earlier: SecondPersonProposal | None, actor: User) -> None:
    """Raise Conflict `already_proposed` if there is an open proposal, and say whose."""
    if earlier is None:
        return
    if earlier.proposer_id == actor.pk:
        message = gettext("You proposed this already. Somebody else has to confirm it.")
    else:
        message = gettext("%(name)s proposed this already. Somebody else has to confirm it.")
    raise Conflict(message % {"name": earlier.proposer}, code="already_proposed")


def require_foreign(proposal: AnyProposal | None, actor: User) -> AnyProposal:
    """Return the proposal. Raise Conflict `nothing_proposed` if there is none, `own_proposal` if it is the actor's."""
    if proposal is None:
        raise Conflict(gettext("Nobody proposes this any more."), code="nothing_proposed")
    if proposal.proposer_id == actor.pk:
        raise Conflict(gettext("You proposed this yourself. Somebody else has to confirm it."), code="own_proposal")
    return proposal


def name_to_type(user: User) -> str:
    """Return what has to be typed to confirm: the name, or the id of a user without one."""
    return " ".join(user.display_name.split()) or str(user.pk)


def require_name(user: User, typed: str) -> None:
    """Raise Invalid `name` unless the name of this user was typed; spaces do not matter."""
    if " ".join(typed.split()) != name_to_type(user):
        message = gettext("To confirm, type the name as it stands here: %(name)s")
        raise Invalid(message % {"name": name_to_type(user)}, code="name", field="name")


def settle(
    proposals: QuerySet[AnyProposal], outcome: Outcome | str, actor: User, decided_at: datetime | None = None
) -> None:
    """Store what became of these proposals. Raise Conflict `nothing_proposed` if there are none."""
    at = decided_at or timezone.now()
    if not proposals.update(outcome=outcome, decided_by=actor, decided_at=at):
        raise Conflict(gettext("You have proposed nothing here."), code="nothing_proposed")
