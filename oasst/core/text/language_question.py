"""A form that asks before a text is stored under a language that it does not seem to be in.

It works without scripts: the form is shown again with the question, and the next submit contains the answer.
"""

from collections.abc import Sequence
from typing import Any

from django import forms

from oasst.core.text import language_detection
from oasst.core.text.languages import name_of

_CHANGE, _KEEP = "change", "keep"


class LanguageQuestion(forms.Form):
    """Base class for forms with a field `text`.

    `filed_as` is the language that the text will be stored under. If it `may_move`, the form offers the detected
    language, and first those that the author knows (`known_languages`). Otherwise, as in a conversation in another
    language, the author may change the text or send it anyway. `lang` is the chosen other language, or None.
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
        """True if the question is the only error. Then it replaces the error summary."""
        return self.is_asking and list(self.errors) == ["language"]

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        detected = language_detection.detect_other_language(self.cleaned_data.get("text") or "", self.filed_as)
        if detected is not None:
            self._ask(detected)
        return cleaned

    def _ask(self, detected: str) -> None:
        choices = self._choices(detected)
        answer = self.cleaned_data.get("language", "")
        # An answer about another language does not count.
        is_answered = self.cleaned_data.get("asked_about") == detected and answer in dict(choices)
        self.is_asking = True
        widget: Any = self.fields["language"].widget
        widget.choices = choices
        data: Any = self.data
        data = data.copy()
        data[self.add_prefix("asked_about")] = detected
        data[self.add_prefix("language")] = answer if is_answered else choices[0][0]
        self.data = data
        if not is_answered or answer == _CHANGE:
            self.add_error("language", self._question(detected, choices[0][0]))
        elif answer != _KEEP:
            self.lang = answer

    def _choices(self, detected: str) -> list[tuple[str, str]]:
        if not self.may_move:
            return [(_CHANGE, "I will change it"), (_KEEP, "Send it all the same")]
        known = {tag: index for index, tag in enumerate(self.known_languages)}
        tags = sorted(language_detection.similar_languages(detected), key=lambda tag: known.get(tag, len(known)))
        return [*((tag, f"File it as {name_of(tag)}") for tag in tags), (_KEEP, f"Keep it as {name_of(self.filed_as)}")]

    def _question(self, detected: str, first: str) -> str:
        if self.may_move:
            return f"This looks like {name_of(detected)}. File it as {name_of(first)}?"
        return (
            f"The conversation is in {name_of(self.filed_as)}, and this looks like {name_of(detected)}. "
            "Send it all the same?"
        )
