"""Authentication of API requests: by the key of an API client, or by the token of a user.

Secrets are looked up by their hash, so neither the table nor the response time reveals anything about them.
"""

import hmac
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from oasst.accounts import development_key, hot
from oasst.accounts.access import require_member
from oasst.accounts.identities import SELF, find_person
from oasst.accounts.models import ApiClient, ApiKey, Secret, Token, User
from oasst.api import cors
from oasst.core import ratelimit
from oasst.core.errors import NotAllowed, NotFound
from oasst.core.http.requests import client_address
from oasst.core.ratelimit import RateLimit, count_use

# "Last used" is accurate to a minute, so that not every request costs a write.
_LAST_USED_PRECISION = timedelta(minutes=1)


class RefuseOtherSites(BaseAuthentication):
    """Refuse requests from pages of other sites. Must be the first authentication class; it authenticates nobody.

    Without it, such a page could try keys through the browser of its visitor, in requests without a preflight.
    """

    def authenticate(self, request: Request) -> None:
        if request.headers.get("Sec-Fetch-Site", "none") in ("none", "same-origin"):
            return
        if not cors.may_read_data(request._request):
            raise NotAllowed("Pages of other sites may not call this.", code="foreign_site")


class ApiKeyAuthentication(BaseAuthentication):
    """`X-API-Key` or `?api_key=`. Sets `request.auth` to the ApiClient; `find_viewer` returns the user it acts for."""

    def authenticate(self, request: Request) -> tuple[AnonymousUser, ApiClient] | None:
        key = request_key(request._request)
        return (AnonymousUser(), find_client(key, request._request)) if key else None


class TokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer <token>`. Sets `request.user`, and `request.auth` to the user's own API client."""

    def authenticate(self, request: Request) -> tuple[User, ApiClient] | None:
        token = find_token(request._request)
        return (token.user, token.user.own_program) if token else None


def request_key(request: HttpRequest) -> str:
    """Return the key of the request, or "". The query wins over the header, as in Open-Assistant."""
    return request.GET.get("api_key") or request.headers.get("X-API-Key") or ""


def bearer_token(request: HttpRequest) -> str:
    """Return the token of `Authorization: Bearer`, or ""."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def find_client(secret: str, request: HttpRequest) -> ApiClient:
    """Return the API client of a key.

    Raise NotAllowed `api_key` for a wrong, expired or disabled key, and for 1234 where it is not switched on. Raise
    Busy for an address that has sent many wrong keys.
    """
    if secret == development_key.KNOWN_SECRET and not development_key.is_enabled_as_key(request):
        count_wrong_secret(ratelimit.WRONG_KEYS_FROM_ADDRESS, request)
        raise NotAllowed(
            "The key 1234 opens nothing here: `./manage.py create_api_client` makes a key. Only on a site of one "
            "machine, without a proxy, OFFICIAL_WEB_API_KEY=1234 switches this one on.",
            code="api_key",
        )
    key = hot.find_key(Secret.digest_of(secret))
    if key and key.client.enabled and not _has_expired(key.expires_at):
        _note_use(ApiKey, key.key_id, key.last_used_at)
        return key.client
    count_wrong_secret(ratelimit.WRONG_KEYS_FROM_ADDRESS, request)
    if key and not key.client.enabled:
        raise NotAllowed("This API client is switched off. Ask the people who run the site why.", code="api_key")
    raise NotAllowed("This API key is not valid.", code="api_key")


def find_token(request: HttpRequest) -> Token | None:
    """Return the token of the request with its user and their own API client, or None without one.

    Raise NotAllowed `token` for a wrong or expired token, `suspended` and `closed` for its user, and Busy for an
    address that has sent many wrong tokens.
    """
    secret = bearer_token(request)
    if not secret:
        return None
    token = Token.objects.select_related("user__own_program").filter(digest=Secret.digest_of(secret)).first()
    if token is None or _has_expired(token.expires_at):
        count_wrong_secret(ratelimit.WRONG_TOKENS_FROM_ADDRESS, request)
        raise NotAllowed("This token is not valid.", code="token")
    require_member(token.user)
    _note_use(Token, token.pk, token.last_used_at)
    return token


def require_root(request: HttpRequest) -> None:
    """Raise NotAllowed `root_token` unless the request has one of ROOT_TOKENS, and Busy after too many wrong ones."""
    scheme, _, sent = request.headers.get("Authorization", "").partition(" ")
    matching = [token for token in settings.ROOT_TOKENS if hmac.compare_digest(token.encode(), sent.strip().encode())]
    if development_key.KNOWN_SECRET in matching and not development_key.is_enabled_as_root_token(request):
        matching = []
    if scheme.lower() != "bearer" or not matching:
        if sent:
            count_wrong_secret(ratelimit.WRONG_TOKENS_FROM_ADDRESS, request)
        raise NotAllowed(
            "This needs the root token of the site, one of ROOT_TOKENS (1234 only on a site of one machine, without a "
            "proxy). Without one, `./manage.py create_api_client` makes API clients and their keys.",
            code="root_token",
        )


def find_viewer(client: ApiClient, request: HttpRequest) -> User | None:
    """Return the user of X-OASST-USER, for whom the API client reads or acts. Raise NotFound `user_not_found`."""
    identity = request.GET.get("oasst_user") or request.headers.get("X-OASST-USER") or ""
    if not identity and client.person_id is not None:
        identity = ":".join(SELF)
    auth_method, _, username = identity.partition(":")
    if not auth_method or not username:
        return None
    user = None if "\0" in identity else find_person(client, auth_method, username)
    if user is None:
        raise NotFound("This API client has no such user.", code="user_not_found")
    return user


def count_wrong_secret(rule: RateLimit, request: HttpRequest) -> None:
    """Count a wrong secret for the address of the request, and raise Busy after too many, to slow down guessing.

    Valid secrets are never counted or refused, whatever others send from the same address.
    """
    count_use(rule, client_address(request))


def _has_expired(expires_at: datetime | None) -> bool:
    return expires_at is not None and expires_at <= timezone.now()


def _note_use(kind: type[ApiKey] | type[Token], secret_id: UUID, last_used_at: datetime | None) -> None:
    now = timezone.now()
    cutoff = now - _LAST_USED_PRECISION
    if last_used_at is None or last_used_at < cutoff:
        # The same condition in SQL, so that only one of many concurrent requests writes.
        outdated = Q(last_used_at=None) | Q(last_used_at__lt=cutoff)
        kind._default_manager.filter(outdated, pk=secret_id).update(last_used_at=now)
