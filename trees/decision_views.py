"""The page about a decision of a moderator, for the person whom it concerns: what, why, and the appeal."""

from http import HTTPStatus

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from oasst.accounts.documents import contact_address
from oasst.accounts.forms import DecisionAppealForm, add_domain_error
from oasst.accounts.requests import SignedInRequest
from oasst.core.errors import Busy, Conflict, DomainError, NotFound
from oasst.core.http import kept_forms
from oasst.core.http.kept_forms import keep_until_accepted
from oasst.core.markdown.rendering import plain_excerpt
from trees.access import is_public
from trees.moderation import appealing
from trees.queries import EXCERPT

_LARGEST_ID = 2**63 - 1


@never_cache
@login_required
@require_safe
def decision(request: SignedInRequest, entry_id: int) -> HttpResponse:
    kept = kept_forms.find_kept_form(request)
    form = DecisionAppealForm(initial=kept.fields.dict() if kept else None)
    return _page(request, _find(request, entry_id), form, HTTPStatus.OK)


@keep_until_accepted("decision")
@never_cache
@login_required
@require_POST
def appeal(request: SignedInRequest, entry_id: int) -> HttpResponse:
    found, form = _find(request, entry_id), DecisionAppealForm(request.POST)
    if form.is_valid():
        try:
            appealing.appeal(request.user, entry_id, form.cleaned_data["text"])
        except Busy:
            raise  # it has its own page, with the time to wait
        except Conflict as refusal:  # the page says how things stand
            messages.error(request, refusal.message)
            return redirect("decision", entry_id)
        except DomainError as error:
            add_domain_error(form, error)
        else:
            messages.success(request, gettext("Your appeal is with the moderators. You find the answer on this page."))
            return redirect("decision", entry_id)
    return _page(request, found, form, HTTPStatus.UNPROCESSABLE_ENTITY)


def _find(request: SignedInRequest, entry_id: int) -> appealing.Decision:
    if entry_id > _LARGEST_ID:
        raise NotFound(gettext("There is no such decision."), code="decision_not_found")
    return appealing.find_decision(request.user, entry_id)


def _page(
    request: SignedInRequest, found: appealing.Decision, form: DecisionAppealForm, status: HTTPStatus
) -> HttpResponse:
    message = found.message
    is_shown = message is not None and is_public(message)
    context = {
        "decision": found,
        "message": message,
        "excerpt": plain_excerpt(message.text, EXCERPT) if message and is_shown else "",
        "contact": contact_address(),
        "form": form if found.may_appeal else None,
    }
    return render(request, "trees/decision.html", context, status=status)
