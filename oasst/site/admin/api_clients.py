"""Admin pages of API clients and their keys."""

from datetime import timedelta
from typing import Any

from django.contrib import admin, messages
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from oasst.accounts.api_clients import create_api_key, expire_api_key
from oasst.accounts.authentication.reauthentication import requires_proof
from oasst.accounts.groups import OPERATE
from oasst.accounts.models import ApiClient, ApiKey, User
from oasst.accounts.notices import send_notice
from oasst.core.audit.reading import Target
from oasst.core.http.message_storage import SECRET_TAG
from oasst.core.read_only_admin import ReadOnlyAdmin


@admin.register(ApiClient)
class ApiClientAdmin(ReadOnlyAdmin):
    actions = ("new_key",)
    acting_permission = OPERATE
    list_display = ("name", "enabled", "trusted", "frontend_type", "number_of_keys", "created_at")
    list_filter = ("enabled", "trusted")
    search_fields = ("name",)
    ordering = ("name",)
    fields = ("name", "admin_email", "frontend_type", ("enabled", "trusted"), "number_of_keys", "created_at", "id")
    readonly_fields = ("number_of_keys",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiClient]:
        clients = super().get_queryset(request).filter(person=None)  # without those made for users' own tokens
        return clients.annotate(key_count=Count("keys"))

    def history_targets(self, obj: ApiClient) -> list[Target]:
        """Also what was done to its keys."""
        keys = obj.keys.values_list("pk", flat=True)
        return [*super().history_targets(obj), *((ApiKey._meta.label_lower, str(pk)) for pk in keys)]

    @admin.display(description="Keys")
    def number_of_keys(self, client: Any) -> int:
        return client.key_count

    @admin.action(description="Make another key")
    @requires_proof
    def new_key(self, request: Any, chosen: QuerySet[ApiClient]) -> None:
        def act(client: ApiClient, reason: str) -> None:
            _, key = create_api_key(client, name=reason[:100], actor=request.user)
            send_notice(request, request.user, "key_made", client=client.name)
            self.message_user(request, f"The key, which is told only now: {key}", messages.WARNING, SECRET_TAG)

        self.act_on_each(request, chosen, "has another key", act)


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

    @admin.action(description="Let it end in a week")
    def end_in_a_week(self, request: Any, chosen: QuerySet[ApiKey]) -> None:
        def act(key: ApiKey, reason: str) -> None:
            at = timezone.now() + timedelta(days=7)
            expire_api_key(key.api_client, key.pk, at, actor=request.user, reason=reason)

        self.act_on_each(request, chosen, "ends in a week", act)

    @admin.action(description="Revoke")
    def revoke(self, request: Any, chosen: QuerySet[ApiKey]) -> None:
        def act(key: ApiKey, reason: str) -> None:
            expire_api_key(key.api_client, key.pk, actor=request.user, reason=reason)

        self.act_on_each(request, chosen, "revoked", act)
