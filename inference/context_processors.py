"""Whether the site has a chat, for the link in the header of every page."""

from django.http import HttpRequest

from inference.registry import offer
from oasst.accounts.site_settings.reading import current


def chat(request: HttpRequest) -> dict[str, bool]:
    return {"chat_is_on": offer.is_on() and current().chat}
