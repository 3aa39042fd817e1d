"""The library's forms for a code of the second factor, with our limits and our memory of used codes."""

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
from oasst.accounts.authentication.second_factor import is_right
from oasst.core.form_fields import LineField
from oasst.core.ratelimit import SECOND_FACTOR_CHANGES, spend

log = structlog.get_logger(__name__)

MOST_KEYS = 10
KEY_NAME_LENGTH = 60
LONGEST_ANSWER_OF_A_KEY = 20_000
"""Characters of JSON. Keys send two thousand, with the certificate of their maker some more; each is kept."""


# What the library of the keys breaks off with in the middle of bytes that no key has sent.
_BROKEN = (
    *(ValueError, TypeError, LookupError, AttributeError, ArithmeticError, AssertionError, RuntimeError),
    *(struct.error, UnsupportedAlgorithm),
)


@contextmanager
def _refuse_what_no_key_says() -> Iterator[None]:
    """Raises ValidationError."""
    try:
        yield
    except _BROKEN as error:
        log.warning("key_not_read", kind=type(error).__name__)  # after an upgrade it may be the library's fault
        raise get_adapter().validation_error("incorrect_code") from error


class SecondFactorAtSignIn(AuthenticateForm):
    def clean_code(self) -> str:
        count_second_factor(context.request, self.user)
        code: str = self.cleaned_data["code"]
        for authenticator in Authenticator.objects.filter(user=self.user).exclude(type=Authenticator.Type.WEBAUTHN):
            if is_right(authenticator, code):
                self.authenticator = authenticator
                return code
        raise get_adapter().validation_error("incorrect_code")


class SecondFactorOnceMore(SecondFactorAtSignIn, ReauthenticateForm):
    """For somebody who is signed in already. The check of the one, what follows of the other."""

    def save(self) -> None:
        ReauthenticateForm.save(self)


class SetUpApp(ActivateTOTPForm):
    @property
    def secret_groups(self) -> list[str]:
        """The secret in fours, as people type it."""
        return [self.secret[start : start + 4] for start in range(0, len(self.secret), 4)]

    def clean_code(self) -> str:
        count_second_factor(context.request, self.user)
        code: str = super().clean_code()
        return code


class AddKey(AddWebAuthnForm):
    """Names and numbers of keys have a bound, as all that is stored has."""

    name = LineField(label="Name", required=False, limit=KEY_NAME_LENGTH)

    def clean(self) -> dict[str, Any]:
        spend(SECOND_FACTOR_CHANGES, self.user.pk)
        if Authenticator.objects.filter(user=self.user, type=Authenticator.Type.WEBAUTHN).count() >= MOST_KEYS:
            raise forms.ValidationError(f"You have {MOST_KEYS} keys. Please remove one of them first.", "too_many_keys")
        with _refuse_what_no_key_says():
            cleaned: dict[str, Any] = super().clean()
            _require_readable(cleaned.get("credential"))
        return cleaned


def _require_readable(credential: Any) -> None:
    """What is kept of a key is read again on every page about keys."""
    if credential is None:  # its field was refused
        return
    if len(json.dumps(credential)) > LONGEST_ANSWER_OF_A_KEY:
        raise get_adapter().validation_error("incorrect_code")
    kept = Authenticator(type=Authenticator.Type.WEBAUTHN, data={"name": "", "credential": credential}).wrap()
    _ = kept.authenticator_data, kept.is_passwordless


class KeyAtSignIn(AuthenticateWebAuthnForm):
    def clean_credential(self) -> Authenticator:
        with _refuse_what_no_key_says():
            return super().clean_credential()


class KeyOnceMore(KeyAtSignIn, ReauthenticateWebAuthnForm):
    """For somebody who is signed in already."""


class RenameKey(EditWebAuthnForm):
    name = LineField(label="Name", limit=KEY_NAME_LENGTH)
