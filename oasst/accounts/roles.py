"""Ranks of roles, roles from the settings, and the rule that one administrator always remains."""

from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from oasst.accounts import acts
from oasst.accounts.access import require_moderator
from oasst.accounts.locks import lock_administrators
from oasst.accounts.models import Role, User
from oasst.core.audit.rows import Watched, recorded_rows
from oasst.core.errors import Conflict, NotAllowed

LISTED = "The settings of the site list this address or account."
_RANKS = {Role.GENERAL: 0, Role.MODERATOR: 1, Role.ADMIN: 2}


def apply_listed_role(user: User) -> None:
    """Raise the user to the role that the settings give to one of their verified addresses (ADMIN_EMAILS,
    MODERATOR_EMAILS) or accounts at another service (ADMIN_USERS, MODERATOR_USERS).

    It never demotes anybody: only an administrator does that.
    """
    role = Role.GENERAL
    if _is_listed(user, settings.ADMIN_EMAILS, settings.ADMIN_USERS):
        role = Role.ADMIN
    elif _is_listed(user, settings.MODERATOR_EMAILS, settings.MODERATOR_USERS):
        role = Role.MODERATOR
    if _RANKS[role] > _RANKS[Role(user.role)]:
        watched = {"user": Watched(User.objects.filter(pk=user.pk), ("role",))}
        with transaction.atomic(), recorded_rows(acts.CHANGE, user, watched, person_id=user.pk, reason=LISTED):
            user.role = role
            user.save(update_fields=["role"])


def _is_listed(user: User, emails: list[str], accounts: list[str]) -> bool:
    """Return True if a verified address or a linked account (`provider:id`) of the user is listed."""
    if emails:
        verified = EmailAddress.objects.filter(user=user, verified=True).values_list("email", flat=True)
        if not set(emails).isdisjoint(email.lower() for email in verified):
            return True
    if accounts:
        linked = SocialAccount.objects.filter(user=user).values_list("provider", "uid")
        return not set(accounts).isdisjoint(f"{provider}:{uid}" for provider, uid in linked)
    return False


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


def those_above(user: User) -> QuerySet[User]:
    """Return everybody of a higher rank than this user who could act now."""
    roles = [role for role, rank in _RANKS.items() if rank > _rank_of(user)]
    return User.objects.filter(role__in=roles, enabled=True, is_active=True)


def has_no_role(user: User) -> bool:
    """Return True for whoever has neither a role nor duties."""
    return user.role == Role.GENERAL and not user.duties


def has_higher_rank(actor: User, user: User) -> bool:
    """Return True for moderators about people without a role, and for administrators about all but each other.

    Operators and auditors count as moderators here, so that no moderator suspends who watches them. Their own duties
    raise nobody.
    """
    return _RANKS[Role(actor.role)] > _rank_of(user)


def _rank_of(user: User) -> int:
    return max(_RANKS[Role(user.role)], _RANKS[Role.MODERATOR] if user.duties else 0)
