"""The models that this site offers, and since when."""

from datetime import datetime

from django.conf import settings
from django.utils import timezone

from inference.models import OfferedModel
from oasst.core.errors import Invalid

_STARTED = timezone.now()


def models_on_offer() -> list[str]:
    """The names that answers can be asked of; none where chat is off."""
    return [] if settings.OASST_CHAT_MODEL == "none" else [settings.OASST_CHAT_MODEL]


def note_offer() -> None:
    """Keep when each model was offered first. For the start of whatever offers them."""
    for name in models_on_offer():
        OfferedModel.objects.get_or_create(name=name)


def offered_since(name: str) -> datetime:
    """When the site first started with this model; the start of this process where nobody noted it."""
    noted = OfferedModel.objects.filter(name=name).values_list("since", flat=True).first()
    return noted or _STARTED


def require_offered(model: str) -> None:
    """Raises Invalid `unknown_model`."""
    if model not in models_on_offer():
        raise Invalid(f"There is no model called {model[:100]!r} here.", code="unknown_model", field="model")


def still_offered(model: str) -> str:
    """The name of the model, or nothing when it is not offered any more."""
    return model if model in models_on_offer() else ""
