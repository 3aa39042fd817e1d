"""Generated requests from a published schema: each gets an answer of its schema or a listed refusal, never a crash."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import schemathesis
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.specs.openapi import checks

CHECKS = (checks.status_code_conformance, checks.content_type_conformance, checks.response_schema_conformance)


def try_cases(published: dict[str, Any], name: str, number: int, act: Callable[[Any], None]) -> None:
    """Run `act` on that many cases of an operation, the same each time."""
    schema = schemathesis.openapi.from_dict(published)
    schema.app = WSGIHandler()

    @given(case=schema.find_operation_by_id(name).as_strategy())
    @settings(
        max_examples=number,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def each(case: Any) -> None:
        act(case)

    each()


def send_cases(
    published: dict[str, Any],
    name: str,
    number: int,
    *,
    headers: Mapping[str, str],
    ids: Mapping[str, str],
    is_crash: Callable[[Any], bool] = lambda response: response.status_code == 500,
) -> None:
    """Send that many requests of an operation. `ids` maps parameters of the path to existing ids."""
    # Not compressed: schemathesis does not decompress responses without a server in between.
    sent = {**headers, "Accept-Encoding": "identity"}

    def send(case: Any) -> None:
        # Unknown ids are refused early, so half of the calls use existing ones.
        for part in set(case.path_parameters or {}) & set(ids):
            if str(case.path_parameters[part])[-1:] < "8":
                case.path_parameters[part] = ids[part]
        response = case.call(headers=sent)
        assert not is_crash(response)
        case.validate_response(response, checks=CHECKS, headers=sent)

    with _one_connection():
        try_cases(published, name, number, send)


@contextmanager
def _one_connection() -> Iterator[None]:
    """Let the server in this thread see the test's data. No fixture, because Django's client connects these signals."""
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    try:
        yield
    finally:
        for signal in signals:
            signal.connect(close_old_connections)
