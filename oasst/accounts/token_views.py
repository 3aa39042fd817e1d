"""A person's own tokens, as a page under the profile."""

from uuid import UUID

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from oasst.accounts import tokens
from oasst.accounts.authentication import program_sessions
from oasst.accounts.forms import add_refusal
from oasst.accounts.notices import tell
from oasst.accounts.requests import SignedInRequest
from oasst.core.errors import Busy, DomainError
from oasst.core.form_fields import LineField

_NO_END = 0
_MADE = "made_tokens"
"""In the session: tokens whose secret was not shown yet."""


class TokenForm(forms.Form):
    name = LineField(
        label="What is it for?", limit=tokens.NAME_LENGTH, help_text="A name of your own, such as “laptop”."
    )
    days = forms.TypedChoiceField(
        label="Good for",
        choices=[*((days, f"{days} days") for days in tokens.DAYS), (_NO_END, "Until I revoke it")],
        coerce=lambda days: int(days) or None,
        initial=90,
    )


@never_cache
@login_required
@require_http_methods(["GET", "POST"])
def own_tokens(request: SignedInRequest) -> HttpResponse:
    """A new secret waits in the session for the page after the form, which takes it out: loading that page again makes
    no second token and shows nothing more.
    """
    form = TokenForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            token, secret = tokens.create_token(request.user, **form.cleaned_data)
        except Busy:
            raise  # a page of its own, with the time to wait
        except DomainError as error:
            add_refusal(form, error)
        else:
            tell(request, request.user, "token_made", token_name=token.name)
            request.session[_MADE] = [*request.session.get(_MADE, []), {"name": token.name, "secret": secret}]
            return redirect("tokens")
    now = timezone.now()
    rows = [
        {"token": token, "expired": token.expires_at is not None and token.expires_at <= now}
        for token in tokens.tokens_of(request.user)
    ]
    programs = program_sessions.count_of(request.user)
    context = {
        "made": request.session.pop(_MADE, []) if request.method == "GET" else [],
        "programs": programs,
        "form": form,
        "rows": rows,
        "most": tokens.MOST_TOKENS,
        "site_url": settings.PUBLIC_URL,
    }
    return render(request, "accounts/tokens.html", context)


@login_required
@require_POST
def revoke(request: SignedInRequest, token_id: UUID) -> HttpResponse:
    tokens.revoke_token(request.user, token_id)
    messages.success(request, "The token is revoked. Whatever used it is shut out.")
    return redirect("tokens")


@login_required
@require_POST
def leave_programs(request: SignedInRequest) -> HttpResponse:
    """Sign out of every program that holds a session of this person."""
    program_sessions.end_all_of(request.user)
    messages.success(request, "You are signed out of all programs.")
    return redirect("tokens")
