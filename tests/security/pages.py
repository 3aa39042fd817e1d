"""Every URL of the site, from the URL table: a new page is covered automatically."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, QueryDict
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils.regex_helper import normalize

from oasst.core.http.api_paths import is_api_path


@dataclass(frozen=True)
class Address:
    template: str
    """As `messages/%(message_id)s/`, without the leading slash."""
    parameters: tuple[str, ...]
    """The variable parts of the path."""
    name: str
    """With its namespace: `admin:trees_message_changelist`. Empty if it has none."""
    view: Any = None

    def filled(self, values: dict[str, str]) -> str:
        return "/" + self.template % {name: values[name] for name in self.parameters}

    @property
    def is_page(self) -> bool:
        return not is_api_path(self.template)


def addresses() -> list[Address]:
    return sorted(_below(get_resolver(), "", (), ""), key=lambda one: (one.template, one.name))


def _below(resolver: URLResolver, prefix: str, parameters: tuple[str, ...], namespace: str) -> Iterator[Address]:
    for one in resolver.url_patterns:
        [(part, names), *_] = normalize(one.pattern.regex.pattern)
        template, all_names = prefix + part, (*parameters, *names)
        if isinstance(one, URLResolver):
            yield from _below(one, template, all_names, f"{namespace}{one.namespace}:" if one.namespace else namespace)
        else:
            assert isinstance(one, URLPattern)
            yield Address(template, all_names, f"{namespace}{one.name or ''}", one.callback)


READ_PARAMETERS: set[str] = set()
"""The query parameters that views have read since this was emptied."""


class _Noting(QueryDict):
    """Query parameters that record which of them are read."""

    def __getitem__(self, key: str) -> Any:
        READ_PARAMETERS.add(key)
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        READ_PARAMETERS.add(key)
        return super().get(key, default)

    def getlist(self, key: str, default: Any = None) -> Any:
        READ_PARAMETERS.add(key)
        return super().getlist(key, default)

    def __contains__(self, key: object) -> bool:
        READ_PARAMETERS.add(str(key))
        return super().__contains__(key)


def note_parameters(get_response: Any) -> Any:
    """A middleware for tests: every query parameter that the site reads is recorded in READ_PARAMETERS."""

    def middleware(request: HttpRequest) -> Any:
        request.GET = _Noting(request.META.get("QUERY_STRING", ""), encoding=request.encoding)  # type: ignore[assignment]
        return get_response(request)

    return middleware
