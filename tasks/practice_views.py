"""Practice reviews, also for visitors: judge a text, and see at once what most reviewers said.

Nothing is stored for visitors; their browser keeps some lines until they join (`tasks.practice_memory`).
"""

import random
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from oasst.accounts.models import User
from oasst.core import ratelimit
from oasst.core.errors import NotFound
from oasst.core.http.requests import client_address
from oasst.core.ids import uuid7
from oasst.core.text.languages import accepted_languages, name_of
from tasks import practice_memory
from tasks.forms import LabelForm
from tasks.kinds import TABLE, Kind
from trees.contributing import practice
from trees.contributing.practice import Answered, PracticeItem, Practised
from trees.labels import SPAM
from trees.lifecycle.states import Work

KINDS = (Kind.LABEL_ASSISTANT_REPLY, Kind.LABEL_INITIAL_PROMPT, Kind.LABEL_PROMPTER_REPLY)
MOST_LANGUAGES = 2  # of a visitor, that are looked at


@never_cache
@require_safe
def start(request: HttpRequest) -> HttpResponse:
    """Draw a text and go to its page, which a reload shows again. Reads only."""
    person = _person(request)
    kinds = [kind for kind in KINDS if kind.value == request.GET.get("kind")]
    rng = random.Random()  # noqa: S311  (which text comes next is no secret)
    work = Work((kinds[0] if kinds else rng.choice(KINDS)).value)
    seen = {one.key for one in practice_memory.read(request)} | {request.GET.get("after", "")}
    item = practice.choose(work, _languages(request), person=person, seen=seen, rng=rng)
    path = reverse("practice_item", args=[item.key])
    return redirect(f"{path}?{urlencode({'kind': kinds[0].value})}" if kinds else path)


@require_http_methods(["GET", "HEAD", "POST"])
def practice_item(request: HttpRequest, name: str) -> HttpResponse:
    """Show the questions about one text; on POST the outcome. It never becomes a review."""
    if request.method == "POST":
        person = _person(request)
        ratelimit.count_use(ratelimit.PRACTICE, person.pk if person else client_address(request))
    try:
        item = practice.get_item(name)
    except NotFound:
        if request.method == "POST":
            raise
        return redirect("practice")  # it was removed, and another one does as well
    form = LabelForm(request.POST if request.method == "POST" else None, asked=tuple(item.outcomes), mandatory=(SPAM,))
    if not form.is_bound or not form.is_valid():
        status = HTTPStatus.UNPROCESSABLE_ENTITY if form.is_bound else HTTPStatus.OK
        return render(request, "practice/item.html", {**_context(request, item), "form": form}, status=status)
    return _outcome(request, item, practice.compare(item, form.labels))


def _outcome(request: HttpRequest, item: PracticeItem, answers: list[Answered]) -> HttpResponse:
    compared = [one for one in answers if one.agrees is not None]
    practised = Practised(
        uuid7(),
        item.key,
        item.work,
        item.lang,
        compared=len(compared),
        agreed=sum(bool(one.agrees) for one in compared),
        at=timezone.now(),
    )
    person = _person(request)
    context = _context(request, item)
    if person is not None:
        practice.record(person, [practised])
        context["summary"] = practice.summary_of(person)
    query = urlencode({"after": item.key, **({"kind": context["kind"]} if request.GET.get("kind") else {})})
    context |= {
        "answers": answers,
        "is_junk": next((one.answer == 1 for one in answers if one.outcome.label.name == SPAM), False),
        "practised": practised,
        "next_url": f"{reverse('practice')}?{query}",
    }
    response = render(request, "practice/outcome.html", context)
    if person is None:
        practice_memory.remember(request, response, practised)
    return response


def _context(request: HttpRequest, item: PracticeItem) -> dict[str, Any]:
    kind = Kind(item.work.value)
    return {
        "item": item,
        "kind": kind.value,
        "row": TABLE[kind],
        "lang_name": name_of(item.lang),
        "kinds": [(one.value, TABLE[one].title, one == kind) for one in KINDS],
    }


def _person(request: HttpRequest) -> User | None:
    return request.user if isinstance(request.user, User) else None


def _languages(request: HttpRequest) -> list[str]:
    """Return the languages to practise in: those that a person works in, or that the browser prefers."""
    person = _person(request)
    own = person.contribution_languages if person else []
    found = own or accepted_languages(request.headers.get("Accept-Language", ""))
    return [*found[:MOST_LANGUAGES], *([] if found else [settings.LANGUAGE_CODE])]
