"""The page with a user's own sessions."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from oasst.accounts.authentication import program_sessions, sessions
from oasst.accounts.requests import SignedInRequest


@never_cache
@login_required
@require_safe
def own_sessions(request: SignedInRequest) -> HttpResponse:
    context = {
        "rows": sessions.sessions_of(request, request.user),
        "programs": program_sessions.count_of(request.user),
    }
    return render(request, "accounts/sessions.html", context)


@login_required
@require_POST
def end(request: SignedInRequest, handle: str) -> HttpResponse:
    if sessions.end_session(request.user, handle):
        messages.success(request, "That browser is signed out.")
    else:
        messages.info(request, "That browser was signed out already.")
    return redirect("sessions")


@login_required
@require_POST
def end_others(request: SignedInRequest) -> HttpResponse:
    sessions.end_other_sessions(request, request.user)
    messages.success(request, "You are signed out everywhere but here.")
    return redirect("sessions")
