"""What pages about people need to know beside their own context."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest


def mail(request: HttpRequest) -> dict[str, Any]:
    """`sends_mail`: whether a page may promise that a mail comes."""
    return {"sends_mail": settings.SENDS_MAIL}
