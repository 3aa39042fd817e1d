"""A small API for the tests of the plumbing."""

from typing import Any

from django.db import OperationalError
from django.http import Http404
from django.urls import URLPattern, path
from psycopg import errors as pg
from rest_framework import serializers
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from inference.api.openai_views import OpenAIView
from inference.api.views import ChatView
from oasst.api.operations import Access, Call, Operation
from oasst.api.views import DataView, OperationView, Policy, make_view
from tests.core.http.urls import TROUBLES, handler404, handler500


class Label(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=5)


class Thing(serializers.Serializer[Any]):
    text = serializers.CharField()
    size = serializers.IntegerField(max_value=3)
    labels = Label(many=True, required=False)


class Whoami(APIView):
    def get(self, request: Request) -> Response:
        return Response({"client": getattr(request.auth, "name", None), "person": str(request.user)})

    def post(self, request: Request) -> Response:
        thing = Thing(data=request.data)
        thing.is_valid(raise_exception=True)
        return Response(thing.validated_data)


class Trouble(APIView):
    def get(self, request: Request, name: str) -> Response:
        if name == "missing":
            raise Http404
        if name == "locked":
            raise OperationalError from pg.LockNotAvailable()
        if name == "crash":
            raise RuntimeError("a bug")
        raise TROUBLES[name]


class Open(APIView):
    permission_classes = ()

    def get(self, request: Request) -> Response:
        return Response({"open": True})

    def post(self, request: Request) -> Response:
        return Response({"open": True})


class Never(BasePermission):
    def has_permission(self, request: Request, view: Any) -> bool:
        return False


class Later(BaseThrottle):
    def allow_request(self, request: Request, view: Any) -> bool:
        return False

    def wait(self) -> float:
        return 6.5


def nothing(call: Call) -> None:
    """Nothing."""


def views_of(name: str, kind: type[OperationView]) -> list[URLPattern]:
    """A permission that refuses everybody, and a throttle that always refuses."""
    row = Operation("GET", "nothing", Access.OPEN, nothing)
    closed = type("Closed", (kind,), {"policies": {Access.OPEN: Policy((), (Never,))}})
    early = type("Early", (kind,), {"policies": {Access.OPEN: Policy((), (), (Later,))}})
    return [
        path(f"{name}/closed", make_view({"GET": row}, closed).as_view()),
        path(f"{name}/early", make_view({"GET": row}, early).as_view()),
    ]


urlpatterns = [
    path("api/whoami", Whoami.as_view()),
    path("api/trouble/<str:name>", Trouble.as_view()),
    path("api/open", Open.as_view()),
    *views_of("api", DataView),
    *views_of("inference", ChatView),
    *views_of("v1", OpenAIView),
]
__all__ = ["handler404", "handler500", "urlpatterns"]
