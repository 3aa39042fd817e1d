"""The status page of the admin: what work there is, and where the conversations stand, by language."""

from collections import defaultdict
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext

from leaderboard import cached_statistics, charts
from oasst.core.text.languages import name_of
from trees.lifecycle.states import TABLE, State
from trees.moderation.badges import WORKS
from trees.moderation.queries import OpenWork, open_work


def status_view(request: HttpRequest) -> HttpResponse:
    """Show the openings of now, and the conversations as they were last counted."""
    counted = cached_statistics.read_all(["message_trees_states_by_lang"])
    states = _by_language(counted[0].data) if counted else {}
    totals = {state: sum(numbers.get(state, 0) for numbers in states.values()) for state in State}
    columns = [str(TABLE[state].label) for state in State]
    context = {
        **admin.site.each_context(request),
        "title": gettext("Status"),
        "works": list(WORKS.values()),
        "work_rows": _work_rows(open_work()),
        "chart": charts.draw("bars", ["", ""], list(zip(columns, totals.values(), strict=True))),
        "columns": columns,
        "state_rows": _state_rows(states),
        "counted_at": counted[0].updated_at if counted else None,
        "trees_url": reverse("admin:trees_messagetree_changelist"),
        "openings_url": reverse("admin:trees_opening_changelist"),
    }
    return render(request, "admin/status.html", context)


def _work_rows(openings: list[OpenWork]) -> list[dict[str, Any]]:
    """Return a row for each language: its name, (kind, number, held) of each work, and how many openings in all."""
    found: dict[str, dict[str, OpenWork]] = defaultdict(dict)
    for one in openings:
        found[one.lang][one.work] = one
    rows = [
        {
            "lang": lang,
            "name": name_of(lang),
            "cells": [
                (work.value, works[work].number, works[work].held) if work in works else (work.value, 0, 0)
                for work in WORKS
            ],
            "total": sum(one.number for one in works.values()),
        }
        for lang, works in found.items()
    ]
    return sorted(rows, key=lambda row: -row["total"])


def _by_language(data: list[dict[str, Any]]) -> dict[str, dict[State, int]]:
    found: dict[str, dict[State, int]] = defaultdict(dict)
    for row in data:
        found[row["lang"]][State(row["state"])] = row["count"]
    return found


def _state_rows(states: dict[str, dict[State, int]]) -> list[dict[str, Any]]:
    rows = [
        {
            "lang": lang,
            "name": name_of(lang),
            "cells": [(state.value, numbers.get(state, 0)) for state in State],
            "total": sum(numbers.values()),
        }
        for lang, numbers in states.items()
    ]
    return sorted(rows, key=lambda row: -row["total"])
