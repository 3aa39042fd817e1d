"""The form of the times of a job: patterns that people know, and cron."""

from datetime import UTC
from typing import Any

from celery.schedules import ParseException, crontab
from django import forms
from django.utils.dates import WEEKDAYS
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from oasst.core.form_fields import LineField
from oasst.site.operation import times
from oasst.site.operation.times import Pattern, Times

_INPUT = {"class": "desk-input"}


def _time_field(label: Any) -> forms.TimeField:
    widget = forms.TimeInput({**_INPUT, "type": "time"}, format="%H:%M")
    return forms.TimeField(label=label, required=False, widget=widget)


class TimesForm(forms.Form):
    """When a job runs. Only the fields of the chosen pattern count."""

    pattern = forms.ChoiceField(
        label=gettext_lazy("When"),
        choices=[
            (Pattern.MINUTES, gettext_lazy("Every so many minutes")),
            (Pattern.HOURLY, gettext_lazy("Every hour")),
            (Pattern.DAILY, gettext_lazy("Every day")),
            (Pattern.WEEKLY, gettext_lazy("Every week")),
            (Pattern.CRON, gettext_lazy("Cron, for experts")),
        ],
        widget=forms.RadioSelect,
        error_messages={"required": gettext_lazy("Please choose when the job runs.")},
    )
    minutes = forms.TypedChoiceField(
        label=gettext_lazy("Minutes between two runs"),
        choices=[(number, str(number)) for number in times.MINUTES],
        coerce=int,
        required=False,
        widget=forms.Select(_INPUT),
    )
    minute = forms.IntegerField(
        label=gettext_lazy("At minute"),
        min_value=0,
        max_value=59,
        required=False,
        widget=forms.NumberInput(_INPUT),
    )
    day_at = _time_field(gettext_lazy("At (UTC)"))
    weekday = forms.TypedChoiceField(
        label=gettext_lazy("On"),
        choices=[((number + 1) % 7, name) for number, name in WEEKDAYS.items()],
        coerce=int,
        required=False,
        widget=forms.Select(_INPUT),
    )
    week_at = _time_field(gettext_lazy("At (UTC)"))
    cron = LineField(
        label=gettext_lazy("Minute, hour, day of month, month, day of week"),
        required=False,
        limit=200,
        widget=forms.TextInput({**_INPUT, "spellcheck": "false", "autocapitalize": "off"}),
    )

    NEEDED = {
        Pattern.MINUTES: ("minutes",),
        Pattern.HOURLY: ("minute",),
        Pattern.DAILY: ("day_at",),
        Pattern.WEEKLY: ("weekday", "week_at"),
        Pattern.CRON: ("cron",),
    }
    """The fields of each pattern."""

    @classmethod
    def showing(cls, schedule: crontab | None) -> "TimesForm":
        """Return the form with these times."""
        now = times.read(schedule) if schedule else Times(Pattern.DAILY)
        return cls(
            initial={
                "pattern": now.pattern.value,
                "minutes": now.minutes,
                "minute": now.minute,
                "day_at": now.at,
                "weekday": now.weekday,
                "week_at": now.at,
                "cron": now.cron,
            }
        )

    def rows(self) -> list[tuple[str, str, str, list[Any]]]:
        """Return (value, label, id, fields) of each pattern, for the template."""
        return [
            (value, label, f"id_pattern_{value}", [self[name] for name in self.NEEDED[Pattern(value)]])
            for value, label in self.fields["pattern"].choices  # type: ignore[attr-defined]
        ]

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = self.cleaned_data
        if "pattern" not in data:
            return data
        pattern = Pattern(data["pattern"])
        needed = self.NEEDED[pattern]
        for name in set(self.errors) - {"pattern", *needed}:
            del self.errors[name]  # of a pattern that was not chosen
        for name in needed:
            if name not in self.errors and data.get(name) in (None, ""):
                self.add_error(name, _("Please fill this in."))
        if not self.errors:
            try:
                data["schedule"] = times.write(_times(pattern, data))
            except (ValueError, ParseException):
                words = _("These are not five parts as cron has them, such as 20 3 * * *, or they never come.")
                self.add_error("cron", words)
        return data


def _times(pattern: Pattern, data: dict[str, Any]) -> Times:
    given = {"minutes": "minutes", "minute": "minute", "weekday": "weekday", "cron": "cron"}
    values = {name: data[field] for name, field in given.items() if data.get(field) not in (None, "")}
    at = data.get("week_at" if pattern == Pattern.WEEKLY else "day_at")
    return Times(pattern, **values, **({"at": at.replace(tzinfo=UTC)} if at else {}))
