"""Who calls the chat.

A person comes by a program that may speak for its people (`TrustedClient`), with an access token of theirs, or with a
token that they made. Cookies open nothing here, so no page of another site can use one.
"""

import base64
import binascii
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TypeVar
from uuid import UUID

from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from rest_framework import serializers
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from oasst.accounts.authentication import program_sessions
from oasst.accounts.identities import find_person
from oasst.accounts.models import ApiClient, Identity, ProgramSession, User
from oasst.api.authentication import bearer_of, count_wrong, find_client
from oasst.api.fields import Shape, Text
from oasst.core import ratelimit
from oasst.core.errors import NotAllowed

Opened = TypeVar("Opened")
AUTH_METHOD = "chat"
"""How people are named whom a trusted program vouches for, apart from those of the data set's wire."""


class TrustedClientAuthentication(BaseAuthentication):
    """`request.auth` is the TrustedCaller. `request.user` is anonymous: nobody may know the person yet."""

    def authenticate(self, request: Request) -> tuple[User | AnonymousUser, "TrustedCaller"]:
        return AnonymousUser(), trusted_caller(request._request)


class TrustedPersonAuthentication(BaseAuthentication):
    """As above, and `request.user` is the person if they are known."""

    def authenticate(self, request: Request) -> tuple[User | AnonymousUser, "TrustedCaller"] | None:
        if "TrustedClient" not in request.headers:
            return None
        caller = trusted_caller(request._request)
        return caller.find() or AnonymousUser(), caller


class SessionAuthentication(BaseAuthentication):
    """An access token, of a person who signed in with a program. `request.auth` is the ProgramSession."""

    def authenticate(self, request: Request) -> tuple[User, ProgramSession] | None:
        given = bearer_of(request._request)
        if not program_sessions.is_access_token(given):
            return None
        session = with_wrong_ones_counted(request._request, program_sessions.session_of, given)
        return session.user, session


def with_wrong_ones_counted(request: HttpRequest, open_with: Callable[[str], Opened], token: str) -> Opened:
    """What the token opens. One that opens nothing is counted by the address; Busy after too many."""
    try:
        return open_with(token)
    except NotAllowed as error:
        if error.code == "token":
            count_wrong(ratelimit.WRONG_TOKENS_FROM_ADDRESS, request)
        raise


@dataclass(frozen=True)
class TrustedCaller:
    """A program and the person it speaks for, as it names them."""

    client: ApiClient
    name: str
    account_id: str
    display_name: str

    def find(self) -> User | None:
        """One of the program's own people: by this name, or by our id of somebody whom it knows on the other wire."""
        known = find_person(self.client, AUTH_METHOD, self.name)
        return known or self.known_elsewhere()

    def known_elsewhere(self) -> User | None:
        try:
            person_id = UUID(self.account_id)
        except ValueError:
            return None
        found = Identity.objects.select_related("user").filter(api_client=self.client, user=person_id).first()
        if found is None:
            return None
        found.user.vouched_for = True
        return found.user


class _Claim(Shape):
    """What the header TrustedClient holds."""

    api_key = Text(max_length=200, allow_blank=False)
    client = Text(max_length=256)
    user_id = Text(max_length=128, allow_blank=False)
    provider_account_id = Text(default="", allow_null=True, max_length=256)
    username = Text(default="", allow_null=True, max_length=256)


@cache
def _claim() -> _Claim:
    return _Claim()


def trusted_caller(request: HttpRequest) -> TrustedCaller:
    """Raises NotAllowed `unauthorized_client`."""
    refused = NotAllowed("Unauthorized client", code="unauthorized_client")
    try:
        given = base64.b64decode(request.headers.get("TrustedClient", ""), validate=True)
        claim = _claim().run_validation(json.loads(given))
        client = find_client(claim["api_key"], request)
    except (ValueError, binascii.Error, RecursionError, serializers.ValidationError, NotAllowed) as error:
        raise refused from error
    if not client.trusted:
        raise refused
    name, account_id = claim["user_id"], claim["provider_account_id"] or ""
    return TrustedCaller(client, name, account_id, claim["username"] or name)
