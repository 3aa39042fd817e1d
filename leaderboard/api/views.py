"""Operations of the wire on scores and statistics: parse, one call, answer."""

from typing import Any
from uuid import UUID

from django.http import JsonResponse
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from leaderboard import cached
from leaderboard.api import answers
from leaderboard.frames import Frame
from oasst.accounts.models import ApiClient, User
from oasst.api.exceptions import register_codes
from oasst.core.errors import NotAllowed, NotFound

register_codes({"stats_not_available": 6000, "user_not_found": 4002, "not_trusted": 2})
MOST = 10_000


class BoardQuery(serializers.Serializer[Any]):
    max_count = serializers.IntegerField(default=100, min_value=1, max_value=MOST)
    enabled = serializers.BooleanField(default=None, allow_null=True)


class WindowQuery(serializers.Serializer[Any]):
    window_size = serializers.IntegerField(default=5, min_value=1, max_value=100)


class Operation(APIView):
    """One operation; `trusted` ones are for front ends of our own."""

    trusted = False

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if not isinstance(request.auth, ApiClient):
            raise NotAllowed("This needs the key of an API client.", code="api_key")
        if self.trusted and not request.auth.trusted:
            raise NotAllowed("This is for trusted API clients.", code="not_trusted")

    @property
    def client(self) -> ApiClient:
        client: ApiClient = self.request.auth  # type: ignore[assignment]
        return client


def _parsed(shape: type[serializers.Serializer[Any]], request: Request) -> Any:
    query = shape(data=request.query_params)
    query.is_valid(raise_exception=True)
    return query.validated_data


def _frame(name: str) -> Frame:
    if name not in list(Frame):
        raise serializers.ValidationError({"time_frame": f"one of {', '.join(Frame)}"})
    return Frame(name)


def _viewer(request: Request, client: ApiClient) -> User | None:
    """Whom the header names; an unknown person fails the whole call."""
    auth_method, _, username = request.headers.get("X-OASST-USER", "").partition(":")
    if not auth_method or not username:
        return None
    found = User.objects.filter(
        identities__api_client=client, identities__auth_method=auth_method, identities__username=username
    ).first()
    if found is None:
        raise NotFound("This API client has no such user.", code="user_not_found")
    return found


class Leaderboard(Operation):
    def get(self, request: Request, time_frame: str) -> Response:
        frame, query = _frame(time_frame), _parsed(BoardQuery, request)
        viewer = _viewer(request, self.client)
        return Response(answers.leaderboard(self.client, frame, viewer=viewer, max_count=query["max_count"]))


class LeaderboardUpdate(Operation):
    trusted = True

    def post(self, request: Request, time_frame: str = Frame.TOTAL) -> Response:
        _frame(time_frame)
        answers.update_boards()
        return Response(status=204)


class Trollboard(Operation):
    trusted = True

    def get(self, request: Request, time_frame: str) -> Response:
        frame, query = _frame(time_frame), _parsed(BoardQuery, request)
        return Response(answers.trollboard(self.client, frame, **query))


class UserStats(Operation):
    def get(self, request: Request, user_id: UUID) -> Response:
        return Response(answers.user_stats(self.client, user_id))


class UserStatsIn(Operation):
    def get(self, request: Request, user_id: UUID, time_frame: str) -> Response:
        return Response(answers.user_stats_in(self.client, user_id, _frame(time_frame)))


class UserWindow(Operation):
    def get(self, request: Request, user_id: UUID, time_frame: str) -> JsonResponse:
        query = _parsed(WindowQuery, request)
        # DRF renders None as no body at all; the wire says `null`.
        return JsonResponse(answers.user_window(self.client, user_id, _frame(time_frame), **query), safe=False)


class CachedStats(Operation):
    def get(self, request: Request) -> Response:
        return Response({"stats_by_name": {one.name: one.as_wire() for one in cached.read_all()}})


class CachedStat(Operation):
    def get(self, request: Request, name: str) -> Response:
        if name not in cached.ON_THE_WIRE:
            raise serializers.ValidationError({"name": f"one of {', '.join(cached.ON_THE_WIRE)}"})
        return Response(cached.read(name).as_wire())


class CachedStatsUpdate(Operation):
    trusted = True

    def post(self, request: Request) -> Response:
        cached.refresh()
        return Response(status=204)
