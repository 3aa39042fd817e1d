"""Sessions of users in programs: access tokens for an hour, and refresh tokens for one new pair each.

A refresh token that is used twice was stolen, and either use may be the thief's, so the whole session ends. An access
token is the signed id of its session, which each request looks up: ending the session, or closing or suspending the
account, takes effect at once.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.core.signing import BadSignature, SignatureExpired, TimestampSigner
from django.db import transaction
from django.utils import timezone

from oasst.accounts.models import ProgramSession, RefreshToken, Secret, User
from oasst.core.errors import NotAllowed
from oasst.core.ratelimit import REFRESHES, count_use

ACCESS_LIFETIME = timedelta(hours=1)
REFRESH_LIFETIME = timedelta(days=7)
REFRESH_PREFIX = "refresh_"
_SEPARATOR = "."  # no other kind of token contains one


@dataclass(frozen=True)
class IssuedTokens:
    access: str
    refresh: str


def sign_in(user: User, *, provider: str, proved_at: datetime | None = None) -> IssuedTokens:
    """Start a session that dates from `proved_at`, the time of authentication (default: now), and return its tokens.

    Also delete expired sessions of the user.
    """
    now = timezone.now()
    with transaction.atomic():
        ProgramSession.objects.filter(user=user).exclude(refresh_tokens__expires_at__gt=now).delete()
        session = ProgramSession.objects.create(user=user, provider=provider, created_at=proved_at or now)
        return _new_pair(session)


def refresh(secret: str) -> IssuedTokens:
    """Return a new pair for a refresh token, which can be used only once.

    Raise NotAllowed (`token`, `token_type`, `token_expired`), Busy `rate_limited`.
    """
    if _SEPARATOR in secret:
        raise NotAllowed("Invalid token type", code="token_type")
    tokens = RefreshToken.objects.select_for_update(of=("self", "session"), no_key=True).select_related("session")
    now = timezone.now()
    with transaction.atomic(durable=True):
        token = tokens.filter(digest=Secret.digest_of(secret)).first()
        if token is None or token.session.ended_at is not None:
            raise _invalid()
        is_used, has_expired = token.last_used_at is not None, token.expires_at is None or token.expires_at <= now
        if is_used:
            end(token.session)
        elif not has_expired:
            count_use(REFRESHES, token.session.pk)
            token.last_used_at = now
            token.save(update_fields=["last_used_at"])
            return _new_pair(token.session)
    if is_used:  # outside of the transaction, so that the end of the session is committed
        raise _invalid()
    raise NotAllowed("Token expired", code="token_expired")


def session_of(access_token: str) -> ProgramSession:
    """Return the session of an access token with its user, with one query. Raise NotAllowed as `refresh`.

    It does not check what the user may do.
    """
    if access_token.startswith(REFRESH_PREFIX):
        raise NotAllowed("Invalid token type", code="token_type")
    try:
        session_id = UUID(_signer().unsign(access_token, max_age=ACCESS_LIFETIME))
    except SignatureExpired as error:
        raise NotAllowed("Token expired", code="token_expired") from error
    except (BadSignature, ValueError) as error:
        raise _invalid() from error
    session = ProgramSession.objects.select_related("user").filter(pk=session_id, ended_at=None).first()
    if session is None:
        raise _invalid()
    return session


def is_access_token(token: str) -> bool:
    """Return True if it looks like a token of a session, and not like one that a user created."""
    return _SEPARATOR in token or token.startswith(REFRESH_PREFIX)


def end(session: ProgramSession) -> None:
    ProgramSession.objects.filter(pk=session.pk, ended_at=None).update(ended_at=timezone.now())


def count_of(user: User) -> int:
    """Return in how many programs the user is signed in."""
    sessions = ProgramSession.objects.filter(user=user, ended_at=None, refresh_tokens__expires_at__gt=timezone.now())
    return sessions.distinct().count()


def end_all_of(user: User) -> int:
    """Sign the user out of all programs and return how many there were."""
    return ProgramSession.objects.filter(user=user, ended_at=None).update(ended_at=timezone.now())


def _new_pair(session: ProgramSession) -> IssuedTokens:
    now = timezone.now()
    secret = REFRESH_PREFIX + Secret.new_secret()
    RefreshToken.objects.filter(session=session, expires_at__lt=now).delete()
    RefreshToken.objects.create(
        session=session,
        prefix=secret.removeprefix(REFRESH_PREFIX)[:8],
        digest=Secret.digest_of(secret),
        expires_at=now + REFRESH_LIFETIME,
    )
    return IssuedTokens(access=_signer().sign(str(session.pk)), refresh=secret)


def _signer() -> TimestampSigner:
    return TimestampSigner(sep=_SEPARATOR, salt="oasst.program-session")


def _invalid() -> NotAllowed:
    return NotAllowed("Invalid token", code="token")
