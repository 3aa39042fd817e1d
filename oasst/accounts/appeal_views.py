"""The page of a suspended account: the reason, whom to ask, and the appeal."""

from http import HTTPStatus

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from oasst.accounts import appeals
from oasst.accounts.documents import contact_address
from oasst.accounts.forms import AppealForm, add_domain_error
from oasst.accounts.requests import SignedInRequest
from oasst.core.errors import Busy, Conflict, DomainError
from oasst.core.http import kept_forms
from oasst.core.http.kept_forms import keep_until_accepted

MAX_EARLIER = 10


@never_cache
@login_required
@require_safe
def suspended(request: SignedInRequest) -> HttpResponse:
    if request.user.enabled:
        return redirect(settings.LOGIN_REDIRECT_URL)
    kept = kept_forms.find_kept_form(request)
    return _page(request, AppealForm(initial=kept.fields.dict() if kept else None), HTTPStatus.FORBIDDEN)


@keep_until_accepted("suspended")
@never_cache
@login_required
@require_POST
def appeal(request: SignedInRequest) -> HttpResponse:
    if request.user.enabled:
        return redirect(settings.LOGIN_REDIRECT_URL)
    form = AppealForm(request.POST)
    if form.is_valid():
        try:
            appeals.appeal(request.user, form.cleaned_data["text"])
        except Busy:
            raise  # it has its own page, with the time to wait
        except Conflict as refusal:  # the page says how things stand
            messages.error(request, refusal.message)
            return redirect("suspended")
        except DomainError as error:
            add_domain_error(form, error)
        else:
            messages.success(request, gettext("Your appeal is with the moderators. You find the answer on this page."))
            return redirect("suspended")
    return _page(request, form, HTTPStatus.UNPROCESSABLE_ENTITY)


def _page(request: SignedInRequest, form: AppealForm, status: HTTPStatus) -> HttpResponse:
    latest = appeals.latest_appeal(request.user)
    again_at = appeals.next_appeal_at(latest)
    context = {
        "reason": request.user.ban_reason,
        "since": request.user.banned_at,
        "until": request.user.banned_until,
        "contact": contact_address(),
        "appeal": latest,
        "earlier": appeals.earlier_appeals(request.user, latest)[:MAX_EARLIER],
        "again_at": again_at,
        "form": None if again_at or (latest and latest.decided_at is None) else form,
    }
    return render(request, "accounts/suspended.html", context, status=status)
