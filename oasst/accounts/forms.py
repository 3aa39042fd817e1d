"""Forms of the account pages. They say how a thing is typed in; the rules are those of the services."""

import zoneinfo
from typing import Any

from allauth.account.fields import EmailField
from allauth.account.forms import AddEmailForm, LoginForm, RequestLoginCodeForm, ResetPasswordForm
from django import forms
from django.http import QueryDict
from django.template.loader import render_to_string
from django.utils.datastructures import MultiValueDict

from oasst.accounts.email_addresses import LONGEST, TOO_LONG, refusal
from oasst.accounts.email_owners import find_owner
from oasst.accounts.models import Role, User
from oasst.core.errors import DomainError
from oasst.core.form_fields import LineField
from oasst.core.http.kept_forms import KeptForm
from oasst.core.ratelimit import Remaining
from oasst.core.text.languages import LANGUAGES
from oasst.core.text.validation import NAME_LIMIT, clean_name

_LANGUAGE_CHOICES = [(language.code, f"{language.own_name} ({language.english_name})") for language in LANGUAGES]


def add_refusal(form: forms.Form, error: DomainError) -> None:
    """Put a refusal of a service at the field that it is about."""
    form.add_error(
        error.field if error.field in form.fields else None, forms.ValidationError(error.message, error.code)
    )


def tell_tries(form: forms.Form, field: str, *, left: Remaining | None = None, of_code: int = 0) -> None:
    """Put what is left of the tries at the field, as its help: there the browser reads it out with the field.

    `of_code`: as many with the code that was mailed. Says nothing where nobody counts.
    """
    if left or of_code:
        told = {"tries": left, "of_code": of_code}
        form[field].help_text = render_to_string("account/snippets/tries.html", told)


def _address_field() -> EmailField:
    field = EmailField(required=True, max_length=LONGEST, error_messages={"max_length": TOO_LONG})
    field.widget.attrs.pop("maxlength", None)  # a browser would cut what is pasted, and we would write to somebody else
    return field


class SignInForm(LoginForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["login"].widget.attrs.pop("maxlength", None)
        self.fields["password"].help_text = ""  # "Forgotten?" stands beside the button


class AddAddressForm(AddEmailForm):
    email = _address_field()


class CodeForm(RequestLoginCodeForm):
    """Asks for an address and nothing else: whether it is known must not show, not even in a statement more."""

    email = _address_field()

    def clean_email(self) -> str:
        email: str = self.cleaned_data["email"]
        if reason := refusal(email):
            raise forms.ValidationError(reason, "email")
        return email


class ForgotPasswordForm(ResetPasswordForm):
    email = _address_field()

    def clean_email(self) -> str:
        """The library also mails keys to an address that an account only claims: whoever owns a mistyped one could
        take that account over.
        """
        email: str = super().clean_email()
        person = find_owner(email)
        self.users = [person] if person and person.is_active else []
        return email


class ProfileForm(forms.Form):
    display_name = LineField(label="Display name", limit=NAME_LIMIT, help_text="Seen by others on the leaderboard.")
    time_zone = forms.ChoiceField(
        label="Time zone", help_text="All times are shown in it, and it decides when your day begins."
    )
    interface_language = forms.ChoiceField(label="Language of the pages", choices=[("en", "English")])
    contribution_languages = forms.MultipleChoiceField(
        label="Languages you contribute in",
        choices=_LANGUAGE_CHOICES,
        required=False,
        help_text="You are offered work in these.",
    )
    first_language = forms.ChoiceField(
        label="Your first language",
        required=False,
        help_text="You are offered work in this one unless you choose another under “Work in”.",
    )
    show_on_leaderboard = forms.BooleanField(
        label="Show me on leaderboards", required=False, help_text="You keep your points either way."
    )

    def __init__(self, *args: Any, person: User, kept: KeptForm | None = None, **kwargs: Any) -> None:
        stored = {
            "display_name": person.display_name,
            "time_zone": person.time_zone,
            "interface_language": person.interface_language,
            "contribution_languages": person.contribution_languages,
            "first_language": next(iter(person.contribution_languages), ""),
            "show_on_leaderboard": person.show_on_leaderboard,
        }
        kwargs.setdefault("initial", stored if kept is None else self._as_sent(kept.fields))
        super().__init__(*args, **kwargs)
        zones: Any = self.fields["time_zone"]
        zones.choices = [(name, name.replace("_", " ")) for name in sorted(zoneinfo.available_timezones())]
        # A language chosen elsewhere (another program, an older menu) must not vanish when the form is saved.
        languages: Any = self.fields["contribution_languages"]
        # One's own come first and in their order, since browsers send what is chosen in the order of the page.
        names = dict(_LANGUAGE_CHOICES)
        own = person.contribution_languages
        languages.choices = [(tag, names.get(tag, tag)) for tag in dict.fromkeys([*own, *names])]
        first: Any = self.fields["first_language"]
        first.choices = [("", "The first that is chosen above"), *languages.choices]
        if person.interface_language != "en":
            pages: Any = self.fields["interface_language"]
            pages.choices = [("en", "English"), (person.interface_language, person.interface_language)]

    def _as_sent(self, fields: QueryDict) -> dict[str, Any]:
        widgets = {name: field.widget for name, field in self.base_fields.items()}
        return {name: widget.value_from_datadict(fields, MultiValueDict(), name) for name, widget in widgets.items()}

    def clean(self) -> dict[str, Any]:
        """`first_language` only orders the others: it is put in front of them, if it is one of them or newly named."""
        first = self.cleaned_data.pop("first_language", "")
        languages = self.cleaned_data.get("contribution_languages")
        if first and languages is not None and (first in languages or "first_language" in self.changed_data):
            self.cleaned_data["contribution_languages"] = list(dict.fromkeys([first, *languages]))
        return self.cleaned_data

    def clean_display_name(self) -> str:
        try:
            return clean_name(self.cleaned_data["display_name"])
        except DomainError as error:
            raise forms.ValidationError(error.message, error.code) from error


class LanguagesForm(forms.Form):
    """Asked at the first visit: those of the browser come first, and are ticked."""

    languages = forms.MultipleChoiceField(label="Languages you write in", choices=_LANGUAGE_CHOICES)
    time_zone = forms.CharField(required=False, max_length=64, widget=forms.HiddenInput)


class DeleteForm(forms.Form):
    """Nobody deletes an account by a slip of the finger or from a screen left open."""

    confirmation = forms.CharField()

    def __init__(self, *args: Any, person: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.expected = person.email or "delete"
        self.fields["confirmation"].label = f"To confirm, type {self.expected}"
        self.fields["confirmation"].widget.attrs["autocomplete"] = "off"

    def clean_confirmation(self) -> str:
        typed: str = self.cleaned_data["confirmation"].strip()
        if typed.casefold() != self.expected.casefold():
            raise forms.ValidationError(f"Please type {self.expected} exactly as it stands here.", "mismatch")
        return typed


class DebugLoginForm(forms.Form):
    name = LineField(label="Name", initial="dev", limit=NAME_LIMIT)
    role = forms.ChoiceField(label="Role", choices=Role.choices)
