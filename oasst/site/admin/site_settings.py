"""Site settings in the admin: the list is the history, and "change" adds a row with the new values."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from oasst.accounts.groups import OPERATE
from oasst.accounts.models import SiteSettings
from oasst.accounts.site_settings import changing, reading
from oasst.core.errors import DomainError
from oasst.core.form_fields import without_maxlength
from oasst.core.read_only_admin import ReadOnlyAdmin


@without_maxlength
class SiteSettingsForm(forms.ModelForm):
    """All settings as they are now. The service checks and stores the changes."""

    class Meta:
        model = SiteSettings
        fields = (*reading.FIELDS, "reason")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        now = reading.read()
        self.initial = {name: getattr(now, name) for name in reading.FIELDS}
        for field in self.fields.values():
            if isinstance(field, forms.CharField) and (limit := field.max_length):
                field.max_length = None  # the service counts as the counter in the page does
                field.widget.attrs.pop("maxlength", None)
                field.widget.attrs["data-limit"] = limit

    def _post_clean(self) -> None:
        """Do nothing: the service creates the model."""

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = self.cleaned_data
        for name in [name for name in reading.FIELDS if name in data]:
            try:
                data[name] = changing.checked(name, data[name])
            except DomainError as error:
                self.add_error(name, error.message)
        return data


@admin.register(SiteSettings)
class SiteSettingsAdmin(ReadOnlyAdmin):
    list_display = ("changed_at", "who", "what", "reason")
    list_select_related = ("changed_by",)
    ordering = ("-pk",)
    fields = (*reading.FIELDS, "reason", "changed_at", "changed_by")
    empty_text = gettext_noop("Nothing was changed yet: the defaults are in force.")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm(OPERATE))

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        only_save = {"show_save_and_add_another": False, "show_save_and_continue": False, "title": _("Site settings")}
        return super().add_view(request, form_url, {**only_save, **(extra_context or {})})

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        return super().get_form(request, obj, change, **kwargs if obj else {**kwargs, "form": SiteSettingsForm})

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.fields if obj else SiteSettingsForm.Meta.fields

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.fields if obj else ()

    def save_form(self, request: Any, form: Any, change: bool) -> Any:
        return form.instance

    def save_model(self, request: Any, obj: Any, form: Any, change: bool) -> None:
        """Let the service store the changes, and say which."""
        values = {name: form.cleaned_data[name] for name in reading.FIELDS}
        changed = changing.change(actor=request.user, reason=form.cleaned_data["reason"], **values)
        names = [_label(name) for name in changed]
        if names:
            self.message_user(request, _("Changed: %(names)s.") % {"names": ", ".join(names)}, messages.SUCCESS)
        else:
            self.message_user(request, _("Nothing was different, so nothing was changed."), messages.INFO)

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        return redirect("admin:accounts_sitesettings_changelist")

    def save_related(self, request: Any, form: Any, formsets: Any, change: bool) -> None:
        """Do nothing: there are no related objects."""

    @admin.display(description=_("by"))
    def who(self, row: SiteSettings) -> str:
        return str(row.changed_by) if row.changed_by else str(_("the operator"))

    @admin.display(description=_("differs from the defaults"))
    def what(self, row: SiteSettings) -> SafeString:
        default = reading.CurrentSettings()
        different = [name for name in reading.FIELDS if getattr(row, name) != getattr(default, name)]
        return format_html_join(", ", "{}", [(_label(name),) for name in different])


def _label(name: str) -> str:
    field: Any = SiteSettings._meta.get_field(name)
    return str(field.verbose_name)
