"""In which languages a moderator decides. Everybody who enters the admin may read all of them."""

from django.utils.translation import gettext

from oasst.accounts.models import Role, User
from oasst.core.errors import NotAllowed
from oasst.core.text.languages import name_of


def languages_of(user: User) -> frozenset[str] | None:
    """Return the languages whose conversations the user may decide about; None for all of them."""
    if user.role != Role.MODERATOR or not user.moderated_languages:
        return None
    return frozenset(user.moderated_languages)


def may_act_in(user: User, lang: str) -> bool:
    langs = languages_of(user)
    return langs is None or lang in langs


def require_language(actor: User, lang: str) -> None:
    """Raise NotAllowed `other_language` for a moderator of other languages."""
    if not may_act_in(actor, lang):
        message = gettext(
            "This conversation is in %(language)s, which you do not moderate. A moderator of that language or an "
            "administrator can decide."
        )
        raise NotAllowed(message % {"language": name_of(lang)}, code="other_language")
