"""A small API for the tests of the plumbing."""

from typing import Any

from django.db import OperationalError
from django.http import Http404
from django.urls import path
from psycopg import errors as pg
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

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


urlpatterns = [
    path("api/whoami", Whoami.as_view()),
    path("api/trouble/<str:name>", Trouble.as_view()),
    path("api/open", Open.as_view()),
]
__all__ = ["handler404", "handler500", "urlpatterns"]
