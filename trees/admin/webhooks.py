"""Webhooks of API clients: subscriptions, deliveries, and failures."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from oasst.accounts.authentication.reauthentication import requires_proof
from oasst.accounts.groups import OPERATE
from oasst.accounts.models import ApiClient, User
from oasst.core.errors import DomainError
from oasst.core.form_fields import LineField
from oasst.core.http.message_storage import SECRET_TAG
from oasst.core.read_only_admin import ReadOnlyAdmin, badge
from trees.models import Delivery, Webhook
from trees.outbox import webhooks

TONES = {Delivery.Status.WAITING: "warning", Delivery.Status.DELIVERED: "success", Delivery.Status.GIVEN_UP: "danger"}


class WebhookForm(forms.ModelForm):
    """The form for a new webhook. The service checks and creates it."""

    actor: User

    api_client = forms.ModelChoiceField(ApiClient.objects.order_by("name"), label="API client")
    url = LineField(label=_("Address"), limit=500, help_text=_("https, on the public internet."))
    events = forms.MultipleChoiceField(
        choices=[(event, event) for event in webhooks.EVENTS.values()],
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("Of which events it is told; none chosen means all."),
    )

    class Meta:
        model = Webhook
        fields = ("api_client", "url", "events")

    def _post_clean(self) -> None:
        """Do nothing: the service creates the model."""

    def clean(self) -> dict[str, Any]:
        data = self.cleaned_data
        if not self.errors:
            try:
                self.instance = webhooks.create(data["api_client"], data["url"], data["events"], actor=self.actor)
            except DomainError as error:
                self.add_error(error.field if error.field in self.fields else None, error.message)
        return data


@admin.register(Webhook)
class WebhookAdmin(ReadOnlyAdmin):
    list_display = ("url", "api_client", "standing", "waiting", "failures", "failing_since", "created_at")
    list_filter = ("enabled",)
    list_select_related = ("api_client",)
    search_fields = ("url", "api_client__name")
    ordering = ("-id",)
    actions = ("send_ping", "renew_secret", "switch_on", "switch_off", "remove")
    acting_permission = OPERATE
    fields = (
        *("api_client", "url", "events", "standing", "switched_off_why", ("waiting", "failures")),
        *(("failing_since", "retry_at"), "created_at", "id"),
    )
    readonly_fields = ("standing", "waiting")
    change_form_outer_after_template = "trees/admin/deliveries.html"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm(OPERATE))

    @requires_proof
    def add_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Require a recent sign-in, since the response shows the secret."""
        return super().add_view(request, *args, **kwargs)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        if obj:
            return super().get_form(request, obj, change, **kwargs)
        return type("WebhookForm", (WebhookForm,), {"actor": request.user})

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.fields if obj else WebhookForm.Meta.fields

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.readonly_fields if obj else ()

    def save_form(self, request: Any, form: Any, change: bool) -> Webhook:
        webhook: Webhook = form.instance
        return webhook

    def save_model(self, request: Any, obj: Webhook, form: Any, change: bool) -> None:
        """Only show the secret: the service has created the webhook."""
        self._show_secret(request, webhooks.secret_of(obj))

    def save_related(self, request: Any, form: Any, formsets: Any, change: bool) -> None:
        """Do nothing: there are no related objects."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Webhook]:
        waiting = Count("deliveries", filter=Q(deliveries__status=Delivery.Status.WAITING))
        return super().get_queryset(request).annotate(waiting_count=waiting)

    def details(self, obj: Webhook) -> dict[str, Any]:
        latest = obj.deliveries.order_by("-pk")[:50]
        return {"deliveries": [(delivery, _delivery_badge(delivery)) for delivery in latest]}

    def can_do(self, action: str, obj: Webhook, actor: User) -> bool:
        if action == "switch_on":
            return not obj.enabled
        return obj.enabled or action not in ("switch_off", "send_ping")

    @admin.display(description=_("State"))
    def standing(self, webhook: Webhook) -> SafeString:
        if not webhook.enabled:
            return badge(gettext("switched off"), "danger")
        return badge(gettext("fails"), "warning") if webhook.failures else badge(gettext("on"), "success")

    @admin.display(description=_("Waiting"))
    def waiting(self, webhook: Any) -> int:
        return webhook.waiting_count

    @admin.action(description=_("Send a ping"))
    def send_ping(self, request: Any, chosen: QuerySet[Webhook]) -> None:
        self.act_on_each(
            request, chosen, gettext("a ping is on its way"), lambda webhook, reason: webhooks.ping(webhook)
        )

    @admin.action(description=_("Make a new secret"))
    @requires_proof
    def renew_secret(self, request: Any, chosen: QuerySet[Webhook]) -> None:
        def act(webhook: Webhook, reason: str) -> None:
            self._show_secret(request, webhooks.new_secret(webhook, actor=request.user, reason=reason))

        self.act_on_each(request, chosen, gettext("has a new secret; the one before is good for a day"), act)

    @admin.action(description=_("Switch on"))
    def switch_on(self, request: Any, chosen: QuerySet[Webhook]) -> None:
        def act(webhook: Webhook, reason: str) -> None:
            webhooks.switch(webhook, on=True, actor=request.user, reason=reason)

        self.act_on_each(request, chosen, gettext("switched on"), act)

    @admin.action(description=_("Switch off"))
    def switch_off(self, request: Any, chosen: QuerySet[Webhook]) -> None:
        def act(webhook: Webhook, reason: str) -> None:
            webhooks.switch(webhook, on=False, actor=request.user, reason=reason)

        self.act_on_each(request, chosen, gettext("switched off"), act)

    @admin.action(description=_("Delete"))
    def remove(self, request: Any, chosen: QuerySet[Webhook]) -> None:
        def act(webhook: Webhook, reason: str) -> None:
            webhooks.delete(webhook, actor=request.user, reason=reason)

        self.act_on_each(request, chosen, gettext("deleted"), act)

    def _show_secret(self, request: Any, secret: str) -> None:
        told = gettext("The secret, which is told only now: %(secret)s") % {"secret": secret}
        self.message_user(request, told, messages.WARNING, SECRET_TAG)


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    list_display = ("event", "webhook", "outcome", "attempts", "answer_status", "created_at", "due_at", "ended_at")
    list_filter = ("status", "event")
    list_select_related = ("webhook",)
    ordering = ("-id",)
    fields = (
        *("webhook", "event", "outcome", "body", ("attempts", "answer_status"), "error"),
        *(("created_at", "due_at", "ended_at"), "id"),
    )
    readonly_fields = ("outcome",)

    @admin.display(description=_("State"))
    def outcome(self, delivery: Delivery) -> SafeString:
        return _delivery_badge(delivery)


def _delivery_badge(delivery: Delivery) -> SafeString:
    return badge(delivery.get_status_display().lower(), TONES[Delivery.Status(delivery.status)])
