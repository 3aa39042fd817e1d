"""robots.txt, and sitemaps of the public pages, the published conversations and the snapshots, for search engines.

Django's own sitemap framework writes them. They are cached for hours, because a file lists ten thousand conversations.
Everybody gets the same: no cookie, nothing personal.
"""

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.sitemaps import Sitemap
from django.contrib.sitemaps.views import SitemapIndexItem, sitemap
from django.core.cache import cache
from django.db.models import F, Max
from django.http import Http404, HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import path, reverse
from django.views.decorators.http import require_safe

from oasst.site.guidelines import TOPICS
from oasst.site.team import has_team
from trees.interchange.snapshots.published import published_snapshots
from trees.lifecycle.states import State
from trees.models import Message, MessageTree, Snapshot
from trees.published import PUBLISHED

CACHED_SECONDS = 6 * 60 * 60
PAGE_SIZE = 10_000
"""Addresses in a file; the protocol allows 50,000."""
_PAGES = (
    *("landing", "about", "explore", "guidelines", "statistics", "snapshots", "terms", "privacy", "thanks"),
    *("api-docs", "api-docs-chat", "api-docs-openai"),
)
_NOT_FOR_MACHINES = ("/admin/", "/accounts/", "/me/", "/tasks/", "/chat/", "/leaving/", "/fault/", "/explore/?")
_APIS = ("/api/", "/inference/", "/v1/")


class _OfThisSite(Sitemap):
    """Addresses as people know the site, whatever name the request used."""

    limit = PAGE_SIZE

    def get_domain(self, site: Any = None) -> str:
        return urlsplit(settings.PUBLIC_URL).netloc

    def get_protocol(self, protocol: str | None = None) -> str:
        return urlsplit(settings.PUBLIC_URL).scheme


class Pages(_OfThisSite):
    """What anybody may read besides the data."""

    def items(self) -> Sequence[str]:
        pages = [reverse(name) for name in _PAGES]
        pages += [reverse("guidelines_topic", args=[slug]) for slug in TOPICS]
        return [*pages, reverse("team")] if has_team() else pages

    def location(self, item: str) -> str:
        return item


class Conversations(_OfThisSite):
    """Finished conversations whose prompt is published, oldest first, so that a file changes only at the end."""

    def items(self) -> Any:
        prompts = Message.objects.filter(PUBLISHED, id=F("tree_id")).order_by("tree__created_at", "tree_id")
        return prompts.values_list("pk", "tree__state_since")

    def location(self, item: tuple[Any, datetime]) -> str:
        return reverse("tree", args=[item[0]])

    def lastmod(self, item: tuple[Any, datetime]) -> datetime:
        return item[1]

    def get_latest_lastmod(self) -> datetime | None:
        """One statement, where Django's version reads all rows."""
        finished = MessageTree.objects.filter(state=State.READY_FOR_EXPORT.value)
        latest: datetime | None = finished.aggregate(latest=Max("state_since"))["latest"]
        return latest


class Snapshots(_OfThisSite):
    """The snapshots that are offered for download."""

    def items(self) -> Any:
        return published_snapshots()

    def location(self, item: Snapshot) -> str:
        return reverse("snapshot", args=[item.name])


SITEMAPS: dict[str, type[_OfThisSite]] = {"pages": Pages, "conversations": Conversations, "snapshots": Snapshots}


def _cached(write: Callable[..., str]) -> Callable[..., HttpResponse]:
    """Keep the text of a file: our cache holds no responses, which Django's `cache_page` would store."""

    @require_safe
    def cached(request: HttpRequest, **part: str) -> HttpResponse:
        page = request.GET.get("p", "1") if part else "1"
        if not re.fullmatch("[1-9][0-9]{0,5}", page):  # one spelling of each, or the cache would hold many of one file
            raise Http404
        key = f"sitemap:{part.get('section', '')}:{page}"
        text: str | None = cache.get(key)
        if text is None:
            text = write(request, **part)
            cache.set(key, text, CACHED_SECONDS)
        return HttpResponse(text, content_type="application/xml", headers={"X-Robots-Tag": "noindex"})

    return cached


def _index(request: HttpRequest) -> str:
    """Return the list of all files. Django's view would name them as this request named the site."""
    files = []
    for name, kind in SITEMAPS.items():
        part, url = kind(), f"{settings.PUBLIC_URL}{reverse('sitemap_part', args=[name])}"
        changed: Any = part.get_latest_lastmod()  # a date, where the stubs have a truth value
        pages = [url if page == 1 else f"{url}?p={page}" for page in part.paginator.page_range]
        files += [SitemapIndexItem(location=page, last_mod=changed) for page in pages]
    return render_to_string("sitemap_index.xml", {"sitemaps": files})


def _part(request: HttpRequest, section: str) -> str:
    """Return one file. Raise Http404."""
    return sitemap(request, sitemaps={**SITEMAPS}, section=section).render().content.decode()


@require_safe
def robots(request: HttpRequest) -> HttpResponse:
    """Keep programs out of pages for people who take part, of searches and of the APIs."""
    lines = ["User-agent: *", *(f"Disallow: {prefix}" for prefix in (*_NOT_FOR_MACHINES, *_APIS)), ""]
    lines.append(f"Sitemap: {settings.PUBLIC_URL}{reverse('sitemap')}")
    return HttpResponse("\n".join(lines) + "\n", content_type="text/plain; charset=utf-8")


urlpatterns = [
    path("robots.txt", robots, name="robots"),
    path("sitemap.xml", _cached(_index), name="sitemap"),
    path("sitemap-<slug:section>.xml", _cached(_part), name="sitemap_part"),
]
