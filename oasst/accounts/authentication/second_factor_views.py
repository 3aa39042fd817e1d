"""allauth's pages about second factors, with the remaining attempts or the waiting time."""

from typing import Any

from allauth.mfa.base.views import AuthenticateView, ReauthenticateView
from allauth.mfa.totp.views import ActivateTOTPView
from allauth.mfa.webauthn.views import AddWebAuthnView
from django.http import HttpRequest, HttpResponse

from oasst.accounts.authentication.attempt_limits import second_factors_left
from oasst.accounts.authentication.second_factor import factor_types
from oasst.accounts.documents import contact_address
from oasst.accounts.forms import show_attempts_left
from oasst.accounts.views import RateLimitMixin, set_retry_after, wait_context
from oasst.core.errors import Busy


class SecondFactorPage(AuthenticateView):
    """The second factor at sign-in. It is no FormView, because it has two forms: for a code and for a key."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            response: HttpResponse = super().post(request, *args, **kwargs)
        except Busy as busy:
            if busy.code != "rate_limited":
                raise
            self.auth_form = self.get_form_class()(user=self.stage.login.user)
            response = self.render_to_response({**self.get_context_data(), "wait": wait_context(busy)})
            return set_retry_after(response, busy)
        return response

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**kwargs)
        user = self.stage.login.user
        _show_attempts(self.request, context["form"], user)
        return {**context, "factors": factor_types(user), "contact": contact_address()}


class SecondFactorAgainPage(RateLimitMixin, ReauthenticateView):
    """The second factor before a sensitive step."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**kwargs)
        user: Any = self.request.user
        _show_attempts(self.request, context["form"], user)
        return {**context, "factors": factor_types(user)}


class SetUpAppPage(RateLimitMixin, ActivateTOTPView):
    def too_many(self, busy: Busy) -> HttpResponse:
        """Keep the same form, because a new one would have a new secret, but the app already has the old one."""
        form = self.get_form()
        form.is_bound = False
        return set_retry_after(self.render_to_response(self.get_context_data(form=form, wait=wait_context(busy))), busy)


class AddKeyPage(RateLimitMixin, AddWebAuthnView):
    typed = ("name",)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add `kwargs`, which allauth's version drops."""
        return {**super().get_context_data(**kwargs), **kwargs}


def _show_attempts(request: HttpRequest, form: Any, user: Any) -> None:
    if form.is_bound and form.errors:
        show_attempts_left(form, "code", left=second_factors_left(request, user))
