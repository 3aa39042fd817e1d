"""The session engine: Django's `cached_db` with a column for the user, and the list of a user's own sessions.

The session itself stores when it started and was last seen, the browser and the network. That costs one write per hour.
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

MAX_SHOWN = 50
VISIT_INTERVAL = 3600
"""Seconds between two recorded visits."""
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
    """A session as its user sees it. `handle` identifies it without revealing its key."""

    handle: str
    is_this_one: bool
    began_at: datetime | None
    seen_at: datetime | None
    program: str
    network: str


def describe(request: HttpRequest) -> None:
    """Record the time, browser and network of a sign-in."""
    request.session[_BROWSER] = {"since": time.time(), **_current_visit(request)}


def note_visit(request: HttpRequest) -> None:
    """Record a visit, at most once in VISIT_INTERVAL seconds. This write also renews session and cookie."""
    browser = request.session.get(_BROWSER, {})
    if time.time() - browser.get("seen", 0) > VISIT_INTERVAL:
        request.session[_BROWSER] = {**browser, **_current_visit(request)}
        kept_forms.drop_expired(request)


def describe_client(request: HttpRequest) -> dict[str, str]:
    """Return `program` and `network` of this request, as in the list of sessions."""
    return {"program": _program(request.META.get("HTTP_USER_AGENT", "")), "network": _network(request)}


def sessions_of(request: HttpRequest, user: User) -> list[OwnSession]:
    """Return the user's open sessions: this one first, then the most recently seen."""
    rows = Session.objects.filter(account=user.pk, expire_date__gt=timezone.now()).order_by("-expire_date")
    own = [_own(row, row.session_key == request.session.session_key) for row in rows[:MAX_SHOWN]]
    return sorted(own, key=lambda s: (s.is_this_one, s.seen_at or datetime.fromtimestamp(0, UTC)), reverse=True)


def end_session(user: User, handle: str) -> bool:
    """Sign the user out of one browser. Return False if they have no such session."""
    for key in Session.objects.filter(account=user.pk).values_list("session_key", flat=True):
        if session_handle(key) == handle:
            SessionStore(key).delete()
            return True
    return False


def end_other_sessions(request: HttpRequest, user: User) -> None:
    """Sign the user out of all other browsers and all programs. Their own tokens stay valid."""
    Session.end_all_of(user, but=request.session.session_key if request.user == user else None)
    program_sessions.end_all_of(user)


def end_after_new_password(request: HttpRequest, user: User, **kwargs: Any) -> None:
    """Handle allauth's signals about a new password."""
    end_other_sessions(request, user)


def is_open(session_key: str | None, user: User) -> bool:
    """Return True if this is still a session of the user, with one query."""
    return Session.objects.filter(session_key=session_key, account=user.pk, expire_date__gt=timezone.now()).exists()


def _current_visit(request: HttpRequest) -> dict[str, Any]:
    agent = request.META.get("HTTP_USER_AGENT", "")[:200]
    return {"seen": time.time(), "agent": agent, "network": _network(request)}


def _own(row: Session, is_this_one: bool) -> OwnSession:
    browser = row.get_decoded().get(_BROWSER, {})
    return OwnSession(
        handle=session_handle(row.session_key),
        is_this_one=is_this_one,
        began_at=_time(browser.get("since")),
        seen_at=_time(browser.get("seen")),
        program=_program(browser.get("agent", "")),
        network=browser.get("network", ""),
    )


def session_handle(key: str) -> str:
    """Return a public name of a session, because pages may not show its key."""
    return hashlib.sha256(f"oasst.session:{key}".encode()).hexdigest()[:32]


def _time(stamp: float | None) -> datetime | None:
    return datetime.fromtimestamp(stamp, UTC) if stamp else None


# The first match counts: Edge and Opera also contain "Chrome", and Chrome contains "Safari".
_PROGRAMS = (
    *(("Edg", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("FxiOS/", "Firefox"), ("CriOS/", "Chrome")),
    *(("Chrome/", "Chrome"), ("Safari/", "Safari")),
)
_SYSTEMS = (
    *(("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("Windows", "Windows"), ("Mac OS", "macOS")),
    *(("CrOS", "ChromeOS"), ("Linux", "Linux")),
)


def _program(agent: str) -> str:
    """Return a readable name such as "Firefox on Windows"."""
    program = next((name for part, name in _PROGRAMS if part in agent), "")
    system = next((name for part, name in _SYSTEMS if part in agent), "")
    if program and system:
        return f"{program} on {system}"
    return program or system or agent[:40] or "An unknown browser"


def _network(request: HttpRequest) -> str:
    """Return a coarse network, enough to recognize one's own but not to locate somebody."""
    try:
        address = ip_address(client_address(request))
    except ValueError:
        return ""
    if address.version == 4:
        return str(address).rpartition(".")[0] + ".x"
    return str(ip_network((address, 48), strict=False))
