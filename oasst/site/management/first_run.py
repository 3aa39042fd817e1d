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
from oasst.core.command_lines import manage_command

SIGN_IN_LINK_MINUTES = 60
"""How long the sign-in link that `up` prints works; the operator may not look at once."""


@dataclass(frozen=True)
class NewSecrets:
    """New secrets in plain text. Only their hashes are stored."""

    email: str = ""
    password: str = ""
    api_key: str = ""

    def lines(self) -> list[str]:
        lines = []
        if self.email:
            lines += [f"Administrator:  {self.email}", f"Password:       {self.password}"]
        if self.api_key:
            lines.append(f"API key:        {self.api_key}")
        return lines


@transaction.atomic
def create_missing(*, email: str, file: Path) -> NewSecrets:
    """Create an administrator and an API client if there is none yet; returns an empty NewSecrets if both exist.

    Writes the file before the commit: a crash between the two leaves a useless file, not a lost password.
    """
    first = NewSecrets()
    if not User.objects.filter(role=Role.ADMIN).exists():
        password = secrets.token_urlsafe(15)
        registration.create_user(email=email, role=Role.ADMIN, password=password)
        first = NewSecrets(email=email, password=password)
    if not ApiClient.objects.exists():
        _, key = api_clients.create_api_client(name="first client", trusted=True, reason="For a new site.")
        first = NewSecrets(first.email, first.password, key)
    _switch_known_secret(on=settings.OFFICIAL_WEB_API_KEY == KNOWN_SECRET)
    if settings.OFFICIAL_WEB_API_KEY:
        _ensure_official_key(settings.OFFICIAL_WEB_API_KEY)
    if first.lines():
        write_private(file, "\n".join(first.lines()) + "\n")
    return first


def welcome_lines(first: NewSecrets, *, terminal: bool) -> list[str]:
    """Return what `up` prints when the site is ready. Secrets appear only on a terminal: other output ends in logs."""
    return [*_how_to_sign_in(first, terminal=terminal), *_first_secrets(first, terminal=terminal)]


def _how_to_sign_in(first: NewSecrets, *, terminal: bool) -> list[str]:
    """Return the lines that say how to sign in: by a link at every start until the site sends mail, later by codes."""
    owner = first_administrator()
    if owner is None or (settings.SENDS_MAIL and not first.email):
        return [f"oasst is ready: {settings.PUBLIC_URL}"]
    if not terminal:
        return [
            f"oasst is ready: {settings.PUBLIC_URL}",
            f"Sign in:        `{manage_command(f'sign_in_link {owner.email}')}` makes a link",
        ]
    link = make_link(owner, minutes=SIGN_IN_LINK_MINUTES)
    return [
        f"oasst is ready. Click this link: it signs you in as {owner.email}, once, "
        f"within {SIGN_IN_LINK_MINUTES} minutes.",
        f"  {link}",
    ]


def _first_secrets(first: NewSecrets, *, terminal: bool) -> list[str]:
    if not first.lines():
        return []
    where = f"in {settings.FIRST_RUN_FILE} until an administrator signs in."
    if terminal:
        return [*first.lines(), f"Shown once. They also stand {where}"]
    key = f"API key:        `{manage_command('create_api_client NAME --trusted')}` makes one"
    return [key, f"The first password and key stand {where}"]


def _switch_known_secret(*, on: bool) -> None:
    """End the key 1234, which earlier versions stored without asking, unless the operator has set it."""
    rows = ApiKey.objects.filter(digest=Secret.digest_of(KNOWN_SECRET))
    if on:
        rows.update(expires_at=None)
    else:
        now = timezone.now()
        rows.filter(Q(expires_at=None) | Q(expires_at__gt=now)).update(expires_at=now)


def ensure_metrics_token() -> bool:
    """Write a new token for /metrics into OASST_HOME unless METRICS_TOKEN is set. Returns True if it did."""
    if settings.METRICS_TOKEN:
        return False
    write_private(settings.KEPT_METRICS_TOKEN, secrets.token_urlsafe(32) + "\n")
    return True


def _ensure_official_key(key: str) -> None:
    """Create the trusted client of OFFICIAL_WEB_API_KEY, unless the key belongs to a client already."""
    if not ApiKey.objects.filter(digest=Secret.digest_of(key)).exists():
        api_clients.create_api_client(
            name="website", trusted=True, key=key, frontend_type="web", reason="OFFICIAL_WEB_API_KEY."
        )


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, atomically."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        os.fchmod(descriptor, 0o600)
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    fresh.replace(path)
