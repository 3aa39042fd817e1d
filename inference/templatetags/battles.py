"""Words and numbers of the board of models."""

from django import template
from django.utils.translation import gettext_lazy as _

from inference.chats.presets import NAMES

register = template.Library()

_STYLES = {"length": _("length"), "lists": _("lists"), "headings": _("headings"), "bold": _("bold text")}


@register.filter
def preset_name(preset: str) -> str:
    """Return the name of a preset as the settings of the chat show it."""
    return NAMES.get(preset, preset)


@register.filter
def style_name(style: str) -> str:
    return str(_STYLES.get(style, style))


@register.filter
def signed(points: float) -> str:
    """Return whole points with their sign."""
    return f"{round(points):+d}".replace("-", "−")


@register.filter
def unlocalized(number: float) -> str:
    """Return a coordinate as SVG wants it, whatever the language of the page writes between digits."""
    return f"{number:.1f}"
