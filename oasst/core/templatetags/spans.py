"""Template filter for our own sentences: `{% load spans %}`."""

import re

from django import template
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

register = template.Library()
_SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")


@register.filter
def code_spans(text: object) -> SafeString:
    """Return the escaped sentence, with words between backticks as `<code>`."""
    return mark_safe(_SPAN.sub(r"<code>\1</code>", escape(text)))  # noqa: S308  (escaped here)
