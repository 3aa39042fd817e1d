"""Signing in by a link that whoever runs the site made."""

from allauth.account.app_settings import EmailVerificationMethod
from allauth.account.internal.flows.login import perform_login, record_authentication
from allauth.account.models import Login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from oasst.accounts.authentication import sign_in_links
from oasst.core.errors import Gone
from oasst.core.http.requests import client_address
from oasst.core.ratelimit import WRONG_LINKS_FROM_ADDRESS, spend


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def sign_in_by_link(request: HttpRequest) -> HttpResponse:
    """GET only shows a button, so that programs which look at links before people do use nothing up."""
    try:
        response = _sign_in(request) if request.method == "POST" else _ask(request)
    except Gone as error:
        spend(WRONG_LINKS_FROM_ADDRESS, client_address(request))
        response = render(request, "account/sign_in_link_over.html", {"reason": error.message}, status=410)
    # The address holds the key. Not "no-referrer": forms would then come without an origin, and be refused.
    response["Referrer-Policy"] = "strict-origin"
    return response


def _ask(request: HttpRequest) -> HttpResponse:
    key = request.GET.get("key", "")
    return render(request, "account/sign_in_link.html", {"person": sign_in_links.find_link(key).user, "key": key})


def _sign_in(request: HttpRequest) -> HttpResponse:
    user = sign_in_links.use_link(request.POST.get("key", ""))
    record_authentication(request, user, method="link")
    # Whoever made the link vouches for the address. A second factor is asked for as after a code.
    login = Login(user=user, email=user.email, email_verification=EmailVerificationMethod.NONE)
    return perform_login(request, login)
