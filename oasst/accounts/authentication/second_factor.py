"""The second factor: who has one, who must, and what a code has to be. django-allauth keeps and asks for them."""

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
_KNOWN = "_has_second_factor"


class SecondFactorAdapter(DefaultMFAAdapter):
    def build_totp_svg(self, url: str) -> str:
        """As part of a page: without the declaration that only a file of its own has."""
        svg: str = super().build_totp_svg(url)
        return svg[svg.index("<svg") :]

    def _get_site_name(self) -> str:
        return "oasst"


def has_second_factor(user: User) -> bool:
    return Authenticator.objects.filter(user_id=user.pk, type__in=_FACTORS).exists()


def kinds_of(user: User) -> set[str]:
    """What the person can prove it with: `totp`, `webauthn`, `recovery_codes`."""
    return set(Authenticator.objects.filter(user_id=user.pk).values_list("type", flat=True))


def must_set_one_up(user: User) -> bool:
    """A moderator or administrator of a site that demands it of them (REQUIRE_MFA), who has none yet."""
    return settings.REQUIRE_MFA == "staff" and user.is_staff and not has_second_factor(user)


def acts_as_staff(user: User) -> bool:
    """A moderator or administrator who need not set one up first. Where some must, one statement for each `user`
    object; elsewhere none.
    """
    if not user.is_staff or settings.REQUIRE_MFA != "staff":
        return user.is_staff
    known: Any = vars(user)
    if _KNOWN not in known:
        known[_KNOWN] = has_second_factor(user)
    return bool(known[_KNOWN])


def remove_all(user: User) -> int:
    """Second factors and recovery codes. Returns how many rows there were."""
    return Authenticator.objects.filter(user_id=user.pk).delete()[0]


def is_right(authenticator: Authenticator, code: str) -> bool:
    """Is this the code of the app, or one of the recovery codes? Each is good once."""
    if authenticator.type == Authenticator.Type.TOTP:
        return _is_code_of_app(authenticator, code)
    return bool(authenticator.wrap().validate_code(code))


@transaction.atomic
def _is_code_of_app(authenticator: Authenticator, code: str) -> bool:
    """The library remembers used codes in the cache: for less long than they are good, and without Redis it refuses
    all of them. Here the row remembers the number of the last code, and nothing up to it is taken again.
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
