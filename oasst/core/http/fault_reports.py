"""Where people report a fault of the site."""

from urllib.parse import quote, urlencode

from django.conf import settings
from django.urls import NoReverseMatch, reverse


def fault_report_url(request_id: str = "") -> str:
    """Return where to report a fault, with the id of the failed request if there is one.

    That is REPORT_FAULT_URL, else a mail to CONTACT_EMAIL, else a page that says whom to ask. Error pages link directly
    to the first two, because they work while the site does not.
    """
    if settings.REPORT_FAULT_URL:
        return settings.REPORT_FAULT_URL.replace("{request_id}", quote(request_id, safe=""))
    if settings.CONTACT_EMAIL:
        subject = f"Fault at {settings.PUBLIC_URL}" + (f" (request {request_id})" if request_id else "")
        return f"mailto:{quote(settings.CONTACT_EMAIL, safe='@')}?{urlencode({'subject': subject}, quote_via=quote)}"
    try:
        page = reverse("report_fault")
    except NoReverseMatch:  # a test with its own URLs
        return ""
    return f"{page}?{urlencode({'request': request_id})}" if request_id else page
