"""The labels as a form, for reviews and for labels that nobody asked for."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django import forms
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from trees.label_guide import MEANINGS, examples_of
from trees.labels import LABELS, Label, Widget


@dataclass
class LabelGroup:
    title: str | Promise
    widget: Widget
    fields: list[forms.BoundField]


GROUP_TITLES: dict[Widget, str | Promise] = {
    "yes_no": "",
    "flag": _("Tick whatever is true"),
    "likert": _("Place it on each scale"),
}
SCALE = [("0", "0"), ("0.25", "0.25"), ("0.5", "0.5"), ("0.75", "0.75"), ("1", "1")]


class LabelQuestions(forms.Form):
    """Labels as questions. An empty answer is None, never 0."""

    def __init__(self, *args: Any, asked: tuple[str, ...], mandatory: tuple[str, ...] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.asked = asked
        self.mandatory = mandatory
        for name in asked:
            self.fields[name] = _label_field(LABELS[name], name in mandatory)

    @property
    def groups(self) -> Iterator[LabelGroup]:
        """Yield yes-or-no questions, then flags, then scales; each group in the order of `asked`."""
        for widget, title in GROUP_TITLES.items():
            fields = []
            for name in (name for name in self.asked if LABELS[name].widget == widget):
                bound: Any = self[name]
                bound.label_def = {
                    **vars(LABELS[name]),
                    "mandatory": name in self.mandatory,
                    "ends": LABELS[name].ends,
                    "meaning": MEANINGS[name],
                    "examples": examples_of(LABELS[name]),
                    "points": _points_of(LABELS[name], bound.value()) if widget == "likert" else [],
                }
                fields.append(bound)
            if fields:
                yield LabelGroup(title, widget, fields)

    @property
    def labels(self) -> dict[str, float | None]:
        return {name: self.cleaned_data[name] for name in self.asked}


def _points_of(label: Label, chosen: object) -> list[tuple[str, bool]]:
    """Return (value, whether it is chosen) of the points of a scale in the order of the page, bad to good."""
    points = [(value, str(chosen) in (value, f"{value}.0")) for value, _name in SCALE]
    return points[::-1] if label.high_is_bad else points


def _label_field(label: Label, mandatory: bool) -> forms.Field:
    if label.widget == "flag":
        # An empty box may mean "no" or "not looked at", so it is stored as unanswered.
        return forms.TypedChoiceField(
            choices=[("1", "yes")], required=False, coerce=float, empty_value=None, label=label.question
        )
    choices = [("1", _("Yes")), ("0", _("No"))] if label.widget == "yes_no" else SCALE
    return forms.TypedChoiceField(
        choices=choices,
        required=mandatory,
        coerce=float,
        empty_value=None,
        label=label.question,
        error_messages={
            "required": f"Please answer: {label.question}",
            "invalid_choice": f"{label.question} “%(value)s” is not one of the answers.",
        },
    )
