"""Ranks of roles, roles from the settings, and the rule that one administrator always remains."""

from allauth.account.models import EmailAddress
from django.conf import settings

from oasst.accounts.access import require_moderator
from oasst.accounts.locks import lock_administrators
from oasst.accounts.models import Role, User
from oasst.core.errors import Conflict, NotAllowed

_RANKS = {Role.GENERAL: 0, Role.MODERATOR: 1, Role.ADMIN: 2}


def apply_listed_role(user: User) -> None:
    """Raise the user to the role that ADMIN_EMAILS or MODERATOR_EMAILS gives to one of their verified addresses.

    It never demotes anybody: only an administrator does that.
    """
    if not settings.ADMIN_EMAILS and not settings.MODERATOR_EMAILS:
        return
    addresses = {
        email.lower() for email in EmailAddress.objects.filter(user=user, verified=True).values_list("email", flat=True)
    }
    role = Role.GENERAL
    if addresses & set(settings.ADMIN_EMAILS):
        role = Role.ADMIN
    elif addresses & set(settings.MODERATOR_EMAILS):
        role = Role.MODERATOR
    if _RANKS[role] > _RANKS[Role(user.role)]:
        user.role = role
        user.save(update_fields=["role"])


def is_last_administrator(user: User) -> bool:
    """Return True if this user is the only administrator. Reliable only under `lock_administrators`."""
    if user.role != Role.ADMIN or not (user.enabled and user.is_active):
        return False
    others = User.objects.filter(role=Role.ADMIN, enabled=True, is_active=True, deleted_at=None).exclude(pk=user.pk)
    return not others.exists()


def require_another_administrator(user: User) -> None:
    """Call `lock_administrators`, and raise Conflict `last_administrator` for the only administrator."""
    if user.role == Role.ADMIN:
        lock_administrators()
        if is_last_administrator(user):
            raise Conflict(
                "This is the last administrator of the site. Make somebody else administrator first.",
                code="last_administrator",
            )


def require_higher_rank(actor: User, user: User) -> None:
    """Raise NotAllowed `moderators_only` or `rank` if the actor may not decide about this user."""
    require_moderator(actor)
    if not has_higher_rank(actor, user):
        raise NotAllowed("This needs somebody of a higher rank than theirs.", code="rank")


def has_higher_rank(actor: User, user: User) -> bool:
    return _RANKS[Role(actor.role)] > _RANKS[Role(user.role)]
