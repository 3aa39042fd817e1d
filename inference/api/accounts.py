"""Signing API clients in and out, and deleting accounts."""

import re
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from rest_framework import serializers

from inference.api.authentication import AUTH_METHOD, TrustedCaller, count_wrong_tokens
from inference.api.schemas import Refreshed, TokenPair, TrustedUser
from inference.chats import deletion
from oasst.accounts import acts, closing, consent, registration
from oasst.accounts.access import has_current_terms, may_use_debug_login, require_member
from oasst.accounts.authentication import program_sessions, reauthentication
from oasst.accounts.authentication.program_sessions import IssuedTokens
from oasst.accounts.authentication.proof import RECENT_SECONDS, is_recently_proved, proved_at
from oasst.accounts.identities import delete_person, get_non_staff, get_or_create_person
from oasst.accounts.models import Identity, ProgramSession, User
from oasst.accounts.notices import send_notice
from oasst.api.fields import Schema, TextField, UUIDField
from oasst.api.operations import Access, Call, Operation, operation
from oasst.core.audit.recording import record
from oasst.core.errors import Invalid, NotAllowed, NotFound
from oasst.core.http.requests import client_address
from oasst.core.ratelimit import PROVIDER_SIGN_INS, count_use

OPERATIONS: list[Operation] = []
_SESSION_KEY = "signs_in_with_a_program"


class DebugLogin(Schema):
    username = TextField(default="", max_length=100)
    state = TextField(default="", max_length=200)


class DebugCallback(Schema):
    code = TextField(default="", max_length=100)


@operation(OPERATIONS, "GET", "auth/check", Access.MEMBER, answer=UUIDField())
def check(call: Call) -> Any:
    """The id of the caller."""
    return call.user.pk


@operation(OPERATIONS, "GET", "auth/providers", Access.OPEN, answer=serializers.ListField(child=TextField()))
def get_providers(call: Call) -> Any:
    """The ways to sign in."""
    return [*sorted(settings.SOCIALACCOUNT_PROVIDERS), *(["debug"] if may_use_debug_login(call.request) else [])]


@operation(OPERATIONS, "GET", "auth/login/debug", Access.OPEN, query=DebugLogin, status=302, unnumbered_statuses=(403,))
def log_in_for_debugging(call: Call) -> HttpResponse:
    """Redirect to the callback, as an identity provider does. Only with DEBUG."""
    _require_debug(call.request)
    return HttpResponseRedirect("../callback/debug?" + urlencode({"code": call.query["username"]}))


@operation(
    OPERATIONS,
    "GET",
    "auth/callback/debug",
    Access.OPEN,
    query=DebugCallback,
    answer=TokenPair,
    unnumbered_statuses=(403,),
)
def come_back_for_debugging(call: Call) -> Any:
    """Tokens for any username. Only with DEBUG."""
    _require_debug(call.request)
    slug = re.sub(r"[^a-z0-9]+", "-", call.query["code"].lower()).strip("-")
    if not slug:
        raise Invalid("A username is needed.", code="no_person")
    user = registration.get_or_create_by_email(f"{slug}@debug.example.com")
    require_member(user)
    if not has_current_terms(user):
        consent.accept_terms(user)
    return _pair(call, program_sessions.sign_in(user, provider="debug"))


@operation(OPERATIONS, "GET", "auth/login/<provider>", Access.OPEN, status=302)
def log_in(call: Call) -> HttpResponse:
    """Redirect to an identity provider, and from there to the callback."""
    provider = _provider(call)
    count_use(PROVIDER_SIGN_INS, client_address(call.request))
    call.request.session[_SESSION_KEY] = provider
    target = f"{reverse('account_login')}?{urlencode({'next': _callback(provider)})}"
    return HttpResponseRedirect(target)


@operation(
    OPERATIONS,
    "GET",
    "auth/callback/<provider>",
    Access.OPEN,
    answer=TokenPair,
    other_statuses={302: "Redirect to a page that asks the user for something first."},
    unnumbered_statuses=(403,),
)
def come_back(call: Call) -> Any:
    """Tokens for the person who signed in just now."""
    provider, request = _provider(call), call.request
    if not request.user.is_authenticated or request.session.pop(_SESSION_KEY, None) != provider:
        raise NotAllowed("Please begin at auth/login.", code="sign_in")
    require_member(request.user)
    if not has_current_terms(request.user):
        request.session[_SESSION_KEY] = provider
        return HttpResponseRedirect(f"{reverse('terms_accept')}?{urlencode({'next': _callback(provider)})}")
    if not is_recently_proved(request):  # an API client may stay signed in without end
        request.session[_SESSION_KEY] = provider
        return reauthentication.redirect_to_proof(request, _callback(provider))
    return _pair(call, program_sessions.sign_in(request.user, provider=provider, proved_at=proved_at(request)))


@operation(OPERATIONS, "POST", "auth/trusted", Access.TRUSTED, answer=TrustedUser)
def sign_in_trusted(call: Call) -> Any:
    """Create the user whom a trusted API client names, if missing."""
    caller = call.auth
    with transaction.atomic():
        user_by_id = caller.find_user_by_id()
        if user_by_id is not None:  # the same client knows this user under another name in /api/v1
            values = {"api_client": caller.client, "auth_method": AUTH_METHOD, "username": caller.name}
            Identity.objects.get_or_create(**values, defaults={"user": user_by_id})
        user = get_or_create_person(
            caller.client, auth_method=AUTH_METHOD, username=caller.name, display_name=caller.display_name
        )
    require_member(user)
    return {
        "id": user.pk,
        "provider": caller.client.name,
        "provider_account_id": caller.account_id,
        "display_name": user.display_name,
        "deleted": False,
    }


@operation(
    OPERATIONS,
    "GET",
    "auth/refresh",
    Access.OPEN,
    answer=Refreshed,
    headers={"Refresh": TextField(help_text="The refresh token.")},
)
def refresh(call: Call) -> Any:
    """New tokens for the refresh token in the header `Refresh`, which is used up."""
    token = call.request.headers.get("Refresh", "").strip()
    if not token:
        raise NotAllowed("Not authenticated", code="sign_in")
    pair = count_wrong_tokens(call.request, program_sessions.refresh, token)
    tokens = _pair(call, pair)
    return {**tokens["access_token"], "refresh_token": tokens["refresh_token"]}


@operation(OPERATIONS, "POST", "auth/logout", Access.MEMBER)
def log_out(call: Call) -> None:
    """End the session of this access token: it and its refresh token become invalid."""
    if not isinstance(call.auth, ProgramSession):
        raise Invalid("Only a program that signed in can sign out.", code="no_session")
    program_sessions.end(call.auth)


@operation(OPERATIONS, "DELETE", "account/", Access.MEMBER)
def delete_account(call: Call) -> None:
    """Erase the caller's account and chats. Final."""
    user, session = call.user, call.auth
    if isinstance(session, TrustedCaller):
        get_non_staff(user.pk)
    elif (
        not isinstance(session, ProgramSession)
        or (timezone.now() - session.created_at).total_seconds() > RECENT_SECONDS
    ):
        raise NotAllowed("Please sign in again first: this cannot be undone.", code="not_recent")
    email = user.email
    with transaction.atomic():  # if the account has to stay, so do its chats
        deletion.delete_all_chats(user=user)
        closing.close_account(user)
    if email:
        send_notice(call.request, user, "account_closed", email=email)


@operation(OPERATIONS, "DELETE", "admin/refresh_tokens/<user_id>", Access.ROOT)
def end_sessions(call: Call) -> None:
    """Sign a user out of all API clients."""
    user = _user(call)
    with transaction.atomic():
        program_sessions.end_all_of(user)
        record(acts.END_SESSIONS, user, person_id=user.pk, reason="With a root token.")


@operation(OPERATIONS, "DELETE", "admin/users/<user_id>", Access.ROOT)
def delete_user(call: Call) -> None:
    """Erase a user's account and chats."""
    user = get_non_staff(_user(call).pk)
    with transaction.atomic():
        deletion.delete_all_chats(user=user)
        delete_person(user.pk, None)


def _user(call: Call) -> User:
    user = User.objects.filter(pk=call.id("user_id")).first()
    if user is None:
        raise NotFound("There is no such user.", code="user_not_found")
    return user


def _require_debug(request: HttpRequest) -> None:
    if not may_use_debug_login(request):
        raise NotAllowed("Signing in as anybody is for people who work on the site.", code="debug_only")


def _provider(call: Call) -> str:
    name: str = call.path["provider"]
    if name not in settings.SOCIALACCOUNT_PROVIDERS:
        raise NotFound("This site knows no such service.", code="no_provider")
    return name


def _callback(provider: str) -> str:
    return f"/inference/auth/callback/{provider}"


def _pair(call: Call, pair: IssuedTokens) -> dict[str, Any]:
    call.headers["Cache-Control"] = "no-store"
    return {
        "access_token": {"access_token": pair.access, "token_type": "bearer"},
        "refresh_token": {"access_token": pair.refresh, "token_type": "refresh"},
    }
