"""/guidelines/: what makes a good text and a fair judgment, a page for each kind of work.

The texts are in templates/guidelines/. A change of meaning there needs a new entry at the top of VERSIONS; a test
compares the texts with the digest of the newest entry, so that none is forgotten.
"""

import hashlib
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path
from django.utils import translation
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from oasst.core.errors import NotFound
from trees.label_guide import MEANINGS, Example, Meaning, examples_of
from trees.labels import LABELS, Label


@dataclass(frozen=True)
class Topic:
    """One page. Titles and texts are lazy translations."""

    slug: str
    title: Any
    text: Any
    category: str
    """Of the picture: write, check, compare or empty."""
    glyph: str

    @property
    def template(self) -> str:
        return f"guidelines/{self.slug}.html"


TOPICS = {
    topic.slug: topic
    for topic in (
        Topic(
            "everybody",
            _("For everybody"),
            _("Read first, use your own words, be fair: the rules of every task."),
            "",
            "quiet",
        ),
        Topic(
            "prompts",
            _("Writing as the user"),
            _("First messages of a conversation, and what the same person says next."),
            "write",
            "initial_prompt",
        ),
        Topic(
            "answers",
            _("Writing as the assistant"),
            _("Answers from which a model is to learn."),
            "write",
            "assistant_reply",
        ),
        Topic(
            "reviewing",
            _("Reviewing"),
            _("What to keep out, and what each label means, with examples."),
            "check",
            "label_assistant_reply",
        ),
        Topic("ranking", _("Ranking"), _("How to put answers in order."), "compare", "rank_assistant_replies"),
        Topic(
            "safety",
            _("Safety and personal data"),
            _("Dangerous subjects, people in distress, and what must never be written here."),
            "",
            "safety",
        ),
    )
}


@dataclass(frozen=True)
class Version:
    on: date
    changes: Any
    digest: str
    """Of the texts (`digest_of_texts`)."""


VERSIONS = (
    Version(
        date(2026, 11, 30),
        _("The first version."),
        "0bb19e8ee795f59f22619f77f6005f9296d013d2a6048ea19921ae7d83264b4f",
    ),
)
"""Newest first."""


def digest_of_texts() -> str:
    """Return a digest of the pages' templates, in the order of TOPICS, and of what the labels mean."""
    folder = Path(settings.BASE_DIR) / "templates"
    texts = [(folder / topic.template).read_text(encoding="utf-8") for topic in TOPICS.values()]
    with translation.override("en"):
        texts += [f"{name}: {one.text} {one.yes} {one.no}" for name, one in MEANINGS.items()]
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


@require_safe
def overview(request: HttpRequest) -> HttpResponse:
    return render(request, "guidelines/overview.html", {"topics": TOPICS.values(), "versions": VERSIONS})


@require_safe
def topic(request: HttpRequest, slug: str) -> HttpResponse:
    shown = TOPICS.get(slug)
    if shown is None:
        raise NotFound("There is no such page of the guidelines.", code="no_such_topic")
    context = {
        "topic": shown,
        "topics": TOPICS.values(),
        "version": VERSIONS[0],
        "labels": _labels() if slug == "reviewing" else [],
    }
    return render(request, shown.template, context)


def _labels() -> list[tuple[Label, Meaning, tuple[Example, Example]]]:
    return [(label, MEANINGS[label.name], examples_of(label)) for label in LABELS.values()]


urlpatterns = [
    path("", overview, name="guidelines"),
    path("<slug:slug>/", topic, name="guidelines_topic"),
]
