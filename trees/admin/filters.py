"""The filters of the lists. None of them reads a whole table to find its choices."""

from collections.abc import Iterator
from typing import Any

from django.contrib.admin import SimpleListFilter
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from oasst.accounts.rights import languages_of
from oasst.core.text.languages import name_of
from trees.lifecycle.states import TABLE
from trees.models import MessageReading, PromptTopic, QualityScore, ReadingKind, Topic
from trees.moderation.queries import PROMPT_EXISTS, languages
from trees.quality.scores import LIKELY_REJECTED

MAX_TOPICS = 60


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
        return [("stands", gettext("Stands")), ("deleted", gettext("Removed"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        condition = {"stands": PROMPT_EXISTS, "deleted": ~PROMPT_EXISTS}.get(self.value() or "")
        return queryset if condition is None else queryset.filter(condition)


class ByLanguage(SimpleListFilter):
    """By default a moderator of some languages sees these, and may choose to read all."""

    title = "language"
    parameter_name = "lang"
    EVERY = "all"
    path = "lang"
    """Where the language is, from the rows of the list."""

    def __init__(self, request: Any, *args: Any, **kwargs: Any) -> None:
        self.own = languages_of(request.user)
        super().__init__(request, *args, **kwargs)

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        every = [(self.EVERY, _("All languages"))] if self.own else []
        return [*every, *((lang, name_of(lang)) for lang in languages())]

    @property
    def unchosen(self) -> Any:
        """What is listed if nothing is chosen; empty for everything."""
        return _("Yours") if self.own else ""

    def choices(self, changelist: Any) -> Iterator[Any]:
        default, *others = super().choices(changelist)
        yield {**default, "display": self.unchosen or default["display"]}
        yield from others

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if lang := chosen_language(request):
            return queryset.filter(**{self.path: lang})
        if self.own and self.value() != self.EVERY:
            return queryset.filter(**{f"{self.path}__in": sorted(self.own)})
        return queryset


class ByLanguageOfMessage(ByLanguage):
    path = "message__lang"


class ByLanguageOfPair(ByLanguage):
    path = "first__lang"


def chosen_language(request: HttpRequest) -> str:
    """Return the one language that the list is filtered by; empty for several or all."""
    lang = request.GET.get(ByLanguage.parameter_name, "")
    return "" if lang == ByLanguage.EVERY else lang


class ByLooks(SimpleListFilter):
    title = _("what it looks like")
    parameter_name = "looks"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("other", gettext("Another language"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.exclude(looks_like="") if self.value() == "other" else queryset


class ByReading(SimpleListFilter):
    """What machines read in the present text."""

    title = _("what machines read")
    parameter_name = "read"
    _KINDS = {
        "personal": ReadingKind.PERSONAL_DATA,
        "toxic": ReadingKind.TOXICITY,
        "language": ReadingKind.LANGUAGE,
    }

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("personal", gettext("Personal data")),
            ("toxic", gettext("Toxic")),
            ("language", gettext("Another language")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        kind = self._KINDS.get(self.value() or "")
        if kind is None:
            return queryset
        return queryset.filter(revision__in=MessageReading.objects.filter(kind=kind, flagged=True).values("revision"))


class ByTopic(SimpleListFilter):
    title = _("topic of the prompt")
    parameter_name = "topic"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        topics = Topic.objects.order_by("lang", "-size").values_list("pk", "lang", "name", "size")
        if lang := chosen_language(request):
            topics = topics.filter(lang=lang)
        return [(str(pk), f"{name_of(lang)}: {name} ({size})") for pk, lang, name, size in topics[:MAX_TOPICS]]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        if value is None or not value.isdecimal():
            return queryset
        return queryset.filter(pk__in=PromptTopic.objects.filter(topic=int(value)).values("message"))


class SearchBy(SimpleListFilter):
    """How the words in the search field are looked for. `MessageAdmin.get_search_results` does it."""

    title = _("search by")
    parameter_name = "by"
    MEANING = "meaning"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(self.MEANING, gettext("Meaning, not spelling"))]

    unchosen = _("Words")

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset


class ByPrediction(SimpleListFilter):
    """What machines expect of reviewers, about texts that wait for them. `MessageAdmin.get_ordering` sorts by it."""

    title = _("what reviewers will say")
    parameter_name = "prediction"
    REJECTED, LOWEST = "rejected", "lowest"
    ORDER = ("quality_score__accepted", "-id")

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            (self.REJECTED, gettext("Probably not accepted")),
            (self.LOWEST, gettext("All predictions, lowest first")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() not in (self.REJECTED, self.LOWEST):
            return queryset
        scores = QualityScore.objects.filter(accepted__isnull=False)
        if self.value() == self.REJECTED:
            scores = scores.filter(LIKELY_REJECTED)
        rows = queryset.filter(quality_score__in=scores, review_result=None, deleted=False)
        return rows.select_related("author", "quality_score")


class ByReview(SimpleListFilter):
    title = "reviews"
    parameter_name = "review"
    _RESULTS = {"accepted": True, "rejected": False, "open": None}

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("open", gettext("Not decided")),
            ("accepted", gettext("Accepted")),
            ("rejected", gettext("Not accepted")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        return queryset.filter(review_result=self._RESULTS[value]) if value in self._RESULTS else queryset
