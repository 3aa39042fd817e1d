"""Who may take part. All checks use only the user's own row, without a query."""

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.utils.translation import gettext

from oasst.accounts.documents import TERMS
from oasst.accounts.groups import ADMINISTER, MODERATE, OPERATE
from oasst.accounts.models import User
from oasst.core.errors import NotAllowed
from oasst.core.http.requests import is_private_site, is_surely_remote


def has_current_terms(user: User) -> bool:
    return user.terms_version == TERMS.version or (user.vouched_for and not settings.API_REQUIRES_TERMS)


def require_member(user: User | AnonymousUser) -> None:
    """Raise NotAllowed for anonymous, closed and suspended users: `sign_in`, `closed` or `suspended`."""
    if isinstance(user, AnonymousUser):
        raise NotAllowed("Please sign in first.", code="sign_in")
    if not user.is_active or user.deleted_at is not None:
        raise NotAllowed("This account was closed.", code="closed")
    if not user.enabled:
        raise NotAllowed("This account is suspended.", code="suspended", hint=user.ban_reason)


def may_use_debug_login(request: HttpRequest) -> bool:
    """Return True if the debug sign-in is allowed: DEBUG is on, and site and request belong to this machine."""
    return settings.DEBUG and is_private_site() and not is_surely_remote(request)


def require_moderator(user: User) -> None:
    """Raise NotAllowed for everybody but moderators and administrators who are not closed or suspended."""
    if not user.has_perm(MODERATE):
        raise NotAllowed("This is for moderators.", code="moderators_only")


def require_administrator(user: User) -> None:
    """Raise NotAllowed for everybody but administrators who are not closed or suspended."""
    if not user.has_perm(ADMINISTER):
        raise NotAllowed("This is for administrators.", code="administrators_only")


def require_operator(user: User) -> None:
    """Raise NotAllowed for everybody but operators and administrators who are not closed or suspended."""
    if not user.has_perm(OPERATE):
        raise NotAllowed(gettext("This is for operators and administrators."), code="operators_only")


def require_contributor(user: User | AnonymousUser) -> None:
    """Raise NotAllowed for users who may not contribute: as `require_member`, or `terms_missing`."""
    require_member(user)
    assert isinstance(user, User)
    if not has_current_terms(user):
        raise NotAllowed(_how_to_agree(user), code="terms_missing")


def how_to_accept_terms() -> str:
    """Say on which page, or with which request, a user agrees to the terms."""
    return (
        f"at {settings.PUBLIC_URL}/terms/accept/, or, with a personal token, by POST {settings.PUBLIC_URL}"
        f"/api/v1/frontend_users/ with tos_acceptance true and tos_version {TERMS.version}"
    )


def _how_to_agree(user: User) -> str:
    if not user.vouched_for:
        return f"Please agree to version {TERMS.version} of the terms first, {how_to_accept_terms()}."
    site = settings.PUBLIC_URL
    return (
        f"This person has to agree to version {TERMS.version} of the terms first. Show them {site}/terms/ and then say "
        f"so by POST {site}/api/v1/frontend_users/ with tos_acceptance true. For trusted API clients "
        f"PUT {site}/api/v1/users/{user.pk}?tos_acceptance=true does the same."
    )
