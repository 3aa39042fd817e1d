"""The second factor: who has one, who must have one, and which codes are valid. django-allauth does the rest."""

from typing import Any

from allauth.core.internal.cryptokit import compare_user_code
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal import auth as totp
from allauth.mfa.utils import decrypt
from django.conf import settings
from django.db import transaction

from oasst.accounts.models import User

_FACTORS = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)
_LAST_USED = "last_counter"
_CACHED = "_has_second_factor"


class SecondFactorAdapter(DefaultMFAAdapter):
    def build_totp_svg(self, url: str) -> str:
        """Return the SVG without the XML declaration, for use inside a page."""
        svg: str = super().build_totp_svg(url)
        return svg[svg.index("<svg") :]

    def _get_site_name(self) -> str:
        return "oasst"


def has_second_factor(user: User) -> bool:
    return Authenticator.objects.filter(user_id=user.pk, type__in=_FACTORS).exists()


def factor_types(user: User) -> set[str]:
    """Return the user's types of second factors: `totp`, `webauthn`, `recovery_codes`."""
    return set(Authenticator.objects.filter(user_id=user.pk).values_list("type", flat=True))


def must_set_up(user: User) -> bool:
    """Return True for staff without a second factor, if the site requires one (REQUIRE_MFA)."""
    return settings.REQUIRE_MFA == "staff" and user.is_staff and not has_second_factor(user)


def acts_as_moderator(user: User) -> bool:
    """Return True for moderators who need not set up a second factor first. At most one query per `user` object."""
    if not user.is_moderator or settings.REQUIRE_MFA != "staff":
        return user.is_moderator
    attributes: Any = vars(user)
    if _CACHED not in attributes:
        attributes[_CACHED] = has_second_factor(user)
    return bool(attributes[_CACHED])


def remove_all(user: User) -> int:
    """Delete all second factors and recovery codes, and return how many rows there were."""
    return Authenticator.objects.filter(user_id=user.pk).delete()[0]


def use_code(authenticator: Authenticator, code: str) -> bool:
    """Return True if the code of the app, or the recovery code, is valid. Each is valid once."""
    if authenticator.type == Authenticator.Type.TOTP:
        return _use_totp_code(authenticator, code)
    return bool(authenticator.wrap().validate_code(code))


@transaction.atomic
def _use_totp_code(authenticator: Authenticator, code: str) -> bool:
    """Check a code and store its counter in the row, so that it and all earlier codes become invalid.

    allauth keeps used codes in the cache, for too short a time, and without Redis refuses all codes.
    """
    locked: Any = Authenticator.objects.select_for_update(no_key=True).get(pk=authenticator.pk)
    secret = decrypt(locked.data["secret"])
    for counter in totp.yield_hotp_counters_from_time():
        expected = totp.format_hotp_value(totp.hotp_value(secret, counter))
        if counter > locked.data.get(_LAST_USED, 0) and compare_user_code(actual=code, expected=expected):
            locked.data[_LAST_USED] = counter
            locked.save(update_fields=["data"])
            return True
    return False
