"""What the front page shows to visitors: one finished conversation, figures, the latest snapshot, who runs the site.

Its main part is rendered once a minute for each language, so that most visits cost no statement.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language

from leaderboard import cached_statistics
from oasst.accounts.documents import contact_address
from oasst.core.text.languages import LANGUAGES, accepted_languages, name_of
from trees import showcase, snapshot_pages
from trees.interchange.snapshots.published import published_snapshots

PAGE_SECONDS = 60  # so long may a text that was removed still be seen
CHOICE_SECONDS = 24 * 3600
_STATISTICS = ("human_messages_by_lang", "published_trees_by_lang", "users_accepted_tos")


@dataclass(frozen=True)
class Figures:
    """From the statistics that a job computes every ten minutes."""

    people: int
    messages: int
    languages: int
    finished: int  # conversations that visitors can read
    finished_by_lang: dict[str, int]


def render_main(request: HttpRequest) -> SafeString:
    """Return the main part of the page. At most six statements, and none if it was rendered within the last minute."""
    figures = read_figures()
    lang = story_language(request.headers.get("Accept-Language", ""), figures)
    key = f"landing:{get_language()}:{lang}"
    html = cache.get(key)
    if html is None:
        html = render_to_string("pages/landing_main.html", _context(lang, figures), request)
        cache.set(key, str(html), PAGE_SECONDS)
    return mark_safe(html)  # noqa: S308  (rendered by our template)


def read_figures() -> Figures | None:
    """Return the figures, or None before they were computed for the first time. One statement at most."""
    found: Mapping[str, Any] = {one.name: one.data for one in cached_statistics.read_all(_STATISTICS)}
    if len(found) < len(_STATISTICS):
        return None
    messages: dict[str, int] = found["human_messages_by_lang"]
    finished: dict[str, int] = found["published_trees_by_lang"]
    return Figures(
        people=found["users_accepted_tos"]["count"],
        messages=sum(messages.values()),
        languages=len(messages),
        finished=sum(finished.values()),
        finished_by_lang=finished,
    )


def story_language(accept_language: str, figures: Figures | None) -> str:
    """Return the language of the conversation: of the visitor, else of the site, else the one with most, else ""."""
    finished = figures.finished_by_lang if figures else {}
    wanted = [*accepted_languages(accept_language), settings.LANGUAGE_CODE]
    return next((lang for lang in wanted if finished.get(lang)), max(finished, key=finished.__getitem__, default=""))


def find_story(lang: str, today: date) -> showcase.Story:
    """Return the conversation of the day in this language, or the example. The choice is kept for the day."""
    key = f"landing:tree:{lang}:{today.isoformat()}"
    chosen = cache.get(key)
    story = showcase.read_story(UUID(chosen)) if chosen else None
    if story is None and lang and chosen != "":
        story = showcase.choose_story(lang, today)
        cache.set(key, str(story.tree_id) if story else "", CHOICE_SECONDS if story else 10 * PAGE_SECONDS)
    return story or showcase.example_story(lang)


def _context(lang: str, figures: Figures | None) -> dict[str, Any]:
    story = find_story(lang, timezone.now().date())
    snapshot = published_snapshots().first()
    return {
        "figures": figures if figures and figures.finished else None,
        "story": story,
        "story_lang": name_of(story.lang),
        "snapshot": snapshot_pages.summary_of(snapshot) if snapshot else None,
        "languages": len(LANGUAGES),
        "operator": settings.OPERATOR_NAME,
        "contact": contact_address(),
    }
