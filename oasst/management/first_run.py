"""The first administrator and the first API key of a new site."""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db import transaction

from oasst.accounts import services
from oasst.accounts.models import ApiClient, ApiKey, Role, Secret, User


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
def create_what_is_missing(*, email: str, file: Path) -> FirstRun | None:
    """An administrator and an API client where there is none yet; None where both exist.

    The file is written before the commit: a crash between the two leaves a useless file, not a lost password.
    """
    first = FirstRun()
    if not User.objects.filter(role=Role.ADMIN).exists():
        password = secrets.token_urlsafe(15)
        services.create_user(email=email, role=Role.ADMIN, password=password)
        first = FirstRun(email=email, password=password)
    if not ApiClient.objects.exists():
        _, key = services.create_api_client(name="first client", trusted=True)
        first = FirstRun(first.email, first.password, key)
    if settings.OFFICIAL_WEB_API_KEY:
        _ensure_known_key(settings.OFFICIAL_WEB_API_KEY)
    if not first.lines():
        return None
    write_private(file, "\n".join(first.lines()) + "\n")
    return first


def _ensure_known_key(key: str) -> None:
    """The trusted client whose key the operator, or habit, has given. A key that is known stays whose it is."""
    if not ApiKey.objects.filter(digest=Secret.digest_of(key)).exists():
        services.create_api_client(name="website", trusted=True, key=key, frontend_type="web")


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
