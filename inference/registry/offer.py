"""Which models a user may choose, and which one answers who chose none.

The model of the settings is offered to everybody. Administrators offer others by stages (`inference.registry.stages`):
to staff, to a share of the users, to everybody. Nothing here costs a statement in the steady state.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.utils import timezone

from inference.models import ServedModel
from oasst.accounts.groups import MODERATE
from oasst.accounts.models import User
from oasst.core.errors import Invalid
from oasst.core.remembered import Remembered

Stage = ServedModel.Stage
_STARTED = timezone.now()


@dataclass(frozen=True)
class Staged:
    """A model that somebody is offered."""

    name: str
    stage: str
    share: int


def _read() -> list[Staged]:
    """Return the models with a stage, the newest first. One statement."""
    rows = ServedModel.objects.exclude(stage=Stage.NOBODY).order_by("-staged_at", "name")
    return [Staged(*row) for row in rows.values_list("name", "stage", "share")]


def _as_json(found: list[Staged]) -> Any:
    return [[one.name, one.stage, one.share] for one in found]


def _from_json(values: Any) -> list[Staged] | None:
    """Return None for anything that another release may have stored."""
    try:
        return [Staged(str(name), str(stage), int(share)) for name, stage, share in values]
    except (TypeError, ValueError):
        return None


_staged = Remembered[list[Staged]]("staged_models", read=_read, default=list, as_json=_as_json, from_json=_from_json)
remember, forget = _staged.remember, _staged.forget


def models_for(user: User | AnonymousUser | None) -> list[str]:
    """Return the names of the models that this user may choose, the default first; an empty list if chat is off.

    The default is the model that was offered to everybody last, or else the model of the settings.
    """
    if settings.OASST_CHAT_MODEL == "none":
        return []
    staged = _staged.current()
    in_front = [one.name for one in staged if one.stage == Stage.ALL]
    others = [one.name for one in staged if one.stage != Stage.ALL and _reaches(one, user)]
    return list(dict.fromkeys([*in_front, settings.OASST_CHAT_MODEL, *others]))


def default_model() -> str:
    """Return the model that answers who chose none; an empty string if chat is off."""
    return next(iter(models_for(None)), "")


def offered_to_anybody() -> list[str]:
    """Return every model that at least one user may choose, the default first."""
    return list(dict.fromkeys([*models_for(None), *(one.name for one in _staged.current())])) if is_on() else []


def is_on() -> bool:
    """Return whether the site has a chat at all."""
    return bool(settings.OASST_CHAT_MODEL != "none")


def require_offered(user: User | AnonymousUser | None, model: str) -> None:
    """Raise Invalid `unknown_model` if this user is not offered the model."""
    if model not in models_for(user):
        raise unknown_model(model)


def unknown_model(name: str) -> Invalid:
    """Return the refusal of a model that does not exist, or that this user is not offered: both read the same."""
    return Invalid(f"There is no model called {name[:100]!r} here.", code="unknown_model", field="model")


def still_offered(user: User | AnonymousUser | None, model: str) -> str:
    """Return the name, or an empty string if this user is not offered the model any more."""
    return model if model in models_for(user) else ""


def note_offer() -> None:
    """Store when the model of the settings was first offered. Call it when a web process starts."""
    if is_on():
        ServedModel.objects.get_or_create(name=settings.OASST_CHAT_MODEL)


def offered_since(names: list[str]) -> dict[str, datetime]:
    """Return since when the site knows each model, or the start of this process if that is not stored."""
    noted = dict(ServedModel.objects.filter(name__in=names).values_list("name", "since"))
    return {name: noted.get(name, _STARTED) for name in names}


def is_in_share(user_id: UUID, name: str, percent: int) -> bool:
    """Return whether the user is among this share of the users: always the same ones, and others for each model."""
    digest = hashlib.sha256(f"{name}:{user_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % 100 < percent


def _reaches(staged: Staged, user: User | AnonymousUser | None) -> bool:
    if not isinstance(user, User):
        return False
    if user.has_perm(MODERATE):
        return True  # staff see what comes before others do
    return staged.stage == Stage.SHARE and is_in_share(user.pk, staged.name, staged.share)
