"""The page with a user's own tokens."""

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
from oasst.accounts.forms import add_domain_error
from oasst.accounts.notices import send_notice
from oasst.accounts.requests import SignedInRequest
from oasst.core.errors import Busy, DomainError
from oasst.core.form_fields import LineField

_NEVER_EXPIRES = 0
_NEW_TOKENS = "made_tokens"
"""Session key of tokens whose secret was not shown yet."""


class TokenForm(forms.Form):
    name = LineField(
        label="What is it for?", limit=tokens.NAME_LENGTH, help_text="A name of your own, such as “laptop”."
    )
    days = forms.TypedChoiceField(
        label="Good for",
        choices=[*((days, f"{days} days") for days in tokens.DAYS), (_NEVER_EXPIRES, "Until I revoke it")],
        coerce=lambda days: int(days) or None,
        initial=90,
    )


@never_cache
@login_required
@require_http_methods(["GET", "POST"])
def own_tokens(request: SignedInRequest) -> HttpResponse:
    """Show the user's tokens, and create new ones.

    The session keeps a new secret for the next page, which removes it: reloading that page shows nothing and creates no
    second token.
    """
    form = TokenForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            token, secret = tokens.create_token(request.user, **form.cleaned_data)
        except Busy:
            raise  # it has its own page, with the time to wait
        except DomainError as error:
            add_domain_error(form, error)
        else:
            send_notice(request, request.user, "token_made", token_name=token.name)
            request.session[_NEW_TOKENS] = [
                *request.session.get(_NEW_TOKENS, []),
                {"name": token.name, "secret": secret},
            ]
            return redirect("tokens")
    now = timezone.now()
    rows = [
        {"token": token, "expired": token.expires_at is not None and token.expires_at <= now}
        for token in tokens.tokens_of(request.user)
    ]
    context = {
        "made": request.session.pop(_NEW_TOKENS, []) if request.method == "GET" else [],
        "programs": program_sessions.count_of(request.user),
        "form": form,
        "rows": rows,
        "most": tokens.MAX_TOKENS,
        "site_url": settings.PUBLIC_URL,
    }
    return render(request, "accounts/tokens.html", context)


@login_required
@require_POST
def revoke(request: SignedInRequest, token_id: UUID) -> HttpResponse:
    tokens.revoke_token(request.user, token_id)
    messages.success(request, "The token is revoked. Programs that used it have no access any more.")
    return redirect("tokens")


@login_required
@require_POST
def leave_programs(request: SignedInRequest) -> HttpResponse:
    """Sign the user out of every program."""
    program_sessions.end_all_of(request.user)
    messages.success(request, "You are signed out of all programs.")
    return redirect("tokens")
