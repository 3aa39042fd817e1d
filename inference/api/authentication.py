"""Authentication of the chat API: a trusted API client that names a user, an access token, or a user's own token.

Session cookies are not accepted, so no page of another site can use them.
"""

import base64
import binascii
import json
from collections.abc import Callable
from dataclasses import dataclass
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
from oasst.api.authentication import bearer_token, count_wrong_secret, find_client
from oasst.api.fields import Schema, TextField
from oasst.core import ratelimit
from oasst.core.errors import NotAllowed

Result = TypeVar("Result")
AUTH_METHOD = "chat"
"""The auth method of users of a trusted client, separate from those of /api/v1."""


class TrustedClientAuthentication(BaseAuthentication):
    """`request.auth` is the TrustedCaller. `request.user` is anonymous, because the user may not exist yet."""

    def authenticate(self, request: Request) -> tuple[User | AnonymousUser, "TrustedCaller"]:
        return AnonymousUser(), trusted_caller(request._request)


class TrustedUserAuthentication(BaseAuthentication):
    """The same if the request has that header. `request.user` is the user if known."""

    def authenticate(self, request: Request) -> tuple[User | AnonymousUser, "TrustedCaller"] | None:
        if "TrustedClient" not in request.headers:
            return None
        caller = trusted_caller(request._request)
        return caller.find_user() or AnonymousUser(), caller


class SessionAuthentication(BaseAuthentication):
    """The access token of a user who signed in with an API client. `request.auth` is the ProgramSession."""

    def authenticate(self, request: Request) -> tuple[User, ProgramSession] | None:
        token = bearer_token(request._request)
        if not program_sessions.is_access_token(token):
            return None
        session = count_wrong_tokens(request._request, program_sessions.session_of, token)
        return session.user, session


def count_wrong_tokens(request: HttpRequest, open_with: Callable[[str], Result], token: str) -> Result:
    """Return the result of `open_with` for the token. Counts wrong tokens per address; raises Busy after too many."""
    try:
        return open_with(token)
    except NotAllowed as error:
        if error.code == "token":
            count_wrong_secret(ratelimit.WRONG_TOKENS_FROM_ADDRESS, request)
        raise


@dataclass(frozen=True)
class TrustedCaller:
    """A trusted API client and the user that it names."""

    client: ApiClient
    name: str
    account_id: str
    display_name: str

    def find_user(self) -> User | None:
        """Return the client's user with this name, or with our id if the client knows them in /api/v1."""
        return find_person(self.client, AUTH_METHOD, self.name) or self.find_user_by_id()

    def find_user_by_id(self) -> User | None:
        try:
            user_id = UUID(self.account_id)
        except ValueError:
            return None
        identity = Identity.objects.select_related("user").filter(api_client=self.client, user=user_id).first()
        if identity is None:
            return None
        identity.user.vouched_for = True
        return identity.user


class _Claim(Schema):
    """The JSON object of the header TrustedClient."""

    api_key = TextField(max_length=200, allow_blank=False)
    client = TextField(max_length=256)
    user_id = TextField(max_length=128, allow_blank=False)
    provider_account_id = TextField(default="", allow_null=True, max_length=256)
    username = TextField(default="", allow_null=True, max_length=256)


_CLAIM = _Claim()


def trusted_caller(request: HttpRequest) -> TrustedCaller:
    """Read and check the header TrustedClient. Raise NotAllowed `unauthorized_client`."""
    refused = NotAllowed("Unauthorized client", code="unauthorized_client")
    try:
        header = base64.b64decode(request.headers.get("TrustedClient", ""), validate=True)
        claim = _CLAIM.run_validation(json.loads(header))
        client = find_client(claim["api_key"], request)
    except (ValueError, binascii.Error, RecursionError, serializers.ValidationError, NotAllowed) as error:
        raise refused from error
    if not client.trusted:
        raise refused
    name, account_id = claim["user_id"], claim["provider_account_id"] or ""
    return TrustedCaller(client, name, account_id, claim["username"] or name)
