"""The first administrator and the first API key of a new site."""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from oasst.accounts import api_clients, registration
from oasst.accounts.authentication.sign_in_links import first_administrator, make_link
from oasst.accounts.development_key import KNOWN_SECRET
from oasst.accounts.models import ApiClient, ApiKey, Role, Secret, User
from oasst.core.command_lines import manage

LINK_MINUTES = 60
"""How long the link works that `up` shows: the site is first to be ready, and its operator to look."""


@dataclass(frozen=True)
class FirstRun:
    """Secrets, in the clear for the only time."""

    email: str = ""
    password: str = ""
    api_key: str = ""

    def lines(self) -> list[str]:
        found = []
        if self.email:
            found += [f"Administrator:  {self.email}", f"Password:       {self.password}"]
        if self.api_key:
            found.append(f"API key:        {self.api_key}")
        return found


@transaction.atomic
def create_what_is_missing(*, email: str, file: Path) -> FirstRun:
    """An administrator and an API client where there is none yet; empty where both exist.

    The file is written before the commit: a crash between the two leaves a useless file, not a lost password.
    """
    first = FirstRun()
    if not User.objects.filter(role=Role.ADMIN).exists():
        password = secrets.token_urlsafe(15)
        registration.create_user(email=email, role=Role.ADMIN, password=password)
        first = FirstRun(email=email, password=password)
    if not ApiClient.objects.exists():
        _, key = api_clients.create_api_client(name="first client", trusted=True)
        first = FirstRun(first.email, first.password, key)
    _switch_known_secret(on=settings.OFFICIAL_WEB_API_KEY == KNOWN_SECRET)
    if settings.OFFICIAL_WEB_API_KEY:
        _ensure_official_key(settings.OFFICIAL_WEB_API_KEY)
    if first.lines():
        write_private(file, "\n".join(first.lines()) + "\n")
    return first


def welcome(first: FirstRun, *, terminal: bool) -> list[str]:
    """What `up` says when the site is ready. Secrets are for a person at a terminal: anything else is kept as a log."""
    return [*_how_to_sign_in(first, terminal=terminal), *_first_secrets(first, terminal=terminal)]


def _how_to_sign_in(first: FirstRun, *, terminal: bool) -> list[str]:
    """One address to open. It signs in at every start until the site sends mail; afterwards codes come by mail."""
    owner = first_administrator()
    if owner is None or (settings.SENDS_MAIL and not first.email):
        return [f"oasst is ready: {settings.PUBLIC_URL}"]
    if not terminal:
        return [
            f"oasst is ready: {settings.PUBLIC_URL}",
            f"Sign in:        `{manage(f'sign_in_link {owner.email}')}` makes a link",
        ]
    link = make_link(owner, minutes=LINK_MINUTES)
    return [
        f"oasst is ready. Click this link: it signs you in as {owner.email}, once, within {LINK_MINUTES} minutes.",
        f"  {link}",
    ]


def _first_secrets(first: FirstRun, *, terminal: bool) -> list[str]:
    if not first.lines():
        return []
    where = f"in {settings.FIRST_RUN_FILE} until an administrator signs in."
    if terminal:
        return [*first.lines(), f"Shown once. They also stand {where}"]
    key = f"API key:        `{manage('create_api_client NAME --trusted')}` makes one"
    return [key, f"The first password and key stand {where}"]


def _switch_known_secret(*, on: bool) -> None:
    """Earlier versions stored a key 1234 untold. It ends here, unless the operator has switched it on."""
    rows = ApiKey.objects.filter(digest=Secret.digest_of(KNOWN_SECRET))
    if on:
        rows.update(expires_at=None)
    else:
        now = timezone.now()
        rows.filter(Q(expires_at=None) | Q(expires_at__gt=now)).update(expires_at=now)


def ensure_metrics_token() -> bool:
    """Keep a token for /metrics in OASST_HOME where the operator has set none. True if it was made now."""
    if settings.METRICS_TOKEN:
        return False
    write_private(settings.KEPT_METRICS_TOKEN, secrets.token_urlsafe(32) + "\n")
    return True


def _ensure_official_key(key: str) -> None:
    """The trusted client whose key the operator has given. A key that is stored stays whose it is."""
    if not ApiKey.objects.filter(digest=Secret.digest_of(key)).exists():
        api_clients.create_api_client(name="website", trusted=True, key=key, frontend_type="web")


def write_private(path: Path, text: str) -> None:
    """For the owner's eyes; whole or not at all, whatever stood there before."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        os.fchmod(descriptor, 0o600)
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    fresh.replace(path)
