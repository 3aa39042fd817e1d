"""User profiles: name, languages, time zone."""

import zoneinfo
from collections.abc import Iterable

from django.utils.translation import gettext

from oasst.accounts import names
from oasst.accounts.models import User
from oasst.core.errors import Invalid
from oasst.core.ratelimit import PROFILE_CHANGES, count_use
from oasst.core.text.validation import clean_language_tag, clean_name

NO_TIME_ZONE = "UTC"  # until one is chosen
MAX_CONTRIBUTION_LANGUAGES = 20
MAX_DAILY_GOAL = 200


def update_profile(
    user: User,
    *,
    display_name: str,
    time_zone: str,
    interface_language: str,
    contribution_languages: Iterable[str],
    show_on_leaderboard: bool | None = None,
    single_keys_off: bool | None = None,
) -> None:
    """Set what a profile has; None leaves a value as it is. Raise Invalid, Busy."""
    languages = _clean_languages(contribution_languages)
    _require_time_zone(time_zone)
    name = clean_name(display_name)
    count_use(PROFILE_CHANGES, user.pk)
    user.time_zone = time_zone
    user.interface_language = clean_language_tag(interface_language, field="interface_language")
    user.contribution_languages = languages
    if show_on_leaderboard is not None:
        user.show_on_leaderboard = show_on_leaderboard
    if single_keys_off is not None:
        user.single_keys_off = single_keys_off
    fields = ["time_zone", "interface_language", "contribution_languages", "show_on_leaderboard", "single_keys_off"]
    with names.naming(user):
        if name != user.display_name:  # an unchanged name may be older than the rule that names are unique
            names.claim_name(user, name)
            fields += names.FIELDS
        user.save(update_fields=fields)


def choose_languages(user: User, tags: Iterable[str]) -> None:
    """Set the user's languages, in order. Raise Invalid (`language`, `none_chosen`, `too_many`), Busy."""
    languages = _require_languages(tags)
    count_use(PROFILE_CHANGES, user.pk)
    user.contribution_languages = languages
    user.save(update_fields=["contribution_languages"])


def introduce(user: User, *, languages: Iterable[str], time_zone: str) -> None:
    """Set what somebody new says of themselves. Raise Invalid as `choose_languages` and `choose_time_zone`, Busy."""
    chosen = _require_languages(languages)
    _require_time_zone(time_zone)
    count_use(PROFILE_CHANGES, user.pk)
    user.contribution_languages = chosen
    user.time_zone = time_zone
    user.save(update_fields=["contribution_languages", "time_zone"])


def choose_work_language(user: User, tag: str) -> None:
    """Set which of their languages the user works in. Raise Invalid `not_yours`, Busy."""
    count_use(PROFILE_CHANGES, user.pk)
    if tag not in user.contribution_languages:
        raise Invalid(
            gettext("This is not one of your languages. Add it in your profile."), code="not_yours", field="lang"
        )
    user.work_language = tag
    user.save(update_fields=["work_language"])


def choose_daily_goal(user: User, number: int) -> None:
    """Set how many pieces of work the user wants to do a day; 0 means no goal. Raise Invalid `daily_goal`, Busy."""
    if not 0 <= number <= MAX_DAILY_GOAL:
        raise Invalid(
            gettext("Please choose a number from 1 to %(most)s, or no goal.") % {"most": MAX_DAILY_GOAL},
            code="daily_goal",
            field="daily_goal",
        )
    count_use(PROFILE_CHANGES, user.pk)
    user.daily_goal = number
    user.save(update_fields=["daily_goal"])


def choose_time_zone(user: User, time_zone: str) -> None:
    """Set the user's time zone. Raise Invalid `time_zone`, Busy."""
    _require_time_zone(time_zone)
    count_use(PROFILE_CHANGES, user.pk)
    user.time_zone = time_zone
    user.save(update_fields=["time_zone"])


def propose_time_zone(user: User, time_zone: str) -> None:
    """Set the time zone of a new user's browser, if it is valid. A user with languages may have chosen UTC."""
    is_new = user.time_zone == NO_TIME_ZONE and not user.contribution_languages
    if is_new and time_zone in zoneinfo.available_timezones():
        user.time_zone = time_zone
        user.save(update_fields=["time_zone"])


def _require_languages(tags: Iterable[str]) -> list[str]:
    languages = _clean_languages(tags)
    if not languages:
        raise Invalid(gettext("Please choose at least one language."), code="none_chosen", field="languages")
    return languages


def _require_time_zone(name: str) -> None:
    if name not in zoneinfo.available_timezones():
        raise Invalid(gettext("This is not a time zone."), code="time_zone", field="time_zone")


def _clean_languages(tags: Iterable[str]) -> list[str]:
    """Return each language once, in the same order."""
    languages = [clean_language_tag(tag, field="contribution_languages") for tag in tags]
    if len(languages) > MAX_CONTRIBUTION_LANGUAGES:
        raise Invalid(
            gettext("Please choose at most %(number)s languages.") % {"number": MAX_CONTRIBUTION_LANGUAGES},
            code="too_many",
            field="contribution_languages",
        )
    return list(dict.fromkeys(languages))
