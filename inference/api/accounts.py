"""Signing in with a program, and out, and the end of an account."""

import re
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from rest_framework import serializers

from inference.api.authentication import AUTH_METHOD, TrustedCaller, with_wrong_ones_counted
from inference.api.schemas import Refreshed, TokenPair, TrustedUser
from inference.chats import deletion
from oasst.accounts import closing, consent, registration
from oasst.accounts.access import has_current_terms, may_sign_in_unproven, require_member
from oasst.accounts.authentication import program_sessions, reauthentication
from oasst.accounts.authentication.program_sessions import Pair
from oasst.accounts.authentication.proof import RECENTLY, is_proved, proved_at
from oasst.accounts.identities import delete_person, person_for, require_general
from oasst.accounts.models import Identity, ProgramSession, User
from oasst.accounts.notices import tell
from oasst.api.fields import Id, Shape, Text
from oasst.api.operations import Access, Call, Operation, operation
from oasst.core.errors import Invalid, NotAllowed, NotFound
from oasst.core.http.requests import client_address
from oasst.core.ratelimit import SIGN_INS_ELSEWHERE, spend

OPERATIONS: list[Operation] = []
_ASKED = "signs_in_with_a_program"


class DebugLogin(Shape):
    username = Text(default="", max_length=100)
    state = Text(default="", max_length=200)


class DebugCallback(Shape):
    code = Text(default="", max_length=100)


@operation(OPERATIONS, "GET", "auth/check", Access.MEMBER, answer=Id())
def check(call: Call) -> Any:
    """The id of the caller."""
    return call.person.pk


@operation(OPERATIONS, "GET", "auth/providers", Access.OPEN, answer=serializers.ListField(child=Text()))
def get_providers(call: Call) -> Any:
    """How people can prove who they are."""
    return [*sorted(settings.SOCIALACCOUNT_PROVIDERS), *(["debug"] if may_sign_in_unproven(call.request) else [])]


@operation(OPERATIONS, "GET", "auth/login/debug", Access.OPEN, query=DebugLogin, status=302, plain=(403,))
def log_in_for_debugging(call: Call) -> HttpResponse:
    """To the callback, as a service would. Only with DEBUG."""
    _require_debug(call.request)
    return HttpResponseRedirect("../callback/debug?" + urlencode({"code": call.query["username"]}))


@operation(OPERATIONS, "GET", "auth/callback/debug", Access.OPEN, query=DebugCallback, answer=TokenPair, plain=(403,))
def come_back_for_debugging(call: Call) -> Any:
    """Tokens of whoever one wants to be. Only with DEBUG."""
    _require_debug(call.request)
    slug = re.sub(r"[^a-z0-9]+", "-", call.query["code"].lower()).strip("-")
    if not slug:
        raise Invalid("A username is needed.", code="no_person")
    person = registration.person_behind(f"{slug}@debug.example.com")
    require_member(person)
    if not has_current_terms(person):
        consent.accept_terms(person)
    return _pair(call, program_sessions.sign_in(person, provider="debug"))


@operation(OPERATIONS, "GET", "auth/login/<provider>", Access.OPEN, status=302)
def log_in(call: Call) -> HttpResponse:
    """To a service that vouches for people, and back to the callback."""
    provider = _provider(call)
    spend(SIGN_INS_ELSEWHERE, client_address(call.request))
    call.request.session[_ASKED] = provider
    target = f"{reverse('account_login')}?{urlencode({'next': _callback(provider)})}"
    return HttpResponseRedirect(target)


@operation(
    OPERATIONS,
    "GET",
    "auth/callback/<provider>",
    Access.OPEN,
    answer=TokenPair,
    also={302: "To a page that asks the person for something first."},
    plain=(403,),
)
def come_back(call: Call) -> Any:
    """Tokens for the person who signed in just now."""
    provider, request = _provider(call), call.request
    if not request.user.is_authenticated or request.session.pop(_ASKED, None) != provider:
        raise NotAllowed("Please begin at auth/login.", code="sign_in")
    require_member(request.user)
    if not has_current_terms(request.user):
        request.session[_ASKED] = provider
        return HttpResponseRedirect(f"{reverse('terms_accept')}?{urlencode({'next': _callback(provider)})}")
    if not is_proved(request):  # a program stays signed in for as long as it likes
        request.session[_ASKED] = provider
        return reauthentication.ask(request, _callback(provider))
    return _pair(call, program_sessions.sign_in(request.user, provider=provider, proved_at=proved_at(request)))


@operation(OPERATIONS, "POST", "auth/trusted", Access.TRUSTED, answer=TrustedUser)
def sign_in_trusted(call: Call) -> Any:
    """Make the person known whom a trusted program speaks for."""
    caller = call.auth
    with transaction.atomic():
        known = caller.known_elsewhere()
        if known is not None:  # somebody of the same program, whom it names otherwise on the data set's wire
            values = {"api_client": caller.client, "auth_method": AUTH_METHOD, "username": caller.name}
            Identity.objects.get_or_create(**values, defaults={"user": known})
        person = person_for(
            caller.client, auth_method=AUTH_METHOD, username=caller.name, display_name=caller.display_name
        )
    require_member(person)
    return {
        "id": person.pk,
        "provider": caller.client.name,
        "provider_account_id": caller.account_id,
        "display_name": person.display_name,
        "deleted": False,
    }


@operation(
    OPERATIONS,
    "GET",
    "auth/refresh",
    Access.OPEN,
    answer=Refreshed,
    headers={"Refresh": Text(help_text="The refresh token.")},
)
def refresh(call: Call) -> Any:
    """New tokens for the refresh token in the header `Refresh`, which is used up."""
    pair = with_wrong_ones_counted(call.request, program_sessions.refresh, _refresh_token(call))
    told = _pair(call, pair)
    return {**told["access_token"], "refresh_token": told["refresh_token"]}


@operation(OPERATIONS, "POST", "auth/logout", Access.MEMBER)
def log_out(call: Call) -> None:
    """End the session of this access token: neither it nor its refresh token is good for anything afterwards."""
    if not isinstance(call.auth, ProgramSession):
        raise Invalid("Only a program that signed in can sign out.", code="no_session")
    program_sessions.end(call.auth)


@operation(OPERATIONS, "DELETE", "account/", Access.MEMBER)
def delete_account(call: Call) -> None:
    """Erase who the caller was, and their chats. Final."""
    person = call.person
    if isinstance(call.auth, TrustedCaller):
        require_general(person.pk)
    elif not isinstance(call.auth, ProgramSession) or _age_of(call.auth) > RECENTLY:
        raise NotAllowed("Please sign in again first: this can not be undone.", code="not_recent")
    email = person.email
    with transaction.atomic():  # chats stay where the account has to
        deletion.delete_all_chats(user=person)
        closing.close_account(person)
    if email:
        tell(call.request, person, "account_closed", email=email)


@operation(OPERATIONS, "DELETE", "admin/refresh_tokens/<user_id>", Access.ROOT)
def end_sessions(call: Call) -> None:
    """Sign a person out of every program."""
    program_sessions.end_all_of(_user(call))


@operation(OPERATIONS, "DELETE", "admin/users/<user_id>", Access.ROOT)
def delete_user(call: Call) -> None:
    """Erase who this was, and their chats."""
    person = require_general(_user(call).pk)
    with transaction.atomic():
        deletion.delete_all_chats(user=person)
        delete_person(person.pk)


def _user(call: Call) -> User:
    person = User.objects.filter(pk=call.id("user_id")).first()
    if person is None:
        raise NotFound("There is no such user.", code="user_not_found")
    return person


def _age_of(session: ProgramSession) -> float:
    """In seconds."""
    return (timezone.now() - session.created_at).total_seconds()


def _require_debug(request: HttpRequest) -> None:
    if not may_sign_in_unproven(request):
        raise NotAllowed("Signing in as anybody is for people who work on the site.", code="debug_only")


def _provider(call: Call) -> str:
    name: str = call.path["provider"]
    if name not in settings.SOCIALACCOUNT_PROVIDERS:
        raise NotFound("This site knows no such service.", code="no_provider")
    return name


def _callback(provider: str) -> str:
    return f"/inference/auth/callback/{provider}"


def _refresh_token(call: Call) -> str:
    given = call.request.headers.get("Refresh", "").strip()
    if not given:
        raise NotAllowed("Not authenticated", code="sign_in")
    return given


def _pair(call: Call, pair: Pair) -> dict[str, Any]:
    call.headers["Cache-Control"] = "no-store"
    return {
        "access_token": {"access_token": pair.access, "token_type": "bearer"},
        "refresh_token": {"access_token": pair.refresh, "token_type": "refresh"},
    }
