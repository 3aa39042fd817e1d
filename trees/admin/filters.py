"""The filters of the lists. None of them reads a whole table to find its choices."""

from typing import Any

from django.contrib.admin import SimpleListFilter
from django.db.models import QuerySet
from django.http import HttpRequest

from oasst.core.text.languages import name_of
from trees.lifecycle.states import TABLE
from trees.moderation.queries import PROMPT_EXISTS, languages


class ByState(SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(state.value, row.label) for state, row in TABLE.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(state=self.value()) if self.value() else queryset


class ByPrompt(SimpleListFilter):
    title = "prompt"
    parameter_name = "prompt"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("stands", "Stands"), ("deleted", "Deleted")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        condition = {"stands": PROMPT_EXISTS, "deleted": ~PROMPT_EXISTS}.get(self.value() or "")
        return queryset if condition is None else queryset.filter(condition)


class ByLanguage(SimpleListFilter):
    title = "language"
    parameter_name = "lang"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(lang, name_of(lang)) for lang in languages()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(lang=self.value()) if self.value() else queryset


class ByLooks(SimpleListFilter):
    title = "what it looks like"
    parameter_name = "looks"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("other", "Another language")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.exclude(looks_like="") if self.value() == "other" else queryset


class ByReview(SimpleListFilter):
    title = "reviews"
    parameter_name = "review"
    _RESULTS = {"accepted": True, "rejected": False, "open": None}

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("open", "Not decided"), ("accepted", "Accepted"), ("rejected", "Not accepted")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        return queryset.filter(review_result=self._RESULTS[value]) if value in self._RESULTS else queryset
