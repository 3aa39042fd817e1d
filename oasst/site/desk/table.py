"""What can be decided at the desk, by single keys: the table of acts for each kind of item."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from oasst.core.errors import Invalid
from oasst.site.desk import effects
from oasst.site.desk.effects import CHAT, MESSAGE, PERSON, TREE, Order

ALSO = ("warn", "suspend", "ban")
"""What a decision about a message may do about its author."""


@dataclass(frozen=True)
class DeskAct:
    name: str
    key: str
    label: str | Promise
    says: str | Promise
    """What happens, in one sentence."""
    done: str | Promise
    """What the page says afterwards."""
    run: Callable[[Order], None]
    stays: bool = False
    """Nothing is taken away, so the reasons to keep something fit."""
    any_reason: bool = False
    """It is neither for nor against anything."""
    needs: str = ""
    """The field that it needs besides the reason: text, lang or days."""
    destroys: bool = False
    person: bool = False
    """It is about a person, so it needs a higher rank than theirs."""


PASS_ON = DeskAct(
    "pass_on",
    "n",
    _("Pass on"),
    _("An administrator decides. The reason that you give is your note to them."),
    _("Passed on to an administrator."),
    effects.pass_on,
    any_reason=True,
)
_WARN = DeskAct(
    "warn",
    "w",
    _("Warn"),
    _("The person reads the reason and has to confirm it."),
    _("Warned."),
    effects.warn,
    person=True,
)
_SUSPEND = DeskAct(
    "suspend",
    "t",
    _("Suspend"),
    _("The person can read but not take part until then, and may appeal."),
    _("Suspended."),
    effects.suspend,
    needs="days",
    person=True,
)
_BAN = DeskAct(
    "ban",
    "b",
    _("Suspend without end"),
    _("The person can read but not take part until a moderator lifts the suspension, and may appeal."),
    _("Suspended without end."),
    effects.ban,
    destroys=True,
    person=True,
)
_STOP = DeskAct(
    "stop",
    "s",
    _("Stop the conversation"),
    _("Nobody is asked about it anymore, until a moderator lets it go on."),
    _("The conversation is stopped."),
    effects.stop,
)
_MOVE = DeskAct(
    "move",
    "l",
    _("Move"),
    _("The whole conversation goes to the language chosen here."),
    _("Moved to the other language."),
    effects.move,
    any_reason=True,
    needs="lang",
)
_GRANT = DeskAct(
    "grant",
    "g",
    _("Grant the appeal"),
    _("What was decided is undone, and the person hears why."),
    _("The appeal is granted."),
    effects.grant,
    stays=True,
)
_REFUSE = DeskAct(
    "refuse",
    "f",
    _("Refuse the appeal"),
    _("What was decided stays, and the person hears why."),
    _("The appeal is refused."),
    effects.refuse,
)
TABLE: Mapping[str, tuple[DeskAct, ...]] = {
    MESSAGE: (
        _GRANT,
        _REFUSE,
        DeskAct(
            "keep",
            "k",
            _("Keep"),
            _("It stays, and those who complained hear why."),
            _("Kept."),
            effects.keep_message,
            stays=True,
        ),
        DeskAct(
            "hide", "h", _("Hide"), _("Only moderators see it, until one shows it again."), _("Hidden."), effects.hide
        ),
        DeskAct(
            "delete",
            "d",
            _("Remove"),
            _("It goes, with all replies below it. It can be brought back."),
            _("Removed."),
            effects.delete,
            destroys=True,
        ),
        _STOP,
        DeskAct(
            "mask",
            "a",
            _("Mask personal data"),
            _("What machines found is replaced by what it is, such as [email]."),
            _("The personal data is masked."),
            effects.mask,
            any_reason=True,
        ),
        DeskAct(
            "edit",
            "e",
            _("Save this text"),
            _("The new text replaces the old one, which is kept. Change as little as possible."),
            _("The new text is stored."),
            effects.edit,
            any_reason=True,
            needs="text",
        ),
        _MOVE,
        PASS_ON,
    ),
    TREE: (
        _GRANT,
        _REFUSE,
        DeskAct(
            "keep",
            "k",
            _("Leave as it is"),
            _("Nothing changes, and it waits here no more."),
            _("Left as it is."),
            effects.nothing,
            stays=True,
        ),
        DeskAct(
            "go_on",
            "r",
            _("Let it go on"),
            _("Contributors are asked about it again; failed rankings are tried once more."),
            _("The conversation goes on."),
            effects.go_on,
            stays=True,
        ),
        _STOP,
        DeskAct(
            "delete",
            "d",
            _("Remove the conversation"),
            _("All its messages go. They can be brought back."),
            _("The conversation is removed."),
            effects.delete_tree,
            destroys=True,
        ),
        _MOVE,
        PASS_ON,
    ),
    PERSON: (
        DeskAct(
            "keep",
            "k",
            _("Nothing to do"),
            _("They wait here no more."),
            _("Nothing was done."),
            effects.nothing,
            stays=True,
        ),
        _GRANT,
        _REFUSE,
        _WARN,
        _SUSPEND,
        _BAN,
        PASS_ON,
    ),
    CHAT: (
        DeskAct(
            "keep",
            "k",
            _("The report is wrong"),
            _("Those who reported it hear why nothing is wrong."),
            _("The report was wrong."),
            effects.answer_chat_reports,
            stays=True,
        ),
        DeskAct(
            "uphold",
            "d",
            _("The report is right"),
            _("Those who reported it hear that they were right."),
            _("The report was right."),
            effects.answer_chat_reports,
        ),
        PASS_ON,
    ),
}
ABOUT_AUTHOR: Mapping[str, DeskAct] = {act.name: act for act in (_WARN, _SUSPEND, _BAN)}


def find_act(kind: str, name: str) -> DeskAct:
    """Return an act of the table. Raise Invalid `unknown_act`."""
    found = next((act for act in TABLE.get(kind, ()) if act.name == name), None)
    if found is None:
        raise Invalid(gettext("Please choose what to do."), code="unknown_act", field="act")
    return found
