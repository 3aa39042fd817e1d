"""Context processors of account pages."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest


def mail(request: HttpRequest) -> dict[str, Any]:
    """Add `sends_mail`: whether a page may promise a mail."""
    return {"sends_mail": settings.SENDS_MAIL}
