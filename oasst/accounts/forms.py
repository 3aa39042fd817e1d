"""Forms of the account pages. Services enforce the rules."""

import zoneinfo
from typing import Any

from allauth.account.fields import EmailField
from allauth.account.forms import AddEmailForm, LoginForm, RequestLoginCodeForm, ResetPasswordForm
from django import forms
from django.http import QueryDict
from django.template.loader import render_to_string
from django.utils.datastructures import MultiValueDict

from oasst.accounts.email_addresses import MAX_LENGTH, TOO_LONG, why_refused
from oasst.accounts.email_owners import find_owner
from oasst.accounts.models import Role, User
from oasst.core.errors import DomainError
from oasst.core.form_fields import LineField
from oasst.core.http.kept_forms import KeptForm
from oasst.core.ratelimit import Remaining
from oasst.core.text.languages import LANGUAGES
from oasst.core.text.validation import NAME_LIMIT, clean_name

_LANGUAGE_CHOICES = [(language.code, f"{language.own_name} ({language.english_name})") for language in LANGUAGES]


def add_domain_error(form: forms.Form, error: DomainError) -> None:
    """Add a domain error to the form, at its field if there is one."""
    form.add_error(
        error.field if error.field in form.fields else None, forms.ValidationError(error.message, error.code)
    )


def show_attempts_left(form: forms.Form, field: str, *, left: Remaining | None = None, of_code: int = 0) -> None:
    """Show the remaining attempts as help text of the field, so that screen readers read it with the field.

    `of_code` is the number of attempts for a mailed code. Does nothing if attempts are not counted.
    """
    if left or of_code:
        context = {"tries": left, "of_code": of_code}
        form[field].help_text = render_to_string("account/snippets/tries.html", context)


def _address_field() -> EmailField:
    field = EmailField(required=True, max_length=MAX_LENGTH, error_messages={"max_length": TOO_LONG})
    field.widget.attrs.pop("maxlength", None)  # browsers would cut a paste, to another address
    return field


class SignInForm(LoginForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["login"].widget.attrs.pop("maxlength", None)
        self.fields["password"].help_text = ""  # the page has its own link beside the button


class AddAddressForm(AddEmailForm):
    email = _address_field()


class CodeForm(RequestLoginCodeForm):
    """Asks for an address without checking whether it is known, which even an additional query would reveal."""

    email = _address_field()

    def clean_email(self) -> str:
        email: str = self.cleaned_data["email"]
        if reason := why_refused(email):
            raise forms.ValidationError(reason, "email")
        return email


class ForgotPasswordForm(ResetPasswordForm):
    email = _address_field()

    def clean_email(self) -> str:
        """Mail a key only to verified addresses, because the owner of a mistyped one could take over an account."""
        email: str = super().clean_email()
        user = find_owner(email)
        self.users = [user] if user and user.is_active else []
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

    def __init__(self, *args: Any, user: User, kept: KeptForm | None = None, **kwargs: Any) -> None:
        stored = {
            "display_name": user.display_name,
            "time_zone": user.time_zone,
            "interface_language": user.interface_language,
            "contribution_languages": user.contribution_languages,
            "first_language": next(iter(user.contribution_languages), ""),
            "show_on_leaderboard": user.show_on_leaderboard,
        }
        kwargs.setdefault("initial", stored if kept is None else self._as_sent(kept.fields))
        super().__init__(*args, **kwargs)
        zones: Any = self.fields["time_zone"]
        zones.choices = [(name, name.replace("_", " ")) for name in sorted(zoneinfo.available_timezones())]
        # Includes languages that are not on the menu, which must not vanish when the form is saved. The user's own
        # come first in their order, because browsers send the chosen ones in the order of the page.
        languages: Any = self.fields["contribution_languages"]
        names = dict(_LANGUAGE_CHOICES)
        own = user.contribution_languages
        languages.choices = [(tag, names.get(tag, tag)) for tag in dict.fromkeys([*own, *names])]
        first: Any = self.fields["first_language"]
        first.choices = [("", "The first that is chosen above"), *languages.choices]
        if user.interface_language != "en":
            pages: Any = self.fields["interface_language"]
            pages.choices = [("en", "English"), (user.interface_language, user.interface_language)]

    def _as_sent(self, fields: QueryDict) -> dict[str, Any]:
        widgets = {name: field.widget for name, field in self.base_fields.items()}
        return {name: widget.value_from_datadict(fields, MultiValueDict(), name) for name, widget in widgets.items()}

    def clean(self) -> dict[str, Any]:
        """Move `first_language` to the front of the languages, if it is one of them or newly chosen."""
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
    """Asked at the first visit. The browser's languages come first and are checked."""

    languages = forms.MultipleChoiceField(label="Languages you write in", choices=_LANGUAGE_CHOICES)
    time_zone = forms.CharField(required=False, max_length=64, widget=forms.HiddenInput)


class DeleteForm(forms.Form):
    """Asks for a confirmation that nobody gives by accident."""

    confirmation = forms.CharField()

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.expected = user.email or "delete"
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
