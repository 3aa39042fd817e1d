"""Sign-in by a link from the operator."""

from allauth.account.app_settings import EmailVerificationMethod
from allauth.account.internal.flows.login import perform_login, record_authentication
from allauth.account.models import Login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from oasst.accounts.authentication import sign_in_links
from oasst.accounts.authentication.key_pages import key_page


@key_page("account/sign_in_link_over.html")
def sign_in_by_link(request: HttpRequest) -> HttpResponse:
    """Sign in on POST. GET only shows a button, so that link scanners do not use up the link."""
    return _sign_in(request) if request.method == "POST" else _ask(request)


def _ask(request: HttpRequest) -> HttpResponse:
    key = request.GET.get("key", "")
    return render(request, "account/sign_in_link.html", {"person": sign_in_links.find_link(key).user, "key": key})


def _sign_in(request: HttpRequest) -> HttpResponse:
    user = sign_in_links.use_link(request.POST.get("key", ""))
    record_authentication(request, user, method="link")
    # The operator vouches for the address. The second factor is still required.
    login = Login(user=user, email=user.email, email_verification=EmailVerificationMethod.NONE)
    return perform_login(request, login)
