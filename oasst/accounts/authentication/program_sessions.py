"""People signed in with programs: access tokens for an hour, and refresh tokens that are each good for one new pair.

A refresh token that comes a second time was stolen, now or then, and nobody can tell which of the two is the thief. So
the whole session ends. An access token is a signed name of its session, which is looked up with each request: what was
ended is over at once, and so is the account that was closed or suspended meanwhile.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.core.signing import BadSignature, SignatureExpired, TimestampSigner
from django.db import transaction
from django.utils import timezone

from oasst.accounts.models import ProgramSession, RefreshToken, Secret, User
from oasst.core.errors import NotAllowed
from oasst.core.ratelimit import REFRESHES, spend

ACCESS_LIFETIME = timedelta(hours=1)
REFRESH_LIFETIME = timedelta(days=7)
REFRESH_PREFIX = "refresh_"
_SEPARATOR = "."  # no other token of ours has one


@dataclass(frozen=True)
class Pair:
    access: str
    refresh: str


def sign_in(user: User, *, provider: str, proved_at: datetime | None = None) -> Pair:
    """A new session, which is as old as the proof of who the person is (now, if not given).

    Forgets sessions that nobody can go on with any more.
    """
    now = timezone.now()
    with transaction.atomic():
        ProgramSession.objects.filter(user=user).exclude(refresh_tokens__expires_at__gt=now).delete()
        session = ProgramSession.objects.create(user=user, provider=provider, created_at=proved_at or now)
        return _new_pair(session)


def refresh(secret: str) -> Pair:
    """A new pair for a refresh token, which is used up by it. Raises NotAllowed `token`, `token_type`,
    `token_expired`, Busy `rate_limited`.
    """
    if _SEPARATOR in secret:
        raise NotAllowed("Invalid token type", code="token_type")
    found = RefreshToken.objects.select_for_update(of=("self", "session"), no_key=True).select_related("session")
    now = timezone.now()
    with transaction.atomic(durable=True):
        token = found.filter(digest=Secret.digest_of(secret)).first()
        if token is None or token.session.ended_at is not None:
            raise _invalid()
        is_used, is_over = token.last_used_at is not None, token.expires_at is None or token.expires_at <= now
        if is_used:
            end(token.session)
        elif not is_over:
            spend(REFRESHES, token.session.pk)
            token.last_used_at = now
            token.save(update_fields=["last_used_at"])
            return _new_pair(token.session)
    if is_used:  # raised here: the end of the session is committed
        raise _invalid()
    raise NotAllowed("Token expired", code="token_expired")


def session_of(access_token: str) -> ProgramSession:
    """The session, with its person, that an access token stands for. One statement. Raises as `refresh`; what the
    person may do is asked elsewhere.
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
    """Does it look like one of ours, and not like a token that a person made?"""
    return _SEPARATOR in token or token.startswith(REFRESH_PREFIX)


def end(session: ProgramSession) -> None:
    ProgramSession.objects.filter(pk=session.pk, ended_at=None).update(ended_at=timezone.now())


def count_of(user: User) -> int:
    """In how many programs this person is signed in."""
    open_ones = ProgramSession.objects.filter(user=user, ended_at=None, refresh_tokens__expires_at__gt=timezone.now())
    return open_ones.distinct().count()


def end_all_of(user: User) -> int:
    """Sign this person out of every program. Returns of how many."""
    return ProgramSession.objects.filter(user=user, ended_at=None).update(ended_at=timezone.now())


def _new_pair(session: ProgramSession) -> Pair:
    now = timezone.now()
    secret = REFRESH_PREFIX + Secret.new_secret()
    RefreshToken.objects.filter(session=session, expires_at__lt=now).delete()
    RefreshToken.objects.create(
        session=session,
        prefix=secret.removeprefix(REFRESH_PREFIX)[:8],
        digest=Secret.digest_of(secret),
        expires_at=now + REFRESH_LIFETIME,
    )
    return Pair(access=_signer().sign(str(session.pk)), refresh=secret)


def _signer() -> TimestampSigner:
    return TimestampSigner(sep=_SEPARATOR, salt="oasst.program-session")


def _invalid() -> NotAllowed:
    return NotAllowed("Invalid token", code="token")
