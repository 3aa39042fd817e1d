"""Site settings in the admin: the page where they are changed, and the list of all changes."""

from functools import partial
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, gettext_noop
from django.utils.translation import gettext_lazy as _
from unfold.views import ChangeList

from oasst.accounts.groups import OPERATE
from oasst.accounts.models import SiteSettings
from oasst.core.read_only_admin import OfferedFiltersChangeList, ReadOnlyAdmin
from oasst.site.admin.site_settings_page import back_view, settings_view, with_differences


class HistoryChangeList(OfferedFiltersChangeList):
    """The list of changes: each row knows what it changed."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        for row, changes in with_differences(self.result_list):
            row.changes = changes  # type: ignore[attr-defined]


@admin.register(SiteSettings)
class SiteSettingsAdmin(ReadOnlyAdmin):
    list_display = ("changed_at", "who", "what", "reason")
    list_select_related = ("changed_by",)
    ordering = ("-pk",)
    fields = (("changed_at", "who"), "what", "reason", "way_back")
    readonly_fields = ("who", "what", "way_back")
    list_before_template = "accounts/admin/site_settings_list.html"
    empty_text = gettext_noop("Nothing was changed yet: the defaults are in force.")

    def get_urls(self) -> list[URLPattern]:
        def page(view: Any) -> Any:
            return self.admin_site.admin_view(partial(view, model_admin=self))

        return [
            path("now/", page(settings_view), name="accounts_sitesettings_now"),
            path("<int:row_id>/back/", page(back_view), name="accounts_sitesettings_back"),
            *super().get_urls(),
        ]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return HistoryChangeList

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        more = ["way_back"] if request.user.has_perm(OPERATE) else []
        return [*super().get_list_display(request), *more]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.fields if request.user.has_perm(OPERATE) else self.fields[:-1]

    def title_of(self, obj: SiteSettings) -> str:
        return gettext("Change of the site settings")

    @admin.display(description=_("by"))
    def who(self, row: SiteSettings) -> str:
        return str(row.changed_by) if row.changed_by else gettext("the operator")

    @admin.display(description=_("what changed"))
    def what(self, row: Any) -> SafeString:
        changes = row.changes if hasattr(row, "changes") else with_differences([row])[0][1]
        return SafeString(render_to_string("accounts/admin/site_settings_changes.html", {"changes": changes}))

    @admin.display(description=_("way back"))
    def way_back(self, row: SiteSettings) -> SafeString:
        url = reverse("admin:accounts_sitesettings_back", args=[row.pk])
        return format_html('<a class="text-link" href="{}">{}</a>', url, gettext("Change back…"))
