"""allauth's forms for second factors, with our limits and our check of codes."""

import json
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from allauth.core import context
from allauth.mfa.adapter import get_adapter
from allauth.mfa.base.forms import AuthenticateForm, ReauthenticateForm
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.forms import ActivateTOTPForm
from allauth.mfa.webauthn.forms import (
    AddWebAuthnForm,
    AuthenticateWebAuthnForm,
    EditWebAuthnForm,
    ReauthenticateWebAuthnForm,
)
from cryptography.exceptions import UnsupportedAlgorithm
from django import forms

from oasst.accounts.authentication.attempt_limits import count_second_factor
from oasst.accounts.authentication.second_factor import use_code
from oasst.core.form_fields import LineField
from oasst.core.ratelimit import SECOND_FACTOR_CHANGES, count_use

log = structlog.get_logger(__name__)

MAX_KEYS = 10
KEY_NAME_LENGTH = 60
MAX_CREDENTIAL_LENGTH = 20_000
"""Characters of JSON, which are stored. Keys send about two thousand, or more with a certificate."""

# Errors of the WebAuthn library on malformed data.
_MALFORMED = (
    *(ValueError, TypeError, LookupError, AttributeError, ArithmeticError, AssertionError, RuntimeError),
    *(struct.error, UnsupportedAlgorithm),
)


@contextmanager
def _refuse_malformed() -> Iterator[None]:
    """Raise ValidationError for malformed data of a security key."""
    try:
        yield
    except _MALFORMED as error:
        log.warning("key_not_read", kind=type(error).__name__)  # after an upgrade it may be a bug of the library
        raise get_adapter().validation_error("incorrect_code") from error


class SecondFactorForm(AuthenticateForm):
    def clean_code(self) -> str:
        count_second_factor(context.request, self.user)
        code: str = self.cleaned_data["code"]
        for authenticator in Authenticator.objects.filter(user=self.user).exclude(type=Authenticator.Type.WEBAUTHN):
            if use_code(authenticator, code):
                self.authenticator = authenticator
                return code
        raise get_adapter().validation_error("incorrect_code")


class SecondFactorAgainForm(SecondFactorForm, ReauthenticateForm):
    """For reauthentication: checks as the sign-in form, and saves as ReauthenticateForm."""

    def save(self) -> None:
        ReauthenticateForm.save(self)


class SetUpAppForm(ActivateTOTPForm):
    @property
    def secret_groups(self) -> list[str]:
        """Return the secret in groups of four characters, for typing."""
        return [self.secret[start : start + 4] for start in range(0, len(self.secret), 4)]

    def clean_code(self) -> str:
        count_second_factor(context.request, self.user)
        code: str = super().clean_code()
        return code


class AddKeyForm(AddWebAuthnForm):
    """Limits the number of keys and the length of their names."""

    name = LineField(label="Name", required=False, limit=KEY_NAME_LENGTH)

    def clean(self) -> dict[str, Any]:
        count_use(SECOND_FACTOR_CHANGES, self.user.pk)
        if Authenticator.objects.filter(user=self.user, type=Authenticator.Type.WEBAUTHN).count() >= MAX_KEYS:
            raise forms.ValidationError(f"You have {MAX_KEYS} keys. Please remove one of them first.", "too_many_keys")
        with _refuse_malformed():
            cleaned: dict[str, Any] = super().clean()
            _require_readable(cleaned.get("credential"))
        return cleaned


def _require_readable(credential: Any) -> None:
    """Refuse data that the pages about keys could not read later, or that is too long."""
    if credential is None:  # the field has an error
        return
    if len(json.dumps(credential)) > MAX_CREDENTIAL_LENGTH:
        raise get_adapter().validation_error("incorrect_code")
    key = Authenticator(type=Authenticator.Type.WEBAUTHN, data={"name": "", "credential": credential}).wrap()
    _ = key.authenticator_data, key.is_passwordless


class KeyForm(AuthenticateWebAuthnForm):
    def clean_credential(self) -> Authenticator:
        with _refuse_malformed():
            return super().clean_credential()


class KeyAgainForm(KeyForm, ReauthenticateWebAuthnForm):
    """For reauthentication."""


class RenameKeyForm(EditWebAuthnForm):
    name = LineField(label="Name", limit=KEY_NAME_LENGTH)
