"""One page for somebody new: languages, time zone, and what they like to do; then two texts for practice.

It comes once, after the first agreement to the terms (`oasst.accounts.views.terms_accept`), and can be skipped whole.
Nothing is remembered of how far somebody came. What they like to do is not stored: it decides about the practice and
the task that is offered after it (`tasks.interests`).
"""

from http import HTTPStatus
from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from oasst.accounts import profiles
from oasst.accounts.forms import LanguagesField, TimeZoneField, add_domain_error
from oasst.accounts.requests import SignedInRequest
from oasst.core.errors import Invalid
from oasst.core.http.requests import safe_next
from oasst.core.text.languages import accepted_languages
from tasks.interests import INTERESTS, Interest
from tasks.practice_views import tour_url

_USUAL = Interest.REVIEWING
"""What is chosen for those who do not say."""


class OnboardingForm(forms.Form):
    languages = LanguagesField(
        label=gettext_lazy("Which languages do you write in?"),
        help_text=gettext_lazy("The first one is the one you are offered work in."),
    )
    time_zone = TimeZoneField(
        help_text=gettext_lazy("All times are shown in it, and it decides when your day begins. Type a city.")
    )
    interest = forms.ChoiceField(
        label=gettext_lazy("What would you like to do?"),
        choices=[(interest.value, row.title) for interest, row in INTERESTS.items()],
        required=False,
    )

    @property
    def interests(self) -> list[dict[str, Any]]:
        """Return what the page shows of each interest."""
        chosen = self["interest"].value() or _USUAL
        return [
            {"value": one.value, "row": row, "glyph": row.practice[-1].value, "chosen": one.value == chosen}
            for one, row in INTERESTS.items()
        ]


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def onboarding(request: SignedInRequest) -> HttpResponse:
    """Ask somebody new, store languages and time zone, and lead to practice or to where they were going."""
    target = safe_next(request, settings.LOGIN_REDIRECT_URL)
    form = OnboardingForm(request.POST) if request.method == "POST" else OnboardingForm(initial=_initial(request))
    languages: Any = form.fields["languages"]
    languages.allow(request.user.contribution_languages)
    if form.is_bound and form.is_valid():
        try:
            profiles.introduce(
                request.user, languages=form.cleaned_data["languages"], time_zone=form.cleaned_data["time_zone"]
            )
        except Invalid as error:
            add_domain_error(form, error)
        else:
            return redirect(_next_page(request, form, target))
    context = {"form": form, "next": target, "person": request.user}
    status = HTTPStatus.UNPROCESSABLE_ENTITY if form.errors else HTTPStatus.OK
    return render(request, "pages/onboarding.html", context, status=status)


def _initial(request: SignedInRequest) -> dict[str, Any]:
    return {
        "languages": request.user.contribution_languages or _proposed_languages(request),
        "time_zone": request.user.time_zone.replace("_", " "),
    }


def _proposed_languages(request: SignedInRequest) -> list[str]:
    return accepted_languages(request.headers.get("Accept-Language", "")) or [request.user.first_language]


def _next_page(request: SignedInRequest, form: OnboardingForm, target: str) -> str:
    if request.POST.get("then") == "work":
        return target
    return tour_url(Interest(form.cleaned_data["interest"] or _USUAL), target)
