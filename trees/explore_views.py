"""The page to look around in the data set. Open to visitors, who see what is published."""

from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from oasst.accounts.models import User
from oasst.core import ratelimit
from oasst.core.errors import Busy, Invalid
from oasst.core.http.requests import client_address
from trees.being_reviewed import tasks_by_tree
from trees.cursors import Direction
from trees.exploring import finding
from trees.exploring.criteria import Criteria, Kind
from trees.exploring.finding import FoundPage
from trees.forms import ExploreForm
from trees.interchange.snapshots.published import published_snapshots


@require_safe
def explore(request: HttpRequest) -> HttpResponse:
    """Raise Busy `rate_limited`: each page counts, also the first one without a search."""
    reader = request.user if isinstance(request.user, User) else None
    if reader is None:
        ratelimit.count_use(ratelimit.EXPLORING_FROM_ADDRESS, client_address(request))
    else:
        ratelimit.count_use(ratelimit.EXPLORING, reader.pk)
    lang = request.GET.get("lang", "")[:32]
    compares = finding.can_compare_meaning(lang)
    form = ExploreForm(request.GET, reader=reader, topics=finding.topics_of(lang) if lang else [])
    context: dict[str, Any] = {"form": form, "compares_meaning": compares, "is_visitor": reader is None}
    status = HTTPStatus.OK
    if form.is_valid():
        set_apart = tasks_by_tree(reader)
        criteria = form.criteria(set_apart)
        by_meaning = bool(form.cleaned_data["how"] and criteria.words)
        try:
            page = _find(request, criteria, by_meaning=by_meaning and compares)
        except (Busy, Invalid) as error:
            page = FoundPage()
            context["error"] = error.message
            status = HTTPStatus.BAD_REQUEST if isinstance(error, Invalid) else HTTPStatus.SERVICE_UNAVAILABLE
        context |= {
            "page": page,
            "criteria": criteria,
            "number_set_apart": len(set_apart),
            "tabs": _tabs(request, criteria),
            "by_meaning": by_meaning and compares,
            "meaning_is_off": by_meaning and not compares,
            "newer_url": _address(request, newer=page.newer) if page.newer else "",
            "older_url": _address(request, older=page.older) if page.older else "",
            "is_filtered": _is_filtered(request),
            "all_languages_url": _address(request, lang=None) if criteria.lang else "",
            "everything_url": _address(request, kind="any") if criteria.kind != Kind.ANY else "",
        }
    else:
        status = HTTPStatus.BAD_REQUEST
    context["snapshot"] = published_snapshots().first() if reader is None else None
    response = render(request, "trees/explore.html", context, status=status)
    if request.GET:  # a list of results; the messages themselves may be indexed
        response["X-Robots-Tag"] = "noindex, follow"
    return response


def _find(request: HttpRequest, criteria: Criteria, *, by_meaning: bool) -> FoundPage:
    if by_meaning:
        return finding.find_by_meaning(criteria)
    direction = Direction.parse(older=request.GET.get("older"), newer=request.GET.get("newer"))
    return finding.find_page(criteria, direction)


def _tabs(request: HttpRequest, criteria: Criteria) -> list[tuple[str, str, bool]]:
    """Return (label, address, is current) of each kind."""
    labels = {
        Kind.PROMPT: _("Conversations"),
        Kind.ANY: _("All messages"),
        Kind.ANSWER: _("Answers"),
        Kind.FOLLOW_UP: _("Follow-ups"),
    }
    return [(label, _address(request, kind=kind.value), kind == criteria.kind) for kind, label in labels.items()]


def _is_filtered(request: HttpRequest) -> bool:
    return any(value for name, value in request.GET.items() if name not in ("kind", "older", "newer"))


def _address(request: HttpRequest, **changes: str | None) -> str:
    """Return the address of this search with changes. A cursor belongs to one list, so it is left out."""
    given: dict[str, Any] = {name: request.GET.get(name) for name in ExploreForm.base_fields}
    query = urlencode({name: value for name, value in {**given, **changes}.items() if value})
    return reverse("explore") + (f"?{query}" if query else "")
