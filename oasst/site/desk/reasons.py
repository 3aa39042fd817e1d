"""Prepared reasons of the desk, chosen by a number key. The person concerned reads them, so they are plain and polite.

Each kind of subject has one list of at most nine, so that a number always means the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from oasst.core.errors import Invalid
from oasst.site.desk.subjects import SubjectKind


@dataclass(frozen=True)
class Prepared:
    label: str | Promise
    """What the moderator chooses."""
    text: str | Promise
    """What the person reads."""
    stays: bool = False
    """It says why nothing is taken away, so it is no reason to remove or to forbid anything."""


REASONS: Mapping[str, tuple[Prepared, ...]] = {
    SubjectKind.MESSAGE: (
        Prepared(_("Fine"), _("We read it and found nothing against the guidelines."), stays=True),
        Prepared(_("Only an opinion"), _("One may disagree with it, but it is within the guidelines."), stays=True),
        Prepared(_("Weak, not wrong"), _("It may not be good, but reviewers decide about quality."), stays=True),
        Prepared(_("Junk"), _("It is advertising, or was not meant seriously, so it cannot be part of the data.")),
        Prepared(_("Insults"), _("It insults people or calls for hate. Please criticize texts, not people.")),
        Prepared(_("Sexual or violent"), _("It is sexual or violent in a way that the guidelines do not allow.")),
        Prepared(_("Personal data"), _("It contains personal data, such as an address or a telephone number.")),
        Prepared(_("Copied"), _("It was copied from somewhere. Please write in your own words.")),
        Prepared(_("Wrong language"), _("It is in another language than its conversation.")),
    ),
    SubjectKind.TREE: (
        Prepared(_("Fine as it is"), _("We looked at the conversation and leave it as it is."), stays=True),
        Prepared(_("It may go on"), _("The conversation is within the guidelines, so it may go on."), stays=True),
        Prepared(_("Once more"), _("What went wrong is mended, so it is tried again."), stays=True),
        Prepared(_("Junk"), _("The conversation is advertising, or was not meant seriously.")),
        Prepared(_("Against the guidelines"), _("The conversation leads to answers that the guidelines do not allow.")),
        Prepared(_("Nothing left"), _("Too little of the conversation is left to go on with.")),
    ),
    SubjectKind.PERSON: (
        Prepared(
            _("No rule broken"), _("We looked at the texts and found nothing against the guidelines."), stays=True
        ),
        Prepared(_("Let in again"), _("You understood what went wrong, so you may take part again."), stays=True),
        Prepared(_("Our mistake"), _("The decision was a mistake. We are sorry."), stays=True),
        Prepared(_("Junk"), _("Several of your texts are advertising, or were not meant seriously.")),
        Prepared(_("Insults"), _("Several of your texts insult people or call for hate.")),
        Prepared(_("Against the guidelines"), _("Several of your texts are against the guidelines.")),
        Prepared(_("The decision was right"), _("We looked at it again, and the reason for the decision stands.")),
        Prepared(_("Nothing new"), _("Your appeal says nothing that changes the decision.")),
    ),
    SubjectKind.CHAT: (
        Prepared(_("Harmless"), _("We read the answer and found nothing harmful in it."), stays=True),
        Prepared(
            _("Just wrong"), _("The answer is wrong, which models often are. Thank you for telling us."), stays=True
        ),
        Prepared(_("Harmful"), _("You are right: the answer is harmful. We told those who make the model.")),
        Prepared(_("Offensive"), _("You are right: the answer is offensive. We told those who make the model.")),
        Prepared(_("Junk"), _("You are right: the answer is of no use. We told those who make the model.")),
    ),
}


def text_of(kind: str, number: int | None) -> str:
    """Return a prepared reason by its number from 1; empty if there is none."""
    prepared = REASONS[kind]
    return str(prepared[number - 1].text) if number and number <= len(prepared) else ""


def refuse_contradiction(kind: str, reason: str, *, removes: bool) -> None:
    """Raise Invalid `other_reason` if a prepared reason to keep is given for taking away, or the reverse."""
    found = next((one for one in REASONS[kind] if str(one.text) == reason), None)
    if found is None or found.stays != removes:
        return
    message = (
        gettext("This reason says why something stays. Please choose another.")
        if removes
        else gettext("This reason says why something goes. Please choose another.")
    )
    raise Invalid(message, code="other_reason", field="reason")
