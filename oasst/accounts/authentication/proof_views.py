"""Reauthentication by a mailed code, or by signing out and in again."""

from typing import Any

from allauth.account.forms import ConfirmLoginCodeForm
from allauth.account.views import BaseReauthenticateView
from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.http import urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from oasst.accounts.authentication.attempt_limits import count_code
from oasst.accounts.authentication.reauthentication import ProofCode
from oasst.accounts.forms import show_attempts_left
from oasst.accounts.views import RateLimitMixin
from oasst.core.errors import Busy
from oasst.core.http.requests import safe_next


@method_decorator([never_cache, login_required], name="dispatch")
class ReauthenticateByCodePage(RateLimitMixin, BaseReauthenticateView):
    """Reauthentication by a mailed code. Only its buttons send a mail, not loading the page."""

    form_class = ConfirmLoginCodeForm
    template_name = "account/reauthenticate_code.html"

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        pending = ProofCode.pending(request)
        try:
            if request.POST.get("action") == "send":
                ProofCode.start(request)
                return redirect(request.get_full_path())
            count_code(request, getattr(request.user, "email", "") or "", pending.code if pending else None)
        except Busy as busy:
            return self.too_many(busy)
        if pending is None:
            messages.error(request, "The code is too old by now. Ask for another one.")
            return redirect(request.get_full_path())
        return super().post(request, *args, **kwargs)

    def get_form_kwargs(self) -> dict[str, Any]:
        self.code = ProofCode.pending(self.request)
        kwargs: dict[str, Any] = super().get_form_kwargs()
        return {**kwargs, "code": self.code.code if self.code else None}

    def form_valid(self, form: Any) -> HttpResponse:
        assert self.code is not None
        self.code.finish()
        response: HttpResponse = super().form_valid(form)
        return response

    def form_invalid(self, form: Any) -> HttpResponse:
        assert self.code is not None
        if not self.code.record_invalid_attempt():
            messages.error(self.request, "These were too many wrong codes, so this one is over. Ask for another one.")
            return redirect(self.request.get_full_path())
        response: HttpResponse = super().form_invalid(form)
        return response

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**kwargs)
        if self.code and context["form"].errors:
            show_attempts_left(context["form"], "code", of_code=self.code.tries_left)
        return {**context, "code": self.code, "email": getattr(self.request.user, "email", "")}


@never_cache
@login_required
@require_http_methods(["GET", "POST"])
def sign_in_again(request: HttpRequest) -> HttpResponse:
    """Sign the user out and in again as a reauthentication."""
    target = safe_next(request, reverse("profile"))
    if request.method == "GET":
        return render(request, "account/sign_in_again.html", {"next": target, "needs_link": _needs_link(request.user)})
    logout(request)
    return redirect(f"{reverse('account_login')}?{urlencode({'next': target})}")


def _needs_link(user: Any) -> bool:
    """Return True if the user can sign in again only with a link from the operator."""
    if user.email and (settings.SENDS_MAIL or user.has_usable_password()):
        return False
    return not SocialAccount.objects.filter(user=user, provider__in=settings.SOCIALACCOUNT_PROVIDERS).exists()
