"""A form that asks, before a text is stored under a language that it does not seem to be in. Needs no script: the form
comes back with the question and with everything that was typed, and its answer travels with the next send.
"""

from collections.abc import Sequence
from typing import Any

from django import forms

from oasst.core.text import language_detection
from oasst.core.text.languages import name_of

_CHANGE, _KEEP = "change", "keep"


class LanguageQuestion(forms.Form):
    """For forms with a field `text`.

    `filed_as` is the language that the text will be stored under. Where it `may_move`, the language that it looks like
    is offered, first those that the writer knows (`known_languages`); else, as in a conversation of another language,
    the writer may change the text or send it all the same. `lang` is the language that was chosen instead, or None.
    """

    language = forms.CharField(label="Which language is it in?", required=False, widget=forms.RadioSelect)
    asked_about = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(
        self, *args: Any, filed_as: str, may_move: bool, known_languages: Sequence[str] = (), **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.filed_as, self.may_move, self.known_languages = filed_as, may_move, known_languages
        self.lang: str | None = None
        self.is_asking = False
        if not may_move:
            self.fields["language"].label = "It looks like another language"

    @property
    def only_asks(self) -> bool:
        """Is the question all that keeps the text from being stored? Then it stands in the place of the errors."""
        return self.is_asking and list(self.errors) == ["language"]

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        seen = language_detection.looks_like(self.cleaned_data.get("text") or "", self.filed_as)
        if seen is not None:
            self._ask(seen)
        return cleaned

    def _ask(self, seen: str) -> None:
        choices = self._choices(seen)
        answer = self.cleaned_data.get("language", "")
        is_answered = self.cleaned_data.get("asked_about") == seen and answer in dict(choices)
        # An answer about another language says nothing about this one.
        self.is_asking = True
        widget: Any = self.fields["language"].widget
        widget.choices = choices
        shown: Any = self.data
        shown = shown.copy()
        shown[self.add_prefix("asked_about")] = seen
        shown[self.add_prefix("language")] = answer if is_answered else choices[0][0]
        self.data = shown
        if not is_answered or answer == _CHANGE:
            self.add_error("language", self._question(seen, choices[0][0]))
        elif answer != _KEEP:
            self.lang = answer

    def _choices(self, seen: str) -> list[tuple[str, str]]:
        if not self.may_move:
            return [(_CHANGE, "I will change it"), (_KEEP, "Send it all the same")]
        known = {tag: place for place, tag in enumerate(self.known_languages)}
        tags = sorted(language_detection.choices(seen), key=lambda tag: known.get(tag, len(known)))
        return [*((tag, f"File it as {name_of(tag)}") for tag in tags), (_KEEP, f"Keep it as {name_of(self.filed_as)}")]

    def _question(self, seen: str, first: str) -> str:
        if self.may_move:
            return f"This looks like {name_of(seen)}. File it as {name_of(first)}?"
        return (
            f"The conversation is in {name_of(self.filed_as)}, and this looks like {name_of(seen)}. "
            "Send it all the same?"
        )
