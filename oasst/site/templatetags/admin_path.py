"""The path above a page of the admin: `{% load admin_path %}`."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from django import template
from django.contrib import admin
from django.urls import resolve

from oasst.core.templatetags.desk import crumb

register = template.Library()


@register.filter
def path_above(parts: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, str]]:
    """Yield the steps, with `.link` and `.title`: lists by their name in the menu, and without the names of apps."""
    site: Any = admin.site  # oasst.site.admin_site.ModeratorsSite
    titles: Mapping[str, str] = site.list_titles()
    for part in parts:
        link = str(part.get("link") or "")
        if not link or resolve(link).url_name != "app_list":
            yield {"link": link, "title": titles.get(link) or crumb(part["title"])}
