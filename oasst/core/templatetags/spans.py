"""Sentences of ours that name something, in templates: `{% load spans %}`."""

import re

from django import template
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

register = template.Library()
_SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")


@register.filter
def code_spans(text: object) -> SafeString:
    """The sentence as HTML, with each word between backticks as code. Everything else stays what it is."""
    return mark_safe(_SPAN.sub(r"<code>\1</code>", escape(text)))  # noqa: S308  (escaped just here)
