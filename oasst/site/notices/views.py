"""The page of notices, its settings, and the link in mails that stops them."""

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST, require_safe

from oasst.accounts.authentication.key_pages import key_page
from oasst.accounts.requests import SignedInRequest
from oasst.core.http.requests import is_from_script, row_id
from oasst.site.notices import bell, choices, queries
from oasst.site.notices.forms import NoticeSettingsForm, initial_of
from oasst.site.notices.stop_links import find_person


@never_cache
@login_required
@require_safe
def notices(request: SignedInRequest) -> HttpResponse:
    """Show one page of notices. Reads only: a script, or a button, says that they were read."""
    user = request.user
    page = queries.page_of(user.pk, before=request.GET.get("before", ""), after=request.GET.get("after", ""))
    has_mail = _gets_mail(request)
    form = NoticeSettingsForm(initial=initial_of(queries.account_of(user.pk)), has_mail=has_mail)
    context = {
        "page": page,
        "unread_notices": bell.count_unread(user.pk),
        "form": form,
        "has_mail": has_mail,
        "newer_url": f"?after={page.newer}" if page.newer else "",
        "older_url": f"?before={page.older}" if page.older else "",
    }
    return render(request, "notices/notices.html", context)


@login_required
@require_POST
def read(request: SignedInRequest) -> HttpResponse:
    """Mark notices as read up to the one with the id `newest`: those that the person saw."""
    newest = row_id(request.POST.get("newest", ""))
    if newest is not None:
        choices.mark_read(request.user.pk, newest=newest)
    if is_from_script(request):
        return JsonResponse({"unread": bell.count_unread(request.user.pk)})
    return redirect("notices")


@login_required
@require_POST
def choose(request: SignedInRequest) -> HttpResponse:
    """Save the settings."""
    has_mail = _gets_mail(request)
    form = NoticeSettingsForm(request.POST, has_mail=has_mail)
    if form.is_valid():
        before = queries.account_of(request.user.pk)
        digest = form.cleaned_data["digest"] if has_mail else before.digest
        choices.choose(request.user.pk, kinds=form.cleaned_data["kinds"], digest=digest)
        messages.success(request, gettext("Your choice is saved. It counts for what happens from now on."))
    else:
        messages.error(request, gettext("Please choose from what is offered."))
    return redirect("notices")


@csrf_exempt  # mail programs press it for the person (RFC 8058); the signed key is the proof
@key_page("notices/stop.html")
def stop(request: HttpRequest) -> HttpResponse:
    """Stop mails on POST. GET only shows a button, so that link scanners stop nothing. No sign-in is needed."""
    person = find_person(request.GET.get("key", ""))
    if request.method == "POST":
        choices.stop_mails(person.pk)
    return render(request, "notices/stop.html", {"is_done": request.method == "POST"})


def _gets_mail(request: SignedInRequest) -> bool:
    return settings.SENDS_MAIL and bool(request.user.email)
