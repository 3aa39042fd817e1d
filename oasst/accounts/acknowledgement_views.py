"""The public page of thanks, and the page on which a contributor agrees to be named there."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from oasst.accounts import acknowledgements
from oasst.accounts.forms import AcknowledgementForm, add_domain_error
from oasst.accounts.requests import SignedInRequest
from oasst.core.errors import Busy, DomainError, NotFound
from oasst.core.http import kept_forms
from oasst.core.http.kept_forms import keep_until_accepted


@require_safe
def thanks(request: HttpRequest) -> HttpResponse:
    number = request.GET.get("page", "1")
    if number not in map(str, range(1, acknowledgements.MAX_PAGES + 1)):
        raise NotFound(gettext("There is no such page."))
    page = acknowledgements.names_on_page(int(number))
    context = {"names": page.names, "next": int(number) + 1 if page.has_more else 0, "previous": int(number) - 1}
    return render(request, "accounts/thanks.html", context)


@keep_until_accepted("acknowledgement")
@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def acknowledgement(request: SignedInRequest) -> HttpResponse:
    name = acknowledgements.find_name(request.user)
    kept = kept_forms.find_kept_form(request, request.path)
    initial = {"agrees": bool(name), "name": name or request.user.display_name}
    form = AcknowledgementForm(request.POST or None, initial=kept.fields.dict() if kept else initial)
    if request.method == "POST" and form.is_valid():
        try:
            _save(request, form)
        except Busy:
            raise  # it has its own page, with the time to wait
        except DomainError as error:
            add_domain_error(form, error)
        else:
            return redirect("acknowledgement")
    return render(request, "accounts/acknowledgement.html", {"form": form, "name": name})


def _save(request: SignedInRequest, form: AcknowledgementForm) -> None:
    if form.cleaned_data["agrees"]:
        acknowledgements.thank_in_public(request.user, form.cleaned_data["name"])
        messages.success(request, gettext("Thank you. You are named on the page of thanks."))
    else:
        acknowledgements.withdraw(request.user)
        messages.success(request, gettext("You are not named on the page of thanks."))
