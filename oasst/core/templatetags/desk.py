"""Template filters for the pages of moderators: `{% load desk %}`."""

from datetime import datetime
from typing import Any

from django import template
from django.db.models import Model
from django.utils.safestring import SafeString
from django.utils.text import capfirst

from oasst.core import read_only_admin

register = template.Library()


@register.filter
def age(moment: datetime | None) -> SafeString:
    """Return how long ago it was; pointing at it shows the time."""
    return read_only_admin.age(moment)


@register.filter
def age_and_time(moment: datetime | None) -> SafeString:
    """Return how long ago it was, and when."""
    return read_only_admin.age_and_time(moment)


@register.filter
def crumb(part: Any) -> str:
    """Return a step of the path above a page: rows of the database by their title instead of their id."""
    return read_only_admin.title_of_row(part) if isinstance(part, Model) else capfirst(str(part))
