"""Pages that fail in every way, for the tests of the middleware."""

from collections.abc import Callable

from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.urls import path
from psycopg import errors as pg
from psycopg_pool import PoolTimeout

from oasst.core.errors import Busy, Conflict, DomainError, Gone, Invalid, NotAllowed, NotFound

TROUBLES: dict[str, DomainError] = {
    "invalid": Invalid("The text is blank.", code="blank", field="text"),
    "not-allowed": NotAllowed("Not yours.", hint="Ask the person it belongs to."),
    "not-found": NotFound("No such tree."),
    "conflict": Conflict("Already done."),
    "gone": Gone("This task is over."),
    "busy": Busy("The queue is full.", retry_after=7),
    "limited": Busy("Too many.", code="rate_limited", retry_after=42),
}


def raising(error: Exception) -> Callable[[HttpRequest], HttpResponse]:
    def view(request: HttpRequest) -> HttpResponse:
        raise error

    return view


async def async_trouble(request: HttpRequest) -> HttpResponse:
    raise Gone("Over, said asynchronously.")


def locked(request: HttpRequest) -> HttpResponse:
    raise OperationalError from pg.LockNotAvailable()


def no_connection_left(get_response: object) -> Callable[[HttpRequest], HttpResponse]:
    """A middleware that got no database connection."""
    return raising(PoolTimeout())


def fine(request: HttpRequest) -> HttpResponse:
    return HttpResponse("fine")


def bare(request: HttpRequest, status: int) -> HttpResponse:
    return HttpResponse(status=status, headers={"Allow": "PUT"})


def reading(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.POST.get("text", ""))


urlpatterns = [
    path("t/reading/", reading),
    path("t/bare/<int:status>/", bare),
    *(path(f"t/{name}/", raising(error)) for name, error in TROUBLES.items()),
    path("t/async/", async_trouble),
    path("t/locked/", locked),
    path("t/crash/", raising(RuntimeError("a bug"))),
    path("t/fine/", fine, name="fine"),
    path("t/both", fine),
    path("t/both/", fine),
    path("api/thing/", fine),
    path("api/trouble/", raising(TROUBLES["gone"])),
]
handler400 = "oasst.core.http.error_views.bad_request"
handler403 = "oasst.core.http.error_views.permission_denied"
handler404 = "oasst.core.http.error_views.page_not_found"
handler500 = "oasst.core.http.error_views.server_error"
