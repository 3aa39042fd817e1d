"""Decisions that take two people: one proposes, and somebody else looks at it again and confirms within seven days, or
refuses, with a reason.

A proposal ends with the office of its proposer. What is decided, and who may, is up to the modules that use this:
`administrator_bans`, and `purge_proposals` and `merge_proposals` of `oasst.site`.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any, TypeVar

from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from oasst.accounts import roles
from oasst.accounts.models import Role, SecondPersonProposal, User
from oasst.core.errors import Conflict, Invalid

Outcome = SecondPersonProposal.Outcome
STAFF = (Role.MODERATOR, Role.ADMIN)
REFUSED = _("Refused. Whoever proposed it sees your reason on the start page.")
"""What pages say to who refused."""
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


def refused_lately(model: type[AnyProposal], proposer: User, about: str) -> QuerySet[AnyProposal]:
    """Return what others refused this proposer in the last seven days, unless something newer was proposed about the
    same user. `about` names the field of that user.
    """
    proposals = model._default_manager
    newer = proposals.filter(**{about: OuterRef(about)}, pk__gt=OuterRef("pk"))
    since = timezone.now() - model.LIFETIME
    refused = proposals.filter(outcome=Outcome.REFUSED, proposer=proposer, decided_at__gt=since)
    return refused.exclude(Exists(newer))


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


def find_open(open_ones: QuerySet[AnyProposal], **which: Any) -> AnyProposal:
    """Return the oldest of the open proposals with these values. Raise Conflict `nothing_proposed`, which says what
    became of the last one with them.
    """
    found = open_ones.filter(**which).order_by("pk").first()
    if found is None:
        raise _gone(open_ones.model, which) or Conflict(
            gettext("Nobody proposes this any more."), code="nothing_proposed"
        )
    return found


def find_own(open_ones: QuerySet[AnyProposal], actor: User, **which: Any) -> AnyProposal:
    """Do the same as `find_open` among the actor's own proposals."""
    own = {"proposer": actor, **which}
    found = open_ones.filter(**own).order_by("pk").first()
    if found is None:
        raise _gone(open_ones.model, own) or Conflict(
            gettext("You have proposed nothing here."), code="nothing_proposed"
        )
    return found


def _gone(model: type[AnyProposal], which: dict[str, Any]) -> Conflict | None:
    """Return what to raise if somebody decided about the last of these proposals."""
    last = model._default_manager.filter(**which).select_related("decided_by").order_by("pk").last()
    messages = {
        Outcome.CONFIRMED: gettext("Nobody proposes this any more. %(name)s confirmed it."),
        Outcome.WITHDRAWN: gettext("Nobody proposes this any more. %(name)s withdrew it."),
        Outcome.REFUSED: gettext("Nobody proposes this any more. %(name)s refused it."),
    }
    if last is None or last.outcome not in messages:
        return None
    return Conflict(messages[Outcome(last.outcome)] % {"name": last.decided_by}, code="nothing_proposed")


def require_foreign(proposal: SecondPersonProposal, actor: User) -> None:
    """Raise Conflict `own_proposal` if the proposal is the actor's."""
    if proposal.proposer_id == actor.pk:
        message = gettext("You proposed this yourself. Somebody else has to decide; you can withdraw it.")
        raise Conflict(message, code="own_proposal")


def name_to_type(user: User) -> str:
    """Return what has to be typed to confirm: the name, or the id of a user without one."""
    return " ".join(user.display_name.split()) or str(user.pk)


def require_name(user: User, typed: str) -> None:
    """Raise Invalid `name` unless the name of this user was typed; spaces do not matter."""
    if " ".join(typed.split()) != name_to_type(user):
        message = gettext("To confirm, type the name as it stands here: %(name)s")
        raise Invalid(message % {"name": name_to_type(user)}, code="name", field="name")


def settle(
    proposals: QuerySet[AnyProposal],
    outcome: Outcome | str,
    actor: User,
    *,
    decided_at: datetime | None = None,
    refuse_reason: str = "",
) -> None:
    """Store what became of these proposals, which the caller found under the lock of the administrators."""
    at = decided_at or timezone.now()
    proposals.update(outcome=outcome, decided_by=actor, decided_at=at, refuse_reason=refuse_reason)


def refuse(proposal: SecondPersonProposal, actor: User, reason: str) -> None:
    """Store that the actor refused this open proposal of somebody else. Raise Conflict `own_proposal`."""
    require_foreign(proposal, actor)
    same = type(proposal)._default_manager.filter(pk=proposal.pk)
    settle(same, Outcome.REFUSED, actor, refuse_reason=reason)
