"""The library's forms for a code of the second factor, with our limits and our memory of used codes."""

from allauth.core import context
from allauth.mfa.adapter import get_adapter
from allauth.mfa.base.forms import AuthenticateForm, ReauthenticateForm
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.forms import ActivateTOTPForm

from oasst.accounts.models import User
from oasst.accounts.second_factor import is_right
from oasst.core.ratelimit import CODES_FROM_ADDRESS, SECOND_FACTORS_FOR_ACCOUNT, spend
from oasst.core.requests import client_address


class SecondFactorAtSignIn(AuthenticateForm):  # type: ignore[misc]
    def clean_code(self) -> str:
        _spend_try(self.user)
        code: str = self.cleaned_data["code"]
        for authenticator in Authenticator.objects.filter(user=self.user).exclude(type=Authenticator.Type.WEBAUTHN):
            if is_right(authenticator, code):
                self.authenticator = authenticator
                return code
        raise get_adapter().validation_error("incorrect_code")


class SecondFactorOnceMore(SecondFactorAtSignIn, ReauthenticateForm):  # type: ignore[misc]
    """For somebody who is signed in already. The check of the one, what follows of the other."""

    def save(self) -> None:
        ReauthenticateForm.save(self)


class SetUpApp(ActivateTOTPForm):  # type: ignore[misc]
    def clean_code(self) -> str:
        _spend_try(self.user)
        code: str = super().clean_code()
        return code


def _spend_try(user: User) -> None:
    """Every try counts, also the right one: forgetting it would let a guesser reset the count."""
    spend(CODES_FROM_ADDRESS, client_address(context.request))
    spend(SECOND_FACTORS_FOR_ACCOUNT, user.pk)
