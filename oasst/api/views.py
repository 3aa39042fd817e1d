"""Operations as views of DRF: all of one path, by method.

`initial` checks a call in the order of the wires. Whom an interface lets in, and what it says to the others, are the
`policies` and `refusals` of its subclass of `OperationView`.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import Resolver404, URLPattern, path, re_path, resolve
from django.utils.datastructures import MultiValueDict
from django.utils.encoding import escape_uri_path
from django.views.decorators.csrf import csrf_exempt
from rest_framework import serializers
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from oasst.accounts.models import User
from oasst.api import cors
from oasst.api.authentication import ApiKeyAuthentication, RefuseForeignPages, TokenAuthentication, find_viewer
from oasst.api.conditional import links_beside, make_conditional
from oasst.api.exceptions import DATA_REFUSALS, BadInput, Refusals
from oasst.api.operations import Access, Call, Operation, by_path
from oasst.api.permissions import IsKnown, IsRoot, IsTrusted
from oasst.api.renderers import JSON, rendered
from oasst.api.repeats import once
from oasst.api.streams import stream
from oasst.api.throttling import ProgramWrites


class Policy(NamedTuple):
    """Who is let in."""

    authentication: tuple[type[BaseAuthentication], ...] = ()
    permissions: tuple[type[BasePermission], ...] = ()
    throttles: tuple[type[BaseThrottle], ...] = ()


OPEN = Policy()


class WireRequest(Request):
    def _load_data_and_files(self) -> None:
        """DRF would not read a body whose length nobody told, and would put that of a form into `request.POST`."""
        parser: Any = self.negotiator.select_parser(self, self.parsers)  # type: ignore[union-attr,arg-type]
        self._data = self._full_data = parser.parse(self._request, self.content_type, {})
        self._files: MultiValueDict[str, Any] = MultiValueDict()


class OperationView(APIView):
    operations: Mapping[str, Operation] = {}
    """By method. A subclass for each path has its own."""
    policies: Mapping[Access, Policy] = {}
    refusals: Refusals
    syntax_first = False
    """A body that is no JSON is named before a bad key."""
    repeats = False
    """A POST may have an Idempotency-Key."""
    etags = True

    operation: Operation | None
    call: Call

    head = APIView.http_method_not_allowed  # Django would give each view a `get` under this name, and so hold the view

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        self.operation = self.operations.get(request.method or "")
        policy = self.policies[self.operation.access] if self.operation else OPEN
        self.authentication_classes, self.permission_classes, self.throttle_classes = policy
        found = WireRequest(
            request, self.get_parsers(), self.get_authenticators(), negotiator=self.get_content_negotiator()
        )
        found.parser_context = {}  # that of DRF holds the request, which would live on until the next collection
        return found

    def initial(self, request: Request, *args: Any, **kwargs: str) -> None:
        operation = self.operation
        if operation is None:
            if request.method != "OPTIONS":
                self.http_method_not_allowed(request)
            return
        if self.syntax_first and operation.body:
            _ = request.data
        if not operation.key_late:
            self.check_access(request)
        self.call = read_input(operation, request, kwargs)
        if operation.key_late:
            self.check_access(request)
        if self.authentication_classes:
            self.call.auth, self.call.viewer = request.auth, self.find_viewer(request)
        self.check_throttles(request)

    def check_access(self, request: Request) -> None:
        # Authenticating overwrites `request.user`, which `auth/callback` reads from the session.
        if self.authentication_classes:
            self.perform_authentication(request)
        self.check_permissions(request)

    def find_viewer(self, request: Request) -> User | None:
        """The person for whom the call is."""
        return request.user if isinstance(request.user, User) else None

    def act(self, request: Request, *args: Any, **kwargs: str) -> HttpResponseBase:
        """The handler of every method that the path has."""
        call = self.call
        if self.repeats and request.method == "POST" and "Idempotency-Key" in request.headers:
            data = once(call, lambda: answer_of(call))
        else:
            data = answer_of(call)
        if isinstance(data, HttpResponseBase):
            return data
        if call.operation.media != JSON:
            return stream(data, call.operation.media, call.request)
        return Response(data, call.operation.status, headers=call.headers)

    def options(self, request: Any, *args: Any, **kwargs: str) -> Any:
        response = cors.preflight(request._request) if "GET" in self.operations else None
        return response or self.http_method_not_allowed(request)

    def finalize_response(self, request: Request, response: HttpResponseBase, *args: Any, **kwargs: str) -> Any:
        # Not by `super()`, which would tell every caller the methods of the path.
        if isinstance(response, Response):
            try:
                self._write(request, response)
            except Exception as error:  # what the operation gave is no JSON
                response = self.handle_exception(error)
                self._write(request, response)
        if request.method == "GET":
            cors.mark(request._request, response)
        return response

    def _write(self, request: Request, response: Response) -> None:
        page = response.data
        rendered(response, self.get_renderers()[0])
        if response.exception or request.method != "GET" or not self.etags or "Cache-Control" in response:
            return
        if self.call.operation.by_cursor and (links := links_beside(page, self.call.request)):
            response["Link"] = links
        make_conditional(response, self.call.request)

    def _allowed_methods(self) -> list[str]:
        return sorted(self.operations)


def answer_of(call: Call) -> Any:
    """What the operation gives, as plain data; or a response that it made itself."""
    found = call.operation.act(call)
    return found if found is None or isinstance(found, HttpResponseBase) else call.operation.represent(found)


def read_input(operation: Operation, request: Request, path: Mapping[str, str]) -> Call:
    """Raises BadInput with every problem of path, query and body at once."""
    problems: list[tuple[str, Any]] = []

    def check(source: str, field: Any, value: Any, name: str = "") -> Any:
        try:
            return field.run_validation(value)
        except serializers.ValidationError as error:
            problems.append((source, {name: error.detail} if name else error.detail))

    call = Call(request._request, operation)
    call.path = {name: check("path", operation.in_path[name], value, name) for name, value in path.items()}
    if operation.query_shape:
        call.query = check("query", operation.query_shape, {name: request.GET[name] for name in request.GET})
    if operation.body_shape:
        if request.data is serializers.empty or request.data is None:  # null is none, too
            if operation.body_required:
                problems.append(("body", [serializers.ErrorDetail("field required", "required")]))
        else:
            call.body = check("body", operation.body_shape, request.data)
    if problems:
        raise BadInput(problems)
    return call


_PROGRAMS = (RefuseForeignPages, ApiKeyAuthentication)
_ALSO_PEOPLE = (*_PROGRAMS, TokenAuthentication)


class DataView(OperationView):
    """Operations on the data set: programs, and people by tokens of theirs."""

    policies = {
        Access.OPEN: OPEN,
        Access.KEY: Policy(_ALSO_PEOPLE, (IsKnown,), (ProgramWrites,)),
        Access.PROGRAM: Policy(_PROGRAMS, (IsKnown,), (ProgramWrites,)),
        Access.TRUSTED: Policy(_ALSO_PEOPLE, (IsTrusted,), (ProgramWrites,)),
        Access.ROOT: Policy((RefuseForeignPages,), (IsRoot,)),
    }
    refusals = DATA_REFUSALS
    syntax_first = True
    repeats = True

    def find_viewer(self, request: Request) -> User | None:
        """Who looks is named in a header; that of an operation which does not ask is ignored."""
        client: Any = request.auth
        return find_viewer(client, request._request) if self.call.operation.viewer else None


@csrf_exempt
def elsewhere(request: HttpRequest) -> HttpResponse:
    """307 to the other spelling of the slash, which keeps method and body; 404 where that is no path either."""
    other = request.path_info[:-1] if request.path_info.endswith("/") else f"{request.path_info}/"
    try:
        found = resolve(other)
    except Resolver404:
        return nothing_there(request)
    if found.func is elsewhere or not found.url_name:
        return nothing_there(request)
    query = request.META.get("QUERY_STRING", "")
    response = HttpResponse(status=307)
    response["Location"] = request.build_absolute_uri(escape_uri_path(other) + (f"?{query}" if query else ""))
    return response


def nothing_there(request: HttpRequest, refusals: Refusals = DATA_REFUSALS, words: str = "Not Found") -> HttpResponse:
    return rendered(refusals.respond(refusals.in_words(404, words), request))


def view_of(methods: Mapping[str, Operation], kind: type[OperationView]) -> type[OperationView]:
    """The view of one path."""
    assert {one.access for one in methods.values()} <= kind.policies.keys(), f"{kind.__name__} lacks a policy"
    return type(kind.__name__, (kind,), {"operations": methods, **{method.lower(): kind.act for method in methods}})


def urls_of(
    operations: Iterable[Operation],
    kind: type[OperationView] = DataView,
    prefix: str = "api",
    behind: Callable[..., HttpResponseBase] = elsewhere,
) -> list[URLPattern]:
    """A URL for each path, and behind them all the answer to paths that are none."""
    views = {route: view_of(methods, kind).as_view() for route, methods in by_path(operations).items()}
    names = {route: f"{prefix}-{route.replace('<path:', '<')}" for route in views}
    return [*(path(route, view, name=names[route]) for route, view in views.items()), re_path("", behind)]
