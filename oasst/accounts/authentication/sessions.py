"""The session engine: Django's `cached_db`, with a column that says whose session it is.

And what people see of their own sessions. When it began, when it was last seen, the browser and the network stand in
the session itself: reading a page costs nothing for it, and once an hour one write.
"""

import hashlib
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from typing import Any

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends import cached_db
from django.core.cache import caches
from django.http import HttpRequest
from django.utils import timezone

from oasst.accounts.authentication import program_sessions
from oasst.accounts.models import Session, User
from oasst.core.http import kept_forms
from oasst.core.http.requests import client_address
from oasst.core.signed_cache import SignedCache

MOST_SHOWN = 50
SEEN_EVERY = 3600
"""Seconds. So often a visit is written down."""
_BROWSER = "browser"


class SessionStore(cached_db.SessionStore):
    cache_key_prefix = "oasst.sessions"

    def __init__(self, session_key: str | None = None) -> None:
        super().__init__(session_key)
        self._cache: Any = SignedCache(caches[settings.SESSION_CACHE_ALIAS])

    @classmethod
    def get_model_class(cls) -> type[Session]:
        return Session

    def create_model_instance(self, data: dict[str, Any]) -> Any:
        session: Any = super().create_model_instance(data)
        session.account = data.get(SESSION_KEY)
        return session


@dataclass(frozen=True)
class OwnSession:
    """A browser that is signed in, as its person sees it. `handle` names it without giving its key away."""

    handle: str
    is_this_one: bool
    began_at: datetime | None
    seen_at: datetime | None
    program: str
    network: str


def describe(request: HttpRequest) -> None:
    """Write down where and with what somebody signed in just now."""
    request.session[_BROWSER] = {"since": time.time(), **_as_seen_now(request)}


def note_visit(request: HttpRequest) -> None:
    """Once in SEEN_EVERY seconds. Costs nothing otherwise: the session is loaded for the page anyway.

    Writing it down also renews the session: Django then sends the cookie again and counts its age from now on.
    """
    about = request.session.get(_BROWSER, {})
    if time.time() - about.get("seen", 0) > SEEN_EVERY:
        request.session[_BROWSER] = {**about, **_as_seen_now(request)}
        kept_forms.drop_old(request)


def where_from(request: HttpRequest) -> dict[str, str]:
    """The `program` and the `network` of this request, in the words of the list of sessions."""
    return {"program": _program(request.META.get("HTTP_USER_AGENT", "")), "network": _network(request)}


def sessions_of(request: HttpRequest, user: User) -> list[OwnSession]:
    """This browser first, then by when they were seen last. Those that ran out are left out."""
    rows = Session.objects.filter(account=user.pk, expire_date__gt=timezone.now()).order_by("-expire_date")
    own = [_own(row, row.session_key == request.session.session_key) for row in rows[:MOST_SHOWN]]
    return sorted(own, key=lambda one: (one.is_this_one, one.seen_at or datetime.fromtimestamp(0, UTC)), reverse=True)


def end_session(user: User, handle: str) -> bool:
    """Sign this person out of one browser. False for what is no session of theirs, or no more."""
    for key in Session.objects.filter(account=user.pk).values_list("session_key", flat=True):
        if handle_of(key) == handle:
            SessionStore(key).delete()
            return True
    return False


def end_other_sessions(request: HttpRequest, user: User) -> None:
    """Sign this person out everywhere but here: browsers and programs. Tokens that they made stay."""
    Session.end_all_of(user, but=request.session.session_key if request.user == user else None)
    program_sessions.end_all_of(user)


def end_after_new_password(request: HttpRequest, user: User, **kwargs: Any) -> None:
    """Receives allauth's signals about a new password."""
    end_other_sessions(request, user)


def is_open(session_key: str | None, user: User) -> bool:
    """Is this still a session of this person? One statement."""
    return Session.objects.filter(session_key=session_key, account=user.pk, expire_date__gt=timezone.now()).exists()


def _as_seen_now(request: HttpRequest) -> dict[str, Any]:
    agent = request.META.get("HTTP_USER_AGENT", "")[:200]
    return {"seen": time.time(), "agent": agent, "network": _network(request)}


def _own(row: Session, is_this_one: bool) -> OwnSession:
    about = row.get_decoded().get(_BROWSER, {})
    return OwnSession(
        handle=handle_of(row.session_key),
        is_this_one=is_this_one,
        began_at=_time(about.get("since")),
        seen_at=_time(about.get("seen")),
        program=_program(about.get("agent", "")),
        network=about.get("network", ""),
    )


def handle_of(key: str) -> str:
    """The key opens the session, so no page shows it."""
    return hashlib.sha256(f"oasst.session:{key}".encode()).hexdigest()[:32]


def _time(stamp: float | None) -> datetime | None:
    return datetime.fromtimestamp(stamp, UTC) if stamp else None


# The first that is found counts: Edge and Opera also say Chrome, and Chrome says Safari.
_PROGRAMS = (
    *(("Edg", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("FxiOS/", "Firefox"), ("CriOS/", "Chrome")),
    *(("Chrome/", "Chrome"), ("Safari/", "Safari")),
)
_SYSTEMS = (
    *(("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("Windows", "Windows"), ("Mac OS", "macOS")),
    *(("CrOS", "ChromeOS"), ("Linux", "Linux")),
)


def _program(agent: str) -> str:
    """In words of people: "Firefox on Windows"."""
    program = next((name for part, name in _PROGRAMS if part in agent), "")
    system = next((name for part, name in _SYSTEMS if part in agent), "")
    if program and system:
        return f"{program} on {system}"
    return program or system or agent[:40] or "An unknown browser"


def _network(request: HttpRequest) -> str:
    """Coarse: enough to know one's own again, not enough to find somebody."""
    try:
        address = ip_address(client_address(request))
    except ValueError:
        return ""
    if address.version == 4:
        return str(address).rpartition(".")[0] + ".x"
    return str(ip_network((address, 48), strict=False))
