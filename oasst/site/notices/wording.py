"""The sentences of notices, made when they are shown: so each reader gets them in their own language."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext, gettext_lazy, ngettext

from oasst.accounts.models import Appeal, User
from oasst.site.models import Notice
from trees.models import Message, Report, Withdrawal
from trees.moderation.effect_words import sentence_of
from trees.moderation.telling import Effect
from trees.refusals import reasons_for

Kind = Notice.Kind

KIND_NAMES: dict[str, Promise] = {
    Kind.ACCEPTED: gettext_lazy("Your text was accepted"),
    Kind.REJECTED: gettext_lazy("Your text was not accepted, and why"),
    Kind.ANSWERED: gettext_lazy("Somebody answered your text"),
    Kind.CORRECTED: gettext_lazy("Somebody suggested a better version of your text"),
    Kind.RANKED_FIRST: gettext_lazy("Your reply was ranked first"),
    Kind.EXPORTED: gettext_lazy("A published data set has texts of yours"),
    Kind.REPORT_SETTLED: gettext_lazy("A moderator answered your report"),
    Kind.WITHDRAWAL_DECIDED: gettext_lazy("A moderator decided about a text that you withdrew"),
    Kind.MODERATED: gettext_lazy("A moderator decided about your text or conversation, and why"),
    Kind.APPEAL_ANSWERED: gettext_lazy("A moderator answered your appeal"),
    Kind.LEVEL_REACHED: gettext_lazy("You reached a new level"),
}
"""The kinds as the settings name them. Warnings and merges cannot be muted, so they are not among them."""
ABOUT_DECISIONS = (Kind.MODERATED, Kind.WARNED, Kind.APPEAL_ANSWERED, Kind.MERGED)
"""What suspended people are mailed, too."""


def language_of(person: User) -> str:
    """Return the language of mails and messages to this person, which is not that of a request."""
    codes = {code for code, _ in settings.LANGUAGES}
    return person.interface_language if person.interface_language in codes else settings.LANGUAGE_CODE


@dataclass(frozen=True)
class Entry:
    """One line of the page and of the mail."""

    kind: str
    tone: str  # a badge tone: what became of it
    icon: str
    text: str
    excerpt: str  # of the text that it is about; may be empty
    url: str
    at: datetime
    unread: bool
    lang: str = ""  # of the excerpt


def entry_of(notice: Notice, *, excerpt: str = "", reason: str = "", number: int = 1, unread: bool) -> Entry:
    """Return the entry of a notice, which stands for `number` notices that say the same. `reason` is why a moderator
    decided what it tells of.
    """
    tone, icon = _LOOKS[notice.kind]
    text = _with_reason(_SENTENCES[notice.kind](notice, number), reason)
    lang = notice.message.lang if excerpt and notice.message else ""
    return Entry(notice.kind, tone, icon, text, excerpt, _url(notice), notice.created_at, unread, lang)


_LOOKS: dict[str, tuple[str, str]] = {
    Kind.ACCEPTED: ("good", "check"),
    Kind.REJECTED: ("bad", "cross"),
    Kind.ANSWERED: ("write", "chat"),
    Kind.CORRECTED: ("write", "pencil"),
    Kind.RANKED_FIRST: ("compare", "top"),
    Kind.EXPORTED: ("good", "list"),
    Kind.REPORT_SETTLED: ("wait", "flag"),
    Kind.WITHDRAWAL_DECIDED: ("wait", "shield"),
    Kind.MODERATED: ("wait", "shield"),
    Kind.WARNED: ("wait", "shield"),
    Kind.APPEAL_ANSWERED: ("wait", "shield"),
    Kind.MERGED: ("wait", "shield"),
    Kind.LEVEL_REACHED: ("mark", "spark"),
}


def _is_prompt(message: Message | None) -> bool:
    return message is not None and message.parent_id is None


def _accepted(notice: Notice, number: int) -> str:
    return gettext("Your prompt was accepted.") if _is_prompt(notice.message) else gettext("Your reply was accepted.")


def _rejected(notice: Notice, number: int) -> str:
    is_prompt = _is_prompt(notice.message)
    outcome = gettext("Your prompt was not accepted.") if is_prompt else gettext("Your reply was not accepted.")
    reasons = reasons_for(notice.data.get("labels", ()))
    if not reasons:
        return outcome
    said = gettext("Reviewers said: %(reasons)s.") % {"reasons": reasons}
    return f"{outcome} {said}"


def _answered(notice: Notice, number: int) -> str:
    sentence = ngettext("Your text has a new reply.", "Your text has %(number)s new replies.", number)
    return sentence % {"number": number}


def _exported(notice: Notice, number: int) -> str:
    texts = notice.data.get("texts", 1)
    sentence = ngettext(
        "The published data set %(name)s has %(texts)s text of yours.",
        "The published data set %(name)s has %(texts)s texts of yours.",
        texts,
    )
    return sentence % {"name": notice.data.get("snapshot", ""), "texts": texts}


def _report_settled(notice: Notice, number: int) -> str:
    if notice.data.get("status") == Report.Status.UPHELD:
        return gettext("A moderator looked at the message that you reported, and agreed with you.")
    return gettext("A moderator looked at the message that you reported, and decided that it stays.")


def _withdrawal_decided(notice: Notice, number: int) -> str:
    if notice.data.get("status") == Withdrawal.Status.GRANTED:
        return gettext("A moderator removed the text that you withdrew.")
    return gettext("A moderator decided that the text that you withdrew stays.")


def _moderated(notice: Notice, number: int) -> str:
    """Never who decided, or who complained."""
    effect = notice.data.get("effect", "")
    if effect == "waits_hidden":
        return gettext("Several people flagged your text. It is hidden until a moderator has looked at it.")
    if effect == "waits_stopped":
        return gettext(
            "Several people complained about your text. Its conversation waits until a moderator has looked."
        )
    if effect == Effect.UNDONE and notice.data.get("of") == Kind.REPORT_SETTLED:
        return gettext("A moderator took back the answer to your report. It is looked at again.")
    return sentence_of(effect, notice.message)


def _merged(notice: Notice, number: int) -> str:
    names = [name or gettext("an account without a name") for name in notice.data.get("names", ())]
    sentence = ngettext(
        "Another account of yours was merged into this one: %(names)s. What it gave is yours here, and it is closed. "
        "If this is wrong, tell the team.",
        "Other accounts of yours were merged into this one: %(names)s. What they gave is yours here, and they are "
        "closed. If this is wrong, tell the team.",
        len(names),
    )
    return sentence % {"names": ", ".join(names)}


def _with_reason(sentence: str, reason: str) -> str:
    if not reason:
        return sentence
    said = gettext("The moderator wrote: “%(reason)s”") % {"reason": " ".join(reason.split())}
    return f"{sentence} {said}"


def _warned(notice: Notice, number: int) -> str:
    if notice.data.get("withdrawn"):
        return gettext("A moderator took back a warning.")
    reason = notice.warning.reason if notice.warning is not None else ""
    return _with_reason(gettext("You have a warning from a moderator."), reason)


def _appeal_answered(notice: Notice, number: int) -> str:
    granted = notice.data.get("status") == Appeal.Status.GRANTED
    sentence = gettext("Your appeal was granted.") if granted else gettext("Your appeal was refused.")
    return _with_reason(sentence, notice.appeal.answer if notice.appeal is not None else "")


_SENTENCES: dict[str, Callable[[Notice, int], str]] = {
    Kind.ACCEPTED: _accepted,
    Kind.REJECTED: _rejected,
    Kind.ANSWERED: _answered,
    Kind.CORRECTED: lambda notice, number: gettext("Somebody suggested a better version of your text."),
    Kind.RANKED_FIRST: lambda notice, number: gettext("People ranked your reply first."),
    Kind.EXPORTED: _exported,
    Kind.REPORT_SETTLED: _report_settled,
    Kind.WITHDRAWAL_DECIDED: _withdrawal_decided,
    Kind.MODERATED: _moderated,
    Kind.WARNED: _warned,
    Kind.APPEAL_ANSWERED: _appeal_answered,
    Kind.MERGED: _merged,
    Kind.LEVEL_REACHED: lambda notice, number: gettext("You reached level %(level)s.") % {"level": notice.level},
}


def _url(notice: Notice) -> str:
    """Return the page about it."""
    message = notice.message
    if notice.kind == Kind.LEVEL_REACHED:
        return reverse("points")
    if notice.kind == Kind.EXPORTED:
        return reverse("snapshot", args=[notice.data["snapshot"]])
    if notice.data.get("entry"):
        return reverse("decision", args=[notice.data["entry"]])
    if Kind.REPORT_SETTLED in (notice.kind, notice.data.get("of")):
        return reverse("reports")
    if message is None or message.is_withheld:
        return reverse("contributions")
    return reverse("tree", args=[message.pk]) + f"#message-{message.pk}"
