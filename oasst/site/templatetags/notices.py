"""The number beside the bell."""

from typing import Any

from django import template

from oasst.accounts.models import User
from oasst.site.notices import bell

register = template.Library()


@register.simple_tag(takes_context=True)
def unread_notices(context: dict[str, Any]) -> int:
    """Return how many unread notices the reader of the page has: the variable `unread_notices`, else counted."""
    known = context.get("unread_notices")
    user = context.get("user")
    if known is not None:
        return int(known)
    return bell.count_unread(user.pk) if isinstance(user, User) else 0  # also a lazy one of the request


@register.filter
def bell_number(unread: int) -> str:
    """Return the number as the bell shows it: "99+" for many."""
    return bell.shown(unread)
