"""The forms of the page of site settings, one for each group. A form sends the service only what was touched, so two
administrators who change different things keep each other's values.
"""

from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget, UnfoldBooleanSwitchWidget

from oasst.accounts.models import SiteSettings
from oasst.accounts.site_settings import changing, reading
from oasst.accounts.site_settings.labels import LABELS
from oasst.accounts.site_settings.reading import SWITCHES, CurrentSettings
from oasst.core.errors import DomainError
from oasst.core.form_fields import LineField, TextField

_TIME_FORMAT = "%Y-%m-%dT%H:%M"


def _limit(name: str) -> dict[str, Any]:
    field: Any = SiteSettings._meta.get_field(name)
    return {"data-limit": field.max_length}


def _line(name: str, label: Any, help_text: Any) -> LineField:
    widget = UnfoldAdminTextInputWidget(_limit(name))
    return LineField(label=label, help_text=help_text, required=False, widget=widget, show_hidden_initial=True)


def _time(label: Any, help_text: Any) -> forms.DateTimeField:
    widget = forms.DateTimeInput({"type": "datetime-local", "class": "desk-input"}, format=_TIME_FORMAT)
    return forms.DateTimeField(
        label=label, help_text=help_text, required=False, widget=widget, show_hidden_initial=True
    )


def _switch(label: Any, help_text: Any) -> forms.BooleanField:
    return forms.BooleanField(
        label=label, help_text=help_text, required=False, widget=UnfoldBooleanSwitchWidget, show_hidden_initial=True
    )


def _sure(label: Any) -> forms.BooleanField:
    return forms.BooleanField(label=label, required=False, widget=UnfoldBooleanSwitchWidget)


class PartForm(forms.Form):
    """One group of settings as they are now, and why they change."""

    part = ""
    switched = ""
    """The setting that the step "on" switches on, after `sure` was ticked."""

    reason = LineField(
        label=_("Reason"),
        required=False,
        widget=UnfoldAdminTextInputWidget,
        limit=500,
        help_text=_("For the history. Needed for what takes something away from people."),
    )

    def __init__(self, data: Any = None, *, site: CurrentSettings, step: str = "save") -> None:
        super().__init__(data, auto_id=f"id_{self.part}_%s")
        self.site, self.step = site, step
        self.initial = {name: getattr(site, name) for name in reading.FIELDS}
        self.is_on = bool(self.switched and getattr(site, self.switched))
        if self.is_on:
            del self.fields["sure"]

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = self.cleaned_data
        for name in [name for name in reading.FIELDS if name in data]:
            try:
                data[name] = changing.checked(name, data[name])
            except DomainError as error:
                self.add_error(name, error.message)
        self._refuse_past()
        if self.step == "on" and "sure" in self.fields and not data.get("sure"):
            self.add_error("sure", _("Please tick this, so that it does not happen by mistake."))
        return data

    def _refuse_past(self) -> None:
        for name in ("announcement_until", "maintenance_until"):
            until = self.cleaned_data.get(name)
            if name in self.changed_data and until and until <= timezone.now():
                self.add_error(name, _("This time is over. Choose a later one, or none."))

    @property
    def changes(self) -> dict[str, Any]:
        """What was touched; with the step "on" also what it switches."""
        changes = {name: self.cleaned_data[name] for name in self.changed_data if name in reading.FIELDS}
        return {**changes, self.switched: True} if self.step == "on" and self.switched else changes

    @property
    def shown(self) -> CurrentSettings:
        """The settings as the valid form would make them, for a preview."""
        given = {name: self.cleaned_data[name] for name in reading.FIELDS if name in self.cleaned_data}
        return CurrentSettings(**{**vars(self.site), **given})


class AnnouncementForm(PartForm):
    part = "announcement"
    announcement = _line("announcement", _("Text"), _("One line above every page, until somebody dismisses it."))
    announcement_url = _line(
        "announcement_url", _("Link"), _("A page of this site such as /data/, or an https address. It may be empty.")
    )
    announcement_until = _time(_("Shown until"), _("Then it disappears. Empty: until you end it."))
    field_order = ("announcement", "announcement_url", "announcement_until", "reason")

    def clean(self) -> dict[str, Any]:
        data = super().clean()
        if self.step in ("save", "preview") and not data.get("announcement") and "announcement" not in self.errors:
            self.add_error("announcement", _("Nothing is written here yet."))
        return data


class MaintenanceForm(PartForm):
    part = switched = "maintenance"
    maintenance_message = _line(
        "maintenance_message", _("What people read meanwhile"), _("Empty: that the site will be back soon.")
    )
    maintenance_until = _time(_("Expected end"), _("People are told. It ends nothing by itself."))
    sure = _sure(_("Yes, only the team can use the site until I end it"))
    field_order = ("maintenance_message", "maintenance_until", "reason", "sure")


class SwitchesForm(PartForm):
    part = "switches"
    sign_up = _switch(
        LABELS["sign_up"], _("Off: nobody new can sign up. Who has an account signs in; API clients still add people.")
    )
    email_codes = _switch(
        LABELS["email_codes"], _("Off: no codes are mailed. Passwords, other services and links remain.")
    )
    sign_in_proof = _switch(
        LABELS["sign_in_proof"],
        _("Off: who asks for many codes needs no computation. The limits for each address remain."),
    )
    chat = _switch(LABELS["chat"], _("Off: nobody can chat, on the site or by the API. Chats are kept."))
    chat_drafts = _switch(
        LABELS["chat_drafts"], _("Off: the chat answers each question once, which costs the machine less.")
    )
    field_order = (*SWITCHES, "reason")


class EndForm(PartForm):
    part = "end"
    switched = "ended"
    ended_message = TextField(
        label=LABELS["ended_message"],
        help_text=_("Empty: a general text."),
        required=False,
        widget=UnfoldAdminTextareaWidget({"rows": 4, **_limit("ended_message")}),
        show_hidden_initial=True,
    )
    sure = _sure(_("Yes, nobody gets tasks any more, on the site or by the API"))
    field_order = ("ended_message", "reason", "sure")


FORMS: dict[str, type[PartForm]] = {
    form.part: form for form in (AnnouncementForm, MaintenanceForm, SwitchesForm, EndForm)
}
