"""Sign-in by the link of a mail with a code."""

from allauth.account.app_settings import EmailVerificationMethod
from allauth.account.internal.flows.login import perform_login, record_authentication
from allauth.account.internal.stagekit import clear_login
from allauth.account.models import Login
from allauth.account.stages import LoginByCodeStage, LoginStageController
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from oasst.accounts import registration
from oasst.accounts.authentication import mailed_sign_ins
from oasst.accounts.authentication.key_pages import key_page
from oasst.accounts.authentication.sign_in import LINK
from oasst.accounts.models import MailedSignIn


@key_page("account/mailed_sign_in_over.html")
def mailed_sign_in(request: HttpRequest) -> HttpResponse:
    """Sign in on POST. GET only says who is signed in where, so that mail scanners do not use up the link."""
    if request.method == "POST":
        return _sign_in(request, mailed_sign_ins.use(request.POST.get("key", "")))
    return _ask(request, request.GET.get("key", ""))


def _ask(request: HttpRequest, key: str) -> HttpResponse:
    row = mailed_sign_ins.find(key)
    user = request.user
    context = {
        "email": row.email,
        "key": key,
        "is_here": _asked_here(request, row),
        "asked_from": row.asked_from,
        "signed_in_as": user if user.is_authenticated and user.email != row.email else None,
    }
    return render(request, "account/mailed_sign_in.html", context)


def _asked_here(request: HttpRequest, row: MailedSignIn) -> bool:
    """Return True if this browser asked for the mail."""
    stage = LoginStageController.enter(request, LoginByCodeStage.key)
    return bool(stage and stage.state.get(LINK) == str(row.pk))


def _sign_in(request: HttpRequest, row: MailedSignIn) -> HttpResponse:
    clear_login(request)  # the code that is asked for in this browser
    user = registration.get_or_create_by_email(row.email)
    record_authentication(request, user, method="code", email=row.email)
    # The link reached the address. A second factor is still required.
    login = Login(
        user=user, email=row.email, email_verification=EmailVerificationMethod.NONE, redirect_url=row.next or None
    )
    response: HttpResponse = perform_login(request, login)
    return response
