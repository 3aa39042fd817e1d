"""Who ranks above whom, which roles the settings give, and that one administrator always stays."""

from allauth.account.models import EmailAddress
from django.conf import settings

from oasst.accounts.access import require_moderator
from oasst.accounts.locks import lock_administrators
from oasst.accounts.models import Role, User
from oasst.core.errors import Conflict, NotAllowed

_RANKS = {Role.GENERAL: 0, Role.MODERATOR: 1, Role.ADMIN: 2}


def raise_listed_role(user: User) -> None:
    """Give the role that ADMIN_EMAILS or MODERATOR_EMAILS names for one of the person's proven addresses.

    Only ever raises: taking an address off the list is no demotion, an administrator does that.
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
    """Would the site be without an administrator if it lost this person? Exact while `lock_administrators` is held."""
    if user.role != Role.ADMIN or not (user.enabled and user.is_active):
        return False
    others = User.objects.filter(role=Role.ADMIN, enabled=True, is_active=True, deleted_at=None).exclude(pk=user.pk)
    return not others.exists()


def require_another_administrator(user: User) -> None:
    """For whatever ends an administrator. Holds `lock_administrators`; raises Conflict `last_administrator`."""
    if user.role == Role.ADMIN:
        lock_administrators()
        if is_last_administrator(user):
            raise Conflict(
                "This is the last administrator of the site. Make somebody else administrator first.",
                code="last_administrator",
            )


def require_higher_rank(actor: User, user: User) -> None:
    """Refuse whoever may not decide about this person: NotAllowed `moderators_only` or `rank`."""
    require_moderator(actor)
    if not has_higher_rank(actor, user):
        raise NotAllowed("This needs somebody of a higher rank than theirs.", code="rank")


def has_higher_rank(actor: User, user: User) -> bool:
    return _RANKS[Role(actor.role)] > _RANKS[Role(user.role)]
