"""Who is calling: a program by its key, or a program that acts as one person by that person's token.

Secrets are looked up by their hash, so neither the table nor the time of the answer tells anything about them.
"""

from datetime import timedelta
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db.models import Q
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from oasst.accounts.access import require_member
from oasst.accounts.models import ApiClient, ApiKey, Secret, Token, User
from oasst.core.errors import NotAllowed

# "Last used" is for people who tidy up keys: to the minute is enough, and a request must not cost a write.
_LAST_USED_GRAIN = timedelta(minutes=1)


class ApiKeyAuthentication(BaseAuthentication):
    """`X-API-Key`, or `?api_key=`, which wins as it always did on this wire. `request.auth` is the ApiClient.

    The key says which program calls. Whom it speaks for is part of the request and asked by the views.
    """

    def authenticate(self, request: Request) -> tuple[AnonymousUser, ApiClient] | None:
        given = request.query_params.get("api_key") or request.headers.get("X-API-Key")
        return (AnonymousUser(), find_client(given)) if given else None


class TokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer <token>`. `request.user` is the person."""

    def authenticate(self, request: Request) -> tuple[User, Token] | None:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not given.strip():
            return None
        token = _valid(Token.objects.select_related("user"), given.strip())
        if token is None:
            raise NotAllowed("This token is not valid.", code="token")
        require_member(token.user)
        return token.user, token


def find_client(given: str | None) -> ApiClient:
    """The program that this key belongs to. Raises NotAllowed `api_key` for none, a wrong one and one switched off."""
    if not given:
        raise NotAllowed("An API key is needed: the header X-API-Key.", code="api_key")
    key = _valid(ApiKey.objects.select_related("api_client"), given)
    if key is None or not key.api_client.enabled:
        raise NotAllowed("This API key is not valid.", code="api_key")
    client: ApiClient = key.api_client
    return client


def _valid(secrets: Any, given: str) -> Any:
    """The key or token that `given` is, unless it has expired."""
    now = timezone.now()
    found = secrets.filter(digest=Secret.digest_of(given)).first()
    if found is None or (found.expires_at is not None and found.expires_at <= now):
        return None
    stale = now - _LAST_USED_GRAIN
    if found.last_used_at is None or found.last_used_at < stale:
        # The condition again: of many requests at once, one writes.
        type(found).objects.filter(Q(last_used_at=None) | Q(last_used_at__lt=stale), pk=found.pk).update(
            last_used_at=now
        )
    return found
