"""Forms of the account pages. Services enforce the rules."""

from typing import Any

from allauth.account.fields import EmailField
from allauth.account.forms import AddEmailForm, LoginForm, RequestLoginCodeForm, ResetPasswordForm
from django import forms
from django.http import QueryDict
from django.template.loader import render_to_string
from django.utils.datastructures import MultiValueDict
from django.utils.safestring import SafeString
from django.utils.translation import gettext, gettext_lazy

from oasst.accounts.email_addresses import MAX_LENGTH, TOO_LONG, why_refused
from oasst.accounts.email_owners import find_owner
from oasst.accounts.models import Appeal, Role, User
from oasst.accounts.profiles import MAX_CONTRIBUTION_LANGUAGES
from oasst.accounts.time_zones import find_zone, zone_names
from oasst.core.errors import DomainError
from oasst.core.form_fields import LineField, TextField
from oasst.core.http.kept_forms import KeptForm
from oasst.core.ratelimit import Remaining
from oasst.core.text.languages import BY_CODE, LANGUAGES
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


class LanguagePicker(forms.SelectMultiple):
    """Languages in order of preference: a numbered list of selects, some of them empty.

    That works without script, and a form sends the languages in their order. static/js/languages.js shows them as chips
    with a search. static/css/languages.css and that script belong on each page with this widget.
    """

    use_fieldset = True
    SPARE, LEAST = 3, 6
    """Empty selects, and selects in all: so many languages can be added at once without script."""

    def value_from_datadict(self, data: Any, files: Any, name: str) -> list[str]:
        """Return each chosen language once; an empty select is none."""
        return list(dict.fromkeys(tag for tag in super().value_from_datadict(data, files, name) or [] if tag))

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        chosen = [str(tag) for tag in value or []]
        number = min(max(len(chosen) + self.SPARE, self.LEAST), MAX_CONTRIBUTION_LANGUAGES)
        context = {
            "name": name,
            "id": (attrs or {}).get("id") or f"id_{name}",
            "invalid": (attrs or {}).get("aria-invalid"),
            "chosen": [*chosen, *[""] * (number - len(chosen))],
            "limit": MAX_CONTRIBUTION_LANGUAGES,
            # A tag that is not on the menu must not vanish when the form is saved.
            "options": [_option(tag) for tag in dict.fromkeys([*BY_CODE, *chosen])],
        }
        return render_to_string("fragments/language_picker.html", context)


def _option(tag: str) -> tuple[str, str, str]:
    """Return tag, own name and English name."""
    language = BY_CODE.get(tag)
    return (tag, language.own_name, language.english_name) if language else (tag, tag, tag)


class LanguagesField(forms.MultipleChoiceField):
    """The languages that somebody contributes in, the preferred one first. Services check the tags."""

    widget = LanguagePicker

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"choices": _LANGUAGE_CHOICES, **kwargs})

    def allow(self, tags: list[str]) -> None:
        """Accept these tags too, which may not be on the menu."""
        self.choices = [*_LANGUAGE_CHOICES, *((tag, tag) for tag in tags if tag not in BY_CODE)]


class TimeZoneInput(forms.TextInput):
    """A text field that offers the zones while one types; without `datalist` it takes the name of a zone or a city."""

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        list_id = f"{(attrs or {}).get('id') or name}_zones"
        field = super().render(name, value, {**(attrs or {}), "list": list_id, "autocomplete": "off"}, renderer)
        return field + render_to_string("fragments/time_zone_list.html", {"id": list_id, "zones": zone_names()})


class TimeZoneField(forms.CharField):
    """A time zone by its name or its city. Its value is the name of the zone."""

    widget = TimeZoneInput

    def __init__(self, **kwargs: Any) -> None:
        words = {
            "label": gettext_lazy("Time zone"),
            "help_text": gettext_lazy(
                "All times are shown in it, and it decides when your day begins. Type a city, such as Nairobi."
            ),
        }
        super().__init__(**{**words, **kwargs})

    def clean(self, value: Any) -> str:
        zone = find_zone(super().clean(value))
        if zone is None:
            raise forms.ValidationError(
                gettext("We do not know this time zone. Choose one of the list, such as Europe/Berlin."), "time_zone"
            )
        return zone


class ProfileForm(forms.Form):
    display_name = LineField(
        label=gettext_lazy("Display name"), limit=NAME_LIMIT, help_text=gettext_lazy("Seen by others on leaderboards.")
    )
    contribution_languages = LanguagesField(
        label=gettext_lazy("Languages you contribute in"),
        required=False,
        help_text=gettext_lazy("You are offered work in the first one unless you choose another on your dashboard."),
    )
    time_zone = TimeZoneField()
    interface_language = forms.ChoiceField(label=gettext_lazy("Language of the pages"), choices=[("en", "English")])
    show_on_leaderboard = forms.BooleanField(
        label=gettext_lazy("Show me on leaderboards"),
        required=False,
        help_text=gettext_lazy("You keep your points either way."),
    )
    single_keys_off = forms.BooleanField(
        label=gettext_lazy("Switch off shortcuts of a single key"),
        required=False,
        help_text=gettext_lazy(
            "For speech input, or if you hit keys by accident. All works without them, and Ctrl + Enter still sends."
        ),
    )

    def __init__(self, *args: Any, user: User, kept: KeptForm | None = None, **kwargs: Any) -> None:
        stored = {
            "display_name": user.display_name,
            "time_zone": user.time_zone.replace("_", " "),
            "interface_language": user.interface_language,
            "contribution_languages": user.contribution_languages,
            "show_on_leaderboard": user.show_on_leaderboard,
            "single_keys_off": user.single_keys_off,
        }
        kwargs.setdefault("initial", stored if kept is None else self._as_sent(kept.fields))
        super().__init__(*args, **kwargs)
        languages: Any = self.fields["contribution_languages"]
        languages.allow(user.contribution_languages)
        if user.interface_language != "en":
            pages: Any = self.fields["interface_language"]
            pages.choices = [("en", "English"), (user.interface_language, user.interface_language)]

    def _as_sent(self, fields: QueryDict) -> dict[str, Any]:
        widgets = {name: field.widget for name, field in self.base_fields.items()}
        return {name: widget.value_from_datadict(fields, MultiValueDict(), name) for name, widget in widgets.items()}

    def clean_display_name(self) -> str:
        try:
            return clean_name(self.cleaned_data["display_name"])
        except DomainError as error:
            raise forms.ValidationError(error.message, error.code) from error


class LanguagesForm(forms.Form):
    """Asked at the first visit. The browser's languages are proposed."""

    languages = LanguagesField(label=gettext_lazy("Your languages"))
    time_zone = forms.CharField(required=False, max_length=64, widget=forms.HiddenInput({"data-browser-zone": ""}))


class AcknowledgementForm(forms.Form):
    agrees = forms.BooleanField(label=gettext_lazy("Thank me by name on the public page"), required=False)
    name = LineField(
        label=gettext_lazy("Name to thank"),
        limit=NAME_LIMIT,
        required=False,
        help_text=gettext_lazy("As it is to stand there, such as your full name."),
    )

    def clean(self) -> dict[str, Any]:
        if self.cleaned_data.get("agrees") and not self.cleaned_data.get("name") and "name" not in self.errors:
            self.add_error("name", gettext("Please say under which name."))
        return self.cleaned_data


class AppealForm(forms.Form):
    text = TextField(
        label=gettext_lazy("Why should your account not be suspended?"),
        limit=Appeal.TEXT_LIMIT,
        widget=forms.Textarea({"rows": 6}),
    )


class DecisionAppealForm(forms.Form):
    text = TextField(
        label=gettext_lazy("Why should it be decided otherwise?"),
        limit=Appeal.TEXT_LIMIT,
        widget=forms.Textarea({"rows": 6}),
    )


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
