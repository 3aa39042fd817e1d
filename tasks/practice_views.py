"""Practice, also for visitors: judge or order texts whose outcome is known, and see the outcome at once.

There is practice for every kind of task: the questions of a review, the order of replies, and for writers "accepted or
not". Nothing is stored for visitors; their browser keeps some lines until they join (`tasks.practice_memory`). A tour
is the practice of somebody new: two texts and then real work (`oasst.site.onboarding`); its state is in the URL.
"""

import random
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render, resolve_url
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from oasst.accounts.models import User
from oasst.core import ratelimit
from oasst.core.errors import NotFound
from oasst.core.http.requests import client_address, is_own_page
from oasst.core.ids import uuid7
from oasst.core.text.languages import accepted_languages, name_of
from tasks import practice_memory
from tasks.forms import LabelForm, RankingForm, VerdictForm
from tasks.interests import INTERESTS, Interest, first_task_for
from tasks.kinds import TABLE, Kind
from trees.contributing import practice, practice_rankings
from trees.contributing.outcomes import verdicts
from trees.contributing.practice import PracticeItem, Practised
from trees.contributing.practice_rankings import RankingItem
from trees.labels import SPAM
from trees.lifecycle.states import Work
from trees.policies.reading import current_policy

REVIEWS = (Kind.LABEL_ASSISTANT_REPLY, Kind.LABEL_INITIAL_PROMPT, Kind.LABEL_PROMPTER_REPLY)
RANKINGS = (Kind.RANK_ASSISTANT_REPLIES, Kind.RANK_PROMPTER_REPLIES)
JUDGED_FOR = {
    Kind.ASSISTANT_REPLY: Kind.LABEL_ASSISTANT_REPLY,
    Kind.INITIAL_PROMPT: Kind.LABEL_INITIAL_PROMPT,
    Kind.PROMPTER_REPLY: Kind.LABEL_PROMPTER_REPLY,
}
"""The kind of writing → how its texts are judged."""
WRITTEN_AS = {judged: kind for kind, judged in JUDGED_FOR.items()}
MAX_LANGUAGES = 2  # of a visitor, that are looked at


@dataclass(frozen=True)
class Tour:
    """The practice of somebody new, as the URL has it."""

    interest: Interest
    step: int
    """From 1."""
    next: str
    """The page to continue with."""

    @property
    def steps(self) -> int:
        return len(INTERESTS[self.interest].practice)

    @property
    def is_last(self) -> bool:
        return self.step == self.steps

    @property
    def kind(self) -> Kind:
        return INTERESTS[self.interest].practice[self.step - 1]

    @property
    def query(self) -> dict[str, str]:
        return {"tour": self.interest.value, "step": str(self.step), "next": self.next}


def tour_url(interest: Interest, next_page: str) -> str:
    """Return the page with which the practice of somebody new begins."""
    return f"{reverse('practice')}?{urlencode(Tour(interest, 1, next_page).query)}"


def _tour(request: HttpRequest) -> Tour | None:
    """Read the tour from the URL; None outside one. `next` is used only if it is a page of this site."""
    interest = next((one for one in Interest if one.value == request.GET.get("tour")), None)
    if interest is None:
        return None
    target = request.GET.get("next", "")
    step = 2 if request.GET.get("step") == "2" else 1
    return Tour(interest, step, target if is_own_page(request, target) else resolve_url(settings.LOGIN_REDIRECT_URL))


@never_cache
@require_safe
def start(request: HttpRequest) -> HttpResponse:
    """Draw a text and go to its page, which a reload shows again. Reads only."""
    tour = _tour(request)
    asked = tour.kind if tour else next((kind for kind in Kind if kind.value == request.GET.get("kind")), None)
    rng = random.Random()  # noqa: S311  (which text comes next is no secret)
    kind = asked or rng.choice(REVIEWS)
    seen = {one.key for one in practice_memory.read(request)} | {request.GET.get("after", "")}
    options: dict[str, Any] = {"person": _person(request), "seen": seen, "rng": rng}
    langs = _languages(request)
    item: PracticeItem | RankingItem
    if kind in REVIEWS:
        item = practice.choose(Work(kind.value), langs, explained=tour is not None, **options)
    elif kind in RANKINGS:
        item = practice_rankings.choose_ranking(Work(kind.value), langs, **options)
    else:
        item = practice.choose_verdict(Work(JUDGED_FOR[kind].value), langs, **options)
    path = reverse(_view_of(kind), args=[item.key])
    query = tour.query if tour else {"kind": asked.value} if asked else {}
    return redirect(f"{path}?{urlencode(query)}" if query else path)


def _view_of(kind: Kind) -> str:
    """Return the name of the page on which this kind of task is practiced."""
    return {"labels": "practice_item", "ranking": "practice_ranking", "text": "practice_verdict"}[TABLE[kind].answer]


@require_http_methods(["GET", "HEAD", "POST"])
def practice_item(request: HttpRequest, name: str) -> HttpResponse:
    """Show the questions about one text; on POST the outcome. It never becomes a review."""
    _count_answer(request)
    try:
        item = practice.get_item(name, _person(request))
    except NotFound:
        return _another(request)
    form = LabelForm(request.POST if request.method == "POST" else None, asked=tuple(item.outcomes), mandatory=(SPAM,))
    context = _context(request, item, Kind(item.work.value))
    if not form.is_bound or not form.is_valid():
        return _ask(request, "practice/item.html", context, form)
    answers = practice.compare(item, form.labels)
    compared = [one for one in answers if one.agrees is not None]
    context["answers"] = answers
    context["is_junk"] = next((one.answer == 1 for one in answers if one.outcome.label.name == SPAM), False)
    agreed = sum(bool(one.agrees) for one in compared)
    return _outcome(request, "practice/outcome.html", context, compared=len(compared), agreed=agreed)


@require_http_methods(["GET", "HEAD", "POST"])
def practice_ranking(request: HttpRequest, name: str) -> HttpResponse:
    """Show replies to put in order; on POST the known order beside one's own. It never becomes a ranking."""
    _count_answer(request)
    try:
        item = practice_rankings.get_ranking(name, _person(request))
    except NotFound:
        return _another(request)
    form = RankingForm(request.POST if request.method == "POST" else None, replies=item.shuffled)
    context = _context(request, item, Kind(item.work.value))
    if not form.is_bound or not form.is_valid():
        return _ask(request, "practice/ranking.html", context, form)
    context["places"], pairs, agreed = practice_rankings.compare_order(item, form.ordered_ids)
    return _outcome(request, "practice/ranking_outcome.html", context, compared=pairs, agreed=agreed)


@require_http_methods(["GET", "HEAD", "POST"])
def practice_verdict(request: HttpRequest, name: str) -> HttpResponse:
    """Ask a writer whether a text was accepted; on POST say it, and why."""
    _count_answer(request)
    try:
        item = practice.get_verdict(name, _person(request))
    except NotFound:
        return _another(request)
    form = VerdictForm(request.POST if request.method == "POST" else None)
    context = _context(request, item, WRITTEN_AS[Kind(item.work.value)])
    if not form.is_bound or not form.is_valid():
        return _ask(request, "practice/verdict.html", context, form)
    context["said"] = form.cleaned_data["accepted"] == "1"
    context["facts"] = [] if item.is_example else verdicts(item.outcomes)
    is_right = context["said"] == item.is_accepted
    return _outcome(request, "practice/verdict_outcome.html", context, compared=1, agreed=int(is_right))


def _count_answer(request: HttpRequest) -> None:
    """Count a sent answer against the limit. Raise Busy `rate_limited`."""
    if request.method == "POST":
        person = _person(request)
        ratelimit.count_use(ratelimit.PRACTICE, person.pk if person else client_address(request))


def _another(request: HttpRequest) -> HttpResponse:
    """Lead to another text, because this one was removed and another does as well. Raise NotFound for an answer."""
    if request.method == "POST":
        raise practice.not_for_practice()
    query = request.GET.urlencode()
    return redirect(f"{reverse('practice')}?{query}" if query else "practice")


def _ask(request: HttpRequest, template: str, context: dict[str, Any], form: Any) -> HttpResponse:
    """Show the form of a practice, with its errors if it was sent."""
    status = HTTPStatus.UNPROCESSABLE_ENTITY if form.is_bound else HTTPStatus.OK
    return render(request, template, {**context, "form": form}, status=status)


def _outcome(
    request: HttpRequest, template: str, context: dict[str, Any], *, compared: int, agreed: int
) -> HttpResponse:
    """Store what was practised, for people who are signed in or in the browser, and show the outcome."""
    item, tour, person = context["item"], context["tour"], _person(request)
    practised = Practised(uuid7(), item.key, item.work, item.lang, compared=compared, agreed=agreed, at=timezone.now())
    if person is not None:
        practice.record(person, [practised])
        context["summary"] = practice.summary_of(person)
        if tour and tour.is_last:
            context["first_task"] = first_task_for(person, tour.interest, current_policy())
            context["idempotency_key"] = uuid4()
    context |= {"practised": practised, "next_url": _next_url(request, item.key, tour)}
    response = render(request, template, context)
    if person is None:
        practice_memory.remember(request, response, practised)
    return response


def _next_url(request: HttpRequest, key: str, tour: Tour | None) -> str:
    if tour and tour.is_last:
        return tour.next
    if tour:
        query = Tour(tour.interest, tour.step + 1, tour.next).query
    else:
        query = {"kind": request.GET["kind"]} if request.GET.get("kind") else {}
    return f"{reverse('practice')}?{urlencode({'after': key, **query})}"


def _context(request: HttpRequest, item: PracticeItem | RankingItem, kind: Kind) -> dict[str, Any]:
    return {
        "item": item,
        "kind": kind.value,
        "row": TABLE[kind],
        "lang_name": name_of(item.lang),
        "kinds": [(one.value, title, one == kind) for one, title in _titles().items()],
        "tour": _tour(request),
    }


def _titles() -> dict[Kind, str]:
    """Return the kinds of practice as the list of them names them."""
    return {
        **{kind: TABLE[kind].title for kind in (*REVIEWS, *RANKINGS)},
        Kind.ASSISTANT_REPLY: _("Answers: accepted or not?"),
        Kind.INITIAL_PROMPT: _("Openers: accepted or not?"),
        Kind.PROMPTER_REPLY: _("User messages: accepted or not?"),
    }


def _person(request: HttpRequest) -> User | None:
    return request.user if isinstance(request.user, User) else None


def _languages(request: HttpRequest) -> list[str]:
    """Return the languages to practise in: those that a person works in, or that the browser prefers."""
    person = _person(request)
    own = person.contribution_languages if person else []
    found = own or accepted_languages(request.headers.get("Accept-Language", ""))
    return [*found[:MAX_LANGUAGES], *([] if found else [settings.LANGUAGE_CODE])]
