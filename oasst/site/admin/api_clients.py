"""Admin pages of API clients and their keys."""

from datetime import timedelta
from functools import partial
from typing import Any

from django.contrib import admin
from django.db.models import Count, Max, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from oasst.accounts import api_clients
from oasst.accounts.authentication.reauthentication import requires_proof
from oasst.accounts.groups import OPERATE
from oasst.accounts.models import ApiClient, ApiKey, User
from oasst.core.audit.reading import Target
from oasst.core.read_only_admin import ReadOnlyAdmin, age, badge
from oasst.site.admin.api_client_details import find_warnings, lately
from oasst.site.admin.api_client_forms import edit_view, new_view, rotate_view, tell_key


@admin.register(ApiClient)
class ApiClientAdmin(ReadOnlyAdmin):
    actions = ("new_key", "trust", "distrust", "switch_on", "switch_off")
    acting_permission = OPERATE
    destructive = ("switch_off",)
    list_display = ("name", "state", "kind", "number_of_keys", "last_used", "created_at")
    list_filter = ("enabled", "trusted")
    search_fields = ("name", "frontend_type", "admin_email")
    search_help_text = _("The name, the kind, or the address of the person responsible")
    ordering = ("name", "id")
    fields = (("name", "state"), ("kind", "responsible"), ("created_at", "id"))
    readonly_fields = ("state", "kind", "responsible")
    empty_text = _("No program can use the API yet. Add an API client to get a key.")
    change_form_outer_before_template = "accounts/admin/api_client_acts.html"
    change_form_outer_after_template = "accounts/admin/api_client.html"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm(OPERATE))

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiClient]:
        valid = Q(keys__expires_at=None) | Q(keys__expires_at__gt=timezone.now())
        clients = super().get_queryset(request).filter(person=None)  # without those made for users' own tokens
        return clients.annotate(valid_keys=Count("keys", filter=valid), key_used_at=Max("keys__last_used_at"))

    def get_urls(self) -> list[URLPattern]:
        def page(view: Any) -> Any:
            return self.admin_site.admin_view(partial(view, self))

        return [
            path("<uuid:client_id>/edit/", page(edit_view), name="accounts_apiclient_edit"),
            path("<uuid:client_id>/rotate/", page(rotate_view), name="accounts_apiclient_rotate"),
            *super().get_urls(),
        ]

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        return new_view(self, request)

    def history_targets(self, obj: ApiClient) -> list[Target]:
        """Also what was done to its keys."""
        keys = obj.keys.values_list("pk", flat=True)
        return [*super().history_targets(obj), *((ApiKey._meta.label_lower, str(pk)) for pk in keys)]

    def can_do(self, action: str, obj: Any, actor: User) -> bool:
        offered = {
            "new_key": obj.valid_keys < api_clients.MAX_VALID_KEYS,
            "trust": not obj.trusted,
            "distrust": obj.trusted,
            "switch_on": not obj.enabled,
            "switch_off": obj.enabled,
        }
        return offered[action]

    def details(self, obj: Any) -> dict[str, Any]:
        now = timezone.now()
        keys = list(api_clients.managed_keys(obj.keys.order_by("-created_at", "-pk")))
        managed = {key.pk for key in keys}
        others = [key for key in obj.keys.all() if key.pk not in managed] if len(keys) < obj.valid_keys else []
        return {
            "keys": [(key, key.expires_at is None or key.expires_at > now) for key in keys],
            "warnings": find_warnings(obj, keys, now, has_development_key=bool(others)),
            "has_development_key": bool(others),
            "lately": lately(obj, now),
        }

    def extra_context(self, obj: Any, actor: Any) -> dict[str, Any]:
        if not actor.has_perm(OPERATE):
            return {}
        return {
            "edit_url": reverse("admin:accounts_apiclient_edit", args=[obj.pk]),
            "rotate_url": reverse("admin:accounts_apiclient_rotate", args=[obj.pk]),
        }

    @admin.display(description=_("State"))
    def state(self, client: Any) -> SafeString:
        badges = [badge(gettext("on"), "success") if client.enabled else badge(gettext("switched off"), "danger")]
        if client.trusted:
            badges.append(badge(gettext("trusted"), "primary"))
        if client.enabled and not client.valid_keys:
            badges.append(badge(gettext("no valid key"), "warning"))
        return format_html_join(" ", "{}", [(one,) for one in badges])

    @admin.display(description=_("Kind"))
    def kind(self, client: ApiClient) -> str | None:
        return client.frontend_type or None

    @admin.display(description=_("Person responsible"))
    def responsible(self, client: ApiClient) -> str | None:
        return client.admin_email or None

    @admin.display(description=_("Valid keys"))
    def number_of_keys(self, client: Any) -> int:
        return client.valid_keys

    @admin.display(description=_("Last used"))
    def last_used(self, client: Any) -> SafeString | None:
        return age(client.key_used_at) if client.key_used_at else None

    @admin.action(description=_("Make another key"))
    @requires_proof
    def new_key(self, request: Any, chosen: QuerySet[ApiClient]) -> None:
        def act(client: ApiClient, reason: str) -> None:
            _key, secret = api_clients.create_api_key(client, name=reason[:100], actor=request.user)
            tell_key(self, request, client, secret)

        self.act_on_each(request, chosen, gettext("has another key"), act)

    @admin.action(description=_("Trust it"))
    @requires_proof
    def trust(self, request: Any, chosen: QuerySet[ApiClient]) -> None:
        def act(client: ApiClient, reason: str) -> None:
            api_clients.set_trust(client, trusted=True, actor=request.user, reason=reason)

        self.act_on_each(request, chosen, gettext("is trusted from now on"), act)

    @admin.action(description=_("Trust it no longer"))
    @requires_proof
    def distrust(self, request: Any, chosen: QuerySet[ApiClient]) -> None:
        def act(client: ApiClient, reason: str) -> None:
            api_clients.set_trust(client, trusted=False, actor=request.user, reason=reason)

        self.act_on_each(request, chosen, gettext("is not trusted any more"), act)

    @admin.action(description=_("Switch it on"))
    @requires_proof
    def switch_on(self, request: Any, chosen: QuerySet[ApiClient]) -> None:
        def act(client: ApiClient, reason: str) -> None:
            api_clients.switch_api_client(client, on=True, actor=request.user, reason=reason)

        self.act_on_each(request, chosen, gettext("is switched on"), act)

    @admin.action(description=_("Switch it off"))
    def switch_off(self, request: Any, chosen: QuerySet[ApiClient]) -> None:
        def act(client: ApiClient, reason: str) -> None:
            api_clients.switch_api_client(client, on=False, actor=request.user, reason=reason)

        self.act_on_each(request, chosen, gettext("is switched off: its keys are refused"), act)


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnlyAdmin):
    """API keys. Only their digests are stored, so a key cannot be shown."""

    actions = ("end_in_a_week", "revoke")
    acting_permission = OPERATE
    destructive = ("revoke",)
    list_display = ("prefix", "name", "api_client", "created_at", "expires_at", "last_used_at")
    list_select_related = ("api_client",)
    search_fields = ("prefix", "name", "api_client__name")
    ordering = ("-id",)
    fields = ("api_client", "name", "prefix", "created_at", "expires_at", "last_used_at")

    def can_do(self, action: str, obj: ApiKey, actor: User) -> bool:
        return obj.expires_at is None or obj.expires_at > timezone.now()

    @admin.action(description=_("Let it end in a week"))
    def end_in_a_week(self, request: Any, chosen: QuerySet[ApiKey]) -> None:
        def act(key: ApiKey, reason: str) -> None:
            at = timezone.now() + timedelta(days=7)
            api_clients.expire_api_key(key.api_client, key.pk, at, actor=request.user, reason=reason)

        self.act_on_each(request, chosen, gettext("ends in a week"), act)

    @admin.action(description=_("End it now"))
    def revoke(self, request: Any, chosen: QuerySet[ApiKey]) -> None:
        def act(key: ApiKey, reason: str) -> None:
            api_clients.expire_api_key(key.api_client, key.pk, actor=request.user, reason=reason)

        self.act_on_each(request, chosen, gettext("does not work any more"), act)
