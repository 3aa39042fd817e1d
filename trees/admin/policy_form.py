"""The form of the parameters: a field for each rule. An empty field leaves the rule as it is without one."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from django import forms
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from oasst.core.errors import DomainError
from oasst.core.form_fields import LineField
from oasst.core.text.languages import name_of
from trees.labels import LABELS
from trees.policies import changing
from trees.policies.reading import StoredRules
from trees.policies.rules import GROUPS, TABLE, Rule

ON_OFF = {True: gettext_lazy("on"), False: gettext_lazy("off")}
NAMES_LIMIT = 1_000


class RulesForm(forms.Form):
    """`changes` are what `changing.draft` takes: only what was touched, so that nobody takes back what somebody else
    put in force meanwhile, and what the draft had that is changed.
    """

    def __init__(
        self, data: Any = None, *, lang: str, stored: StoredRules, own: dict[str, Any], drafted: Mapping[str, Any]
    ) -> None:
        """`own` are the rules that the fields show at first; `drafted` are those of them that a draft changes."""
        self.lang, self.drafted = lang, drafted
        below = changing.values_below(stored, lang)
        super().__init__(data, initial={name: _typed(value) for name, value in own.items()})
        for rule in TABLE.values():
            if rule.per_language or not lang:
                self.fields[rule.name] = _field(rule, below[rule.name], lang)

    @property
    def changes(self) -> dict[str, Any]:
        kept = {name: value for name, value in self.drafted.items() if name in self.fields}
        return {**kept, **{name: self.cleaned_data[name] for name in self.changed_data}}

    def groups(self) -> Iterator[tuple[Any, list[forms.BoundField]]]:
        """Yield the title of each group with its fields."""
        for group, title in GROUPS.items():
            fields = [self[name] for name in self.fields if TABLE[name].group == group]
            if fields:
                yield title, fields

    def clean(self) -> dict[str, Any]:
        """Let the service check every value, so that all that is wrong is said at once."""
        for name, value in list(self.cleaned_data.items()):
            try:
                self.cleaned_data[name] = changing.checked(name, _meant(TABLE[name], value), self.lang)
            except DomainError as error:
                self.add_error(name, error.message)
        return self.cleaned_data


def _field(rule: Rule, below: Any, lang: str) -> forms.Field:
    about: dict[str, Any] = {"label": rule.label, "required": False, "help_text": _help(rule, below, lang)}
    about["show_hidden_initial"] = True
    if rule.type is bool:
        empty = _("as in every language (%(value)s)") if lang else _("as by default (%(value)s)")
        choices = [("", empty % {"value": ON_OFF[below]}), ("on", ON_OFF[True]), ("off", ON_OFF[False])]
        return forms.ChoiceField(choices=choices, widget=forms.Select({"class": "desk-input"}), **about)
    if rule.is_number:
        kind = forms.IntegerField if rule.type is int else forms.FloatField
        step = "1" if rule.type is int else "any"
        bounds = {"min": _number(rule.lowest), "max": _number(rule.highest), "step": step}
        widget = forms.NumberInput({"class": "desk-input", **bounds})
        return kind(widget=widget, **about)
    return LineField(limit=NAMES_LIMIT, widget=forms.TextInput({"class": "desk-input"}), **about)


def _help(rule: Rule, below: Any, lang: str) -> str:
    parts: list[str | Promise] = [rule.meaning]
    if rule.is_number:
        between = {"lowest": f"{rule.lowest:,g}", "highest": f"{rule.highest:,.10g}"}
        parts.append(_("From %(lowest)s to %(highest)s.") % between)
    elif rule.type is not bool:
        parts.append(_("Separated by commas. There are: %(names)s.") % {"names": ", ".join(LABELS)})
    if rule.type is not bool:
        empty = _("Empty: as in every language, %(value)s.") if lang else _("Empty: the default, %(value)s.")
        parts.append(empty % {"value": shown(below)})
    return " ".join(map(str, parts))


def shown(value: Any) -> str:
    """Return the value of a rule for people."""
    if isinstance(value, bool):
        return str(ON_OFF[value])
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    if isinstance(value, int | float):
        return _number(value)
    return json.dumps(value)


def in_words(value: Any, lang: str, below: Any = None) -> str:
    """Return the value of a language's own rule. None is no own rule: then it is `below`, where that is known."""
    if value is not None:
        return shown(value)
    words = _("as in every language") if lang else _("the default")
    return words if below is None else f"{shown(below)} ({words})"


def title_of_rules(lang: str) -> str:
    return name_of(lang) if lang else _("Every language")


def _number(value: float) -> str:
    return f"{value:.10g}"


def _typed(value: Any) -> Any:
    if isinstance(value, bool):
        return "on" if value else "off"
    return ", ".join(value) if isinstance(value, list | tuple) else value


def _meant(rule: Rule, value: Any) -> Any:
    """Return what somebody typed as JSON has it; None for nothing."""
    if value is None or value == "":
        return None
    if rule.type is bool:
        return value == "on"
    if rule.is_number:
        return value
    return [name.strip() for name in str(value).split(",") if name.strip()]
