"""Template filters for texts of people: `{% load written %}`."""

from django import template
from django.utils.safestring import SafeString

from oasst.core.markdown import rendering

register = template.Library()


@register.filter
def written(text: str) -> SafeString:
    """Return the HTML of a text, for an element of class `prose`."""
    return rendering.render(text)


@register.filter
def plain_excerpt(text: str, limit: int) -> str:
    """Return the start of a text on one line, without Markdown."""
    return rendering.plain_excerpt(text, limit)
