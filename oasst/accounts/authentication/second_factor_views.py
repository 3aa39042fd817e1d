"""The library's pages about the second factor that count tries, with what is left of them or when they come back."""

from typing import Any

from allauth.mfa.base.views import AuthenticateView, ReauthenticateView
from allauth.mfa.totp.views import ActivateTOTPView
from allauth.mfa.webauthn.views import AddWebAuthnView
from django.http import HttpRequest, HttpResponse

from oasst.accounts.authentication.attempt_limits import second_factors_left
from oasst.accounts.authentication.second_factor import kinds_of
from oasst.accounts.documents import contact_address
from oasst.accounts.forms import tell_tries
from oasst.accounts.views import ShowsTheWait, told_to_wait, wait_for
from oasst.core.errors import Busy


class SecondStep(AuthenticateView):
    """At the sign-in. The library's page is no FormView, since it has two forms: for a code, and for a key."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            response: HttpResponse = super().post(request, *args, **kwargs)
        except Busy as busy:
            if busy.code != "rate_limited":
                raise
            self.auth_form = self.get_form_class()(user=self.stage.login.user)
            response = self.render_to_response({**self.get_context_data(), "wait": wait_for(busy)})
            return told_to_wait(response, busy)
        return response

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**kwargs)
        user = self.stage.login.user
        _tell_tries(self.request, context["form"], user)
        return {**context, "factors": kinds_of(user), "contact": contact_address()}


class SecondFactorAgain(ShowsTheWait, ReauthenticateView):
    """Before a step that matters."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**kwargs)
        user: Any = self.request.user
        _tell_tries(self.request, context["form"], user)
        return {**context, "factors": kinds_of(user)}


class SetUpAppPage(ShowsTheWait, ActivateTOTPView):
    def too_many(self, busy: Busy) -> HttpResponse:
        """The form stays the same one: a new one would come with a new secret, and the app has the old one already."""
        form = self.get_form()
        form.is_bound = False
        return told_to_wait(self.render_to_response(self.get_context_data(form=form, wait=wait_for(busy))), busy)


class AddKeyPage(ShowsTheWait, AddWebAuthnView):
    typed = ("name",)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """The library's leaves out what it is given."""
        return {**super().get_context_data(**kwargs), **kwargs}


def _tell_tries(request: HttpRequest, form: Any, user: Any) -> None:
    if form.is_bound and form.errors:
        tell_tries(form, "code", left=second_factors_left(request, user))
