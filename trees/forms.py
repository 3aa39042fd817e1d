"""The forms of the pages about trees. They check the form of the input; the services check the rules."""

from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.utils.translation import gettext_lazy as _

from oasst.accounts.models import User
from oasst.core.form_fields import TextField, without_maxlength
from oasst.core.text.languages import LANGUAGES
from trees.contributing.withdrawal import LONGEST_REMARK
from trees.exploring.criteria import Criteria, Kind, Progress
from trees.queries import ContributionFilter
from trees.text_questions import TextQuestions
from trees.word_search import LONGEST


class SuggestionForm(TextQuestions):
    """Another text for a message. The text rules check its length."""

    text = TextField(
        label=_("The better text"),
        widget=forms.Textarea({"rows": 12, "class": "input", "dir": "auto"}),
    )

    def __init__(self, *args: Any, text_limit: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["text"].widget.attrs["data-limit"] = text_limit
        limits = _("Markdown works. Up to %(number)s characters.") % {"number": text_limit}
        self.fields["text"].help_text = limits


class WithdrawalForm(forms.Form):
    reason = TextField(
        label=_("Why do you withdraw it?"),
        required=False,
        limit=LONGEST_REMARK,
        widget=forms.Textarea({"rows": 3, "class": "input", "dir": "auto"}),
        help_text=_("For the moderator who decides. You need not say."),
    )


@without_maxlength
class SearchFields(forms.Form):
    """What the searches among all messages and among one's own have in common.

    Sent by GET, so every search has an address.
    """

    q = forms.CharField(
        label=_("Search for"),
        required=False,
        max_length=LONGEST,
        widget=forms.TextInput({"type": "search", "class": "input", "dir": "auto", "autocomplete": "off"}),
    )
    lang = forms.ChoiceField(label=_("Language"), required=False, widget=forms.Select({"class": "input"}))
    since = forms.DateField(label=_("From"), required=False)
    until = forms.DateField(label=_("Until"), required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        languages = [(language.code, language.own_name) for language in LANGUAGES]
        self.fields["lang"].choices = [("", _("All languages")), *languages]  # type: ignore[attr-defined]
        for name in ("since", "until"):
            # A date input reads and sends ISO dates, whatever the language of the page.
            self.fields[name].widget = forms.DateInput({"type": "date", "class": "input"}, format="%Y-%m-%d")
        # At the size of a text input, browsers would cut a paste silently; the error says how long it may be.
        self.fields["q"].widget.attrs.pop("maxlength", None)

    def clean_since(self) -> date | None:
        return _within_calendar(self.cleaned_data["since"])

    def clean_until(self) -> date | None:
        return _within_calendar(self.cleaned_data["until"])


def _within_calendar(day: date | None) -> date | None:
    """The day after the last one cannot be computed, and nothing is that old."""
    if day is not None and not 1900 <= day.year <= 9000:
        raise forms.ValidationError(_("Choose a date between 1900 and 9000."))
    return day


@without_maxlength
class ExploreForm(SearchFields):
    kind = forms.ChoiceField(required=False, choices=[("", ""), *((kind.value, kind.value) for kind in Kind)])
    state = forms.ChoiceField(
        label=_("State"),
        required=False,
        choices=[
            ("", _("Any state")),
            (Progress.FINISHED.value, _("Finished conversations")),
            (Progress.OPEN.value, _("Open conversations")),
            (Progress.IN_REVIEW.value, _("In review")),
            (Progress.REJECTED.value, _("Not accepted")),
        ],
        widget=forms.Select({"class": "input"}),
    )
    topic = forms.TypedChoiceField(
        label=_("Topic"), required=False, coerce=int, empty_value=None, widget=forms.Select({"class": "input"})
    )
    own = forms.BooleanField(label=_("Only what I wrote"), required=False)
    how = forms.ChoiceField(
        label=_("Find"),
        required=False,
        choices=[("", _("These words")), ("meaning", _("Similar in meaning"))],
        widget=forms.Select({"class": "input"}),
    )

    def __init__(self, *args: Any, reader: User | None, topics: list[tuple[int, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.reader = reader
        if topics:
            self.fields["topic"].choices = [("", _("All topics")), *topics]  # type: ignore[attr-defined]
        else:
            del self.fields["topic"]  # topics belong to a language
        if reader is None:  # visitors see only what is finished
            del self.fields["state"], self.fields["own"]

    def criteria(self, set_apart: Collection[UUID] = ()) -> Criteria:
        """Return what is looked for. Without words and kind, a list of conversations; with words, of all messages."""
        data = self.cleaned_data
        words, state = data["q"].strip(), data.get("state")
        return Criteria(
            reader=self.reader,
            words=words,
            lang=data["lang"],
            kind=Kind(data["kind"] or (Kind.ANY if words or data.get("own") else Kind.PROMPT)),
            progress=Progress(state) if state else None,
            since=data["since"],
            until=data["until"],
            topic=data.get("topic"),
            own=bool(data.get("own")),
            set_apart=frozenset(set_apart),
        )


@without_maxlength
class ContributionsForm(SearchFields):
    kind = forms.ChoiceField(
        required=False,
        choices=[
            ("", _("Everything")),
            ("prompt", _("Prompts")),
            ("reply", _("Replies")),
            ("review", _("Reviews")),
            ("ranking", _("Rankings")),
        ],
    )
    state = forms.ChoiceField(
        label=_("What became of it"),
        required=False,
        choices=[
            ("", _("Any state")),
            ("in_review", _("In review")),
            ("accepted", _("Accepted")),
            ("rejected", _("Not accepted")),
            ("gone", _("Removed, withdrawn or hidden")),
        ],
        widget=forms.Select({"class": "input"}),
    )

    def filter(self) -> ContributionFilter:
        data = self.cleaned_data
        return ContributionFilter(
            kind=data["kind"],
            words=data["q"].strip(),
            lang=data["lang"],
            outcome=data["state"],
            since=_midnight(data["since"]),
            until=_midnight(data["until"], days=1),
        )


def _midnight(day: date | None, days: int = 0) -> datetime | None:
    return None if day is None else datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=days)


class DonationForm(forms.Form):
    """What a person chose about a chat that they give: its language, what is masked, and which part they saw."""

    lang = forms.ChoiceField(choices=[(one.code, one.own_name) for one in LANGUAGES])
    seen = forms.CharField(max_length=64, required=False, widget=forms.HiddenInput)

    @property
    def masked(self) -> frozenset[str]:
        """The keys of the spots whose boxes are checked; the service ignores unknown ones."""
        data: Any = self.data
        return frozenset(data.getlist("mask")) if self.is_bound else frozenset()

    def languages(self, chosen: str) -> list[tuple[str, str, bool]]:
        """Return (code, name, whether it is chosen) for the menu, with the chosen one even if the menu lacks it."""
        known = [(one.code, one.own_name, one.code == chosen) for one in LANGUAGES]
        return known if any(is_chosen for *_ignored, is_chosen in known) else [(chosen, chosen, True), *known]
