"""The models that this site offers, and since when."""

from datetime import datetime

from django.conf import settings
from django.utils import timezone

from inference.models import OfferedModel
from oasst.core.errors import Invalid

_STARTED = timezone.now()


def models_on_offer() -> list[str]:
    """Return the names of the models; an empty list if chat is off."""
    return [] if settings.OASST_CHAT_MODEL == "none" else [settings.OASST_CHAT_MODEL]


def note_offer() -> None:
    """Store when each model was first offered. Call it when a web process starts."""
    for name in models_on_offer():
        OfferedModel.objects.get_or_create(name=name)


def offered_since(name: str) -> datetime:
    """Return when the site first started with this model, or the start of this process if that is not stored."""
    noted = OfferedModel.objects.filter(name=name).values_list("since", flat=True).first()
    return noted or _STARTED


def require_offered(model: str) -> None:
    """Raise Invalid `unknown_model` if the site does not offer the model."""
    if model not in models_on_offer():
        raise Invalid(f"There is no model called {model[:100]!r} here.", code="unknown_model", field="model")


def still_offered(model: str) -> str:
    """Return the name, or an empty string if the model is no longer offered."""
    return model if model in models_on_offer() else ""
