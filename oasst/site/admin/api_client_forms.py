"""Pages of the admin on which an API client is made, changed, and gets new keys."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminEmailInputWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from oasst.accounts import api_clients
from oasst.accounts.authentication.reauthentication import requires_proof
from oasst.accounts.forms import add_domain_error
from oasst.accounts.groups import OPERATE
from oasst.accounts.models import ApiClient
from oasst.accounts.notices import send_notice
from oasst.core.errors import DomainError
from oasst.core.form_fields import LineField
from oasst.core.http.message_storage import SECRET_TAG
from oasst.core.locks import timeouts_as_busy
from oasst.core.read_only_admin import ReadOnlyAdmin

LIMITS = api_clients.LIMITS


class ReasonedForm(forms.Form):
    reason = LineField(label=_("Reason"), widget=UnfoldAdminTextInputWidget, limit=500, help_text=_("For the history."))


class ClientForm(ReasonedForm):
    """What was not touched is not sent to the service, so nobody overwrites what somebody else has just changed."""

    name = LineField(
        label=_("Name"),
        widget=UnfoldAdminTextInputWidget({"data-limit": LIMITS["name"]}),
        show_hidden_initial=True,
        help_text=_("By which people here tell API clients apart."),
    )
    frontend_type = LineField(
        label=_("Kind"),
        required=False,
        widget=UnfoldAdminTextInputWidget({"data-limit": LIMITS["frontend_type"]}),
        show_hidden_initial=True,
        help_text=_("Such as web, bot or import. It changes nothing."),
    )
    admin_email = LineField(
        label=_("Mail address of the person responsible"),
        required=False,
        widget=UnfoldAdminEmailInputWidget({"data-limit": LIMITS["admin_email"]}),
        show_hidden_initial=True,
        help_text=_("Whom to write to when something is wrong with it. The site sends nothing there."),
    )
    field_order = (*api_clients.FIELDS, "trusted", "reason")

    @property
    def changes(self) -> dict[str, str]:
        return {name: self.cleaned_data[name] for name in self.changed_data if name in api_clients.FIELDS}


class NewClientForm(ClientForm):
    trusted = forms.BooleanField(
        label=_("Trusted"),
        required=False,
        widget=UnfoldBooleanSwitchWidget,
        help_text=_(
            "A trusted API client acts for the whole site: it reads, changes and removes what anybody wrote, and "
            "suspends people. Trust only programs that you run yourselves."
        ),
    )


class RotationForm(ReasonedForm):
    ends = forms.ChoiceField(
        label=_("The keys before work"),
        choices=[
            ("day", _("for another day")),
            ("week", _("for another week")),
            ("month", _("for another 30 days")),
            ("now", _("no longer: they end at once")),
        ],
        initial="week",
        widget=UnfoldAdminSelectWidget,
        help_text=_("Time to put the new key into the program. At once is for a key that somebody else has seen."),
    )
    known = forms.CharField(required=False, widget=forms.HiddenInput, max_length=500)
    field_order = ("ends", "reason", "known")

    def clean_known(self) -> list[UUID] | None:
        """Return the keys that the page showed; None if it did not say."""
        try:
            return [UUID(one) for one in self.cleaned_data["known"].split()] if "known" in self.data else None
        except ValueError as error:
            raise forms.ValidationError(_("The keys are not known. Open this page again.")) from error


def tell_key(model_admin: ReadOnlyAdmin, request: Any, client: ApiClient, secret: str) -> None:
    """Show a new key once, on the next page, and tell its maker by mail that there is one."""
    send_notice(request, request.user, "key_made", client=client.name)
    words = gettext("The key, which is told only now: %(key)s") % {"key": secret}
    model_admin.message_user(request, words, messages.WARNING, SECRET_TAG)


@requires_proof
def new_view(model_admin: ReadOnlyAdmin, request: Any) -> HttpResponse:
    """Make an API client. The page after the form shows its first key, once."""
    if not request.user.has_perm(OPERATE):
        raise PermissionDenied
    form = NewClientForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            with timeouts_as_busy():
                client, secret = api_clients.create_api_client(**form.cleaned_data, actor=request.user)
        except DomainError as error:
            add_domain_error(form, error)
        else:
            words = gettext("“%(name)s” is made. Give it this key.") % {"name": client.name}
            model_admin.message_user(request, words, messages.SUCCESS)
            tell_key(model_admin, request, client, secret)
            return redirect(_page_of(client))
    return model_admin.form_page(
        request,
        form,
        title=gettext("Add an API client"),
        intro=gettext("It gets a key, which is shown once, on the next page."),
        submit=gettext("Make it"),
        back_url=reverse("admin:accounts_apiclient_changelist"),
        back_words=gettext("Back to all API clients"),
    )


def edit_view(model_admin: ReadOnlyAdmin, request: Any, client_id: UUID) -> HttpResponse:
    """Change name, kind and address."""
    client = _get_client(request, client_id)
    initial = {name: getattr(client, name) for name in api_clients.FIELDS}
    form = ClientForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        reason = form.cleaned_data["reason"]
        try:
            with timeouts_as_busy():
                changed = api_clients.change_api_client(client, actor=request.user, reason=reason, **form.changes)
        except DomainError as error:
            add_domain_error(form, error)
        else:
            model_admin.tell_changes(request, [form.fields[name].label for name in changed])
            return redirect(_page_of(client))
    return model_admin.form_page(
        request,
        form,
        title=gettext("Change “%(name)s”") % {"name": client.name},
        submit=gettext("Save the changes"),
        back_url=_page_of(client),
        back_words=gettext("Back to the API client"),
    )


@requires_proof
def rotate_view(model_admin: ReadOnlyAdmin, request: Any, client_id: UUID) -> HttpResponse:
    """Make a new key and let those before end. The page after the form shows the key, once."""
    client = _get_client(request, client_id)
    valid = list(api_clients.managed_keys(api_clients.valid_keys(client)).order_by("created_at", "pk"))
    form = RotationForm(request.POST or None, initial={"known": " ".join(str(key.pk) for key in valid)})
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        try:
            with timeouts_as_busy():
                _key, secret = api_clients.rotate_keys(
                    client,
                    ends_after=api_clients.ENDS_AFTER[given["ends"]],
                    known=given["known"],
                    actor=request.user,
                    reason=given["reason"],
                )
        except DomainError as error:
            add_domain_error(form, error)
        else:
            model_admin.message_user(request, gettext("“%s” has a new key.") % client.name, messages.SUCCESS)
            tell_key(model_admin, request, client, secret)
            return redirect(_page_of(client))
    if valid:
        named = ", ".join(f"{key.prefix}…" for key in valid)
        intro = gettext("It gets a new key, shown once, on the next page. Valid now: %(keys)s") % {"keys": named}
    else:
        intro = gettext("It gets a new key, shown once, on the next page. No key is valid now.")
    return model_admin.form_page(
        request,
        form,
        title=gettext("Rotate the keys of “%(name)s”") % {"name": client.name},
        intro=intro,
        submit=gettext("Rotate the keys"),
        back_url=_page_of(client),
        back_words=gettext("Back to the API client"),
    )


def _get_client(request: Any, client_id: UUID) -> ApiClient:
    if not request.user.has_perm(OPERATE):
        raise PermissionDenied
    client = ApiClient.objects.filter(pk=client_id, person=None).first()
    if client is None:
        raise Http404
    return client


def _page_of(client: ApiClient) -> str:
    return reverse("admin:accounts_apiclient_change", args=[client.pk])
