"""Who is calling: a program by its key, or a program that acts as one person by that person's token.

Secrets are looked up by their hash, so neither the table nor the time of the answer tells anything about them.
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
from oasst.accounts.identities import ME, find_person
from oasst.accounts.models import ApiClient, ApiKey, Secret, Token, User
from oasst.api import cors
from oasst.core import ratelimit
from oasst.core.errors import NotAllowed, NotFound
from oasst.core.http.requests import client_address
from oasst.core.ratelimit import RateLimit, spend

# "Last used" is for people who tidy up keys: to the minute is enough, and a request must not cost a write.
_LAST_USED_GRAIN = timedelta(minutes=1)


class RefuseForeignPages(BaseAuthentication):
    """Finds nobody. It comes first and refuses pages of other sites: one that a person looks at could send what needs
    no preflight, with a key that it guessed.
    """

    def authenticate(self, request: Request) -> None:
        if request.headers.get("Sec-Fetch-Site", "none") in ("none", "same-origin"):
            return
        if not cors.may_read(request._request):
            raise NotAllowed("Pages of other sites may not call this.", code="foreign_site")


class ApiKeyAuthentication(BaseAuthentication):
    """`X-API-Key`, or `?api_key=`. `request.auth` is the ApiClient.

    The key says which program calls. Whom it speaks for is part of the request: `find_viewer`.
    """

    def authenticate(self, request: Request) -> tuple[AnonymousUser, ApiClient] | None:
        key = key_of(request._request)
        return (AnonymousUser(), find_client(key, request._request)) if key else None


class TokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer <token>`. `request.user` is the person, `request.auth` the program that they are."""

    def authenticate(self, request: Request) -> tuple[User, ApiClient] | None:
        token = find_token(request._request)
        return (token.user, token.user.own_program) if token else None


def key_of(request: HttpRequest) -> str:
    """The key that came along; that of the query wins, as it always did on this wire."""
    return request.GET.get("api_key") or request.headers.get("X-API-Key") or ""


def bearer_of(request: HttpRequest) -> str:
    """What came as `Authorization: Bearer`; empty where nothing did."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    return given.strip() if scheme.lower() == "bearer" else ""


def find_client(given: str, request: HttpRequest) -> ApiClient:
    """The program that this key belongs to. Raises NotAllowed `api_key` for a wrong one, one switched off, and the one
    that everybody knows where it is not switched on, and Busy for an address that has brought many wrong ones.

    Wrong keys are counted here, for every edge: also where the address of a program is free of other limits.
    """
    if given == development_key.KNOWN_SECRET and not development_key.opens_as_key(request):
        count_wrong(ratelimit.WRONG_KEYS_FROM_ADDRESS, request)
        raise NotAllowed(
            "The key 1234 opens nothing here: `./manage.py create_api_client` makes a key. Only on a site of one "
            "machine, without a proxy, OFFICIAL_WEB_API_KEY=1234 switches this one on.",
            code="api_key",
        )
    found = hot.find_key(Secret.digest_of(given))
    if found and found.client.enabled and not _has_expired(found.expires_at):
        _note_use(ApiKey, found.key_id, found.last_used_at)
        return found.client
    count_wrong(ratelimit.WRONG_KEYS_FROM_ADDRESS, request)
    raise NotAllowed("This API key is not valid.", code="api_key")


def find_token(request: HttpRequest) -> Token | None:
    """The token that came along, with its person and their own program; None without one.

    Raises NotAllowed `token` for a wrong or expired one, `suspended` and `closed` for its person, and Busy for an
    address that has brought many wrong ones.
    """
    given = bearer_of(request)
    if not given:
        return None
    token = Token.objects.select_related("user__own_program").filter(digest=Secret.digest_of(given)).first()
    if token is None or _has_expired(token.expires_at):
        count_wrong(ratelimit.WRONG_TOKENS_FROM_ADDRESS, request)
        raise NotAllowed("This token is not valid.", code="token")
    require_member(token.user)
    _note_use(Token, token.pk, token.last_used_at)
    return token


def require_root(request: HttpRequest) -> None:
    """Raises NotAllowed `root_token` unless one of ROOT_TOKENS came along, and Busy after too many wrong ones."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    known = [token for token in settings.ROOT_TOKENS if hmac.compare_digest(token.encode(), given.strip().encode())]
    if development_key.KNOWN_SECRET in known and not development_key.opens_as_root(request):
        known = []
    if scheme.lower() != "bearer" or not known:
        if given:
            count_wrong(ratelimit.WRONG_TOKENS_FROM_ADDRESS, request)
        raise NotAllowed(
            "This needs the root token of the site, one of ROOT_TOKENS (1234 only on a site of one machine, without a "
            "proxy). Without one, `./manage.py create_api_client` makes programs and their keys.",
            code="root_token",
        )


def find_viewer(client: ApiClient, request: HttpRequest) -> User | None:
    """The person of X-OASST-USER: who looks, or for whom the program acts. Raises NotFound `user_not_found`."""
    given = request.GET.get("oasst_user") or request.headers.get("X-OASST-USER") or ""
    if not given and client.person_id is not None:
        given = ":".join(ME)
    auth_method, _, username = given.partition(":")
    if not auth_method or not username:
        return None
    person = None if "\0" in given else find_person(client, auth_method, username)
    if person is None:
        raise NotFound("This API client has no such user.", code="user_not_found")
    return person


def count_wrong(rule: RateLimit, request: HttpRequest) -> None:
    """This address brought a secret that opens nothing. Raises Busy after too many, so that guessers are slow; a right
    one is never counted or refused, whatever others send from the same address.
    """
    spend(rule, client_address(request))


def _has_expired(expires_at: datetime | None) -> bool:
    return expires_at is not None and expires_at <= timezone.now()


def _note_use(kind: type[ApiKey] | type[Token], secret_id: UUID, last_used_at: datetime | None) -> None:
    now = timezone.now()
    stale = now - _LAST_USED_GRAIN
    if last_used_at is None or last_used_at < stale:
        # The condition again: of many requests at once, one writes.
        unnoted = Q(last_used_at=None) | Q(last_used_at__lt=stale)
        kind._default_manager.filter(unnoted, pk=secret_id).update(last_used_at=now)
