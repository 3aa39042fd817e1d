"""Who may take part. Costs no statement: everything asked for stands on the person's own row."""

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest

from oasst.accounts.documents import TERMS
from oasst.accounts.models import User
from oasst.core.errors import NotAllowed
from oasst.core.http.requests import comes_from_elsewhere, is_private_site


def has_current_terms(user: User) -> bool:
    return user.terms_version == TERMS.version or (user.vouched_for and not settings.API_REQUIRES_TERMS)


def require_member(user: User | AnonymousUser) -> None:
    """Refuse whoever has no account in good standing: `sign_in`, `closed` or `suspended`."""
    if isinstance(user, AnonymousUser):
        raise NotAllowed("Please sign in first.", code="sign_in")
    if not user.is_active or user.deleted_at is not None:
        raise NotAllowed("This account was closed.", code="closed")
    if not user.enabled:
        raise NotAllowed("This account is suspended.", code="suspended", hint=user.ban_reason)


def may_sign_in_unproven(request: HttpRequest) -> bool:
    """Whether this request may use the sign-in without proof: DEBUG is on, the site is for one machine, and the request
    does not surely come from another.
    """
    return settings.DEBUG and is_private_site() and not comes_from_elsewhere(request)


def require_moderator(person: User) -> None:
    """Refuse everybody but moderators and administrators in good standing."""
    if not (person.is_active and person.is_staff):
        raise NotAllowed("This is for moderators.", code="moderators_only")


def require_contributor(user: User | AnonymousUser) -> None:
    """Refuse whoever may not contribute: the reasons of `require_member`, or `terms_missing`."""
    require_member(user)
    assert isinstance(user, User)
    if not has_current_terms(user):
        raise NotAllowed(_how_to_agree(user), code="terms_missing")


def where_to_agree() -> str:
    """The page, and the call for a program that acts as the person."""
    return (
        f"at {settings.PUBLIC_URL}/terms/accept/, or, with a personal token, by POST {settings.PUBLIC_URL}"
        f"/api/v1/frontend_users/ with tos_acceptance true and tos_version {TERMS.version}"
    )


def _how_to_agree(user: User) -> str:
    if not user.vouched_for:
        return f"Please agree to version {TERMS.version} of the terms first, {where_to_agree()}."
    site = settings.PUBLIC_URL
    return (
        f"This person has to agree to version {TERMS.version} of the terms first. Show them {site}/terms/ and then say "
        f"so by POST {site}/api/v1/frontend_users/ with tos_acceptance true. For trusted programs "
        f"PUT {site}/api/v1/users/{user.pk}?tos_acceptance=true does the same."
    )
