"""Whether the site has a chat, for the link in the header of every page."""

from django.http import HttpRequest

from inference.chats.offered_models import models_on_offer
from oasst.accounts.site_settings.reading import current


def chat(request: HttpRequest) -> dict[str, bool]:
    return {"chat_is_on": bool(models_on_offer()) and current().chat}
