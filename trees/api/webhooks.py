"""Operations on the webhooks of the calling API client."""

from typing import Any

from rest_framework import serializers

from oasst.api.fields import (
    BooleanField,
    BoundedList,
    ChoiceField,
    ConstantField,
    DateTimeField,
    IntegerField,
    Schema,
    TextField,
    UUIDField,
)
from oasst.api.operations import Access, Call, Operation, operation
from oasst.core import ratelimit
from trees.api.schemas import StateName
from trees.models import Delivery
from trees.outbox import webhooks

OPERATIONS: list[Operation] = []
KEY = Access.PROGRAM
ONE = "webhooks/<webhook_id>"
UNKNOWN = (404,)


class EventName(ChoiceField):
    """An event that a webhook can receive."""

    def __init__(self) -> None:
        super().__init__(webhooks.EVENTS.values(), called="WebhookEvent")


class WebhookSchema(Schema):
    """An address that receives events. `enabled` goes off automatically after days without success."""

    id = UUIDField()
    url = TextField()
    events = serializers.ListField(child=EventName(), help_text="The events that it receives; an empty list means all.")
    enabled = BooleanField()
    switched_off_date = DateTimeField(allow_null=True, source="switched_off_at")
    switched_off_why = TextField()
    failures = IntegerField(help_text="Failed tries since the last success.")
    created_date = DateTimeField(source="created_at")


class WebhookSecretSchema(WebhookSchema):
    secret = TextField(help_text="Signs the events, as in standardwebhooks.com. Shown only now.")


class DeliveryStatus(ChoiceField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(Delivery.Status.values, called="DeliveryStatus", **kwargs)


class DeliverySchema(Schema):
    """One event for one webhook. Its `id` is the header webhook-id: ignore ids that you have received before."""

    id = UUIDField()
    type = ChoiceField((*webhooks.EVENTS.values(), webhooks.PING), source="event")
    status = DeliveryStatus()
    attempts = IntegerField()
    created_date = DateTimeField(source="created_at")
    due_date = DateTimeField(allow_null=True, source="next_try_at")
    ended_date = DateTimeField(allow_null=True, source="ended_at")
    answer_status = IntegerField(allow_null=True)
    error = TextField()
    body = TextField()


# --- What is sent ---


class MessageFacts(Schema):
    message_tree_id = UUIDField()
    message_id = UUIDField(required=False, help_text="Absent when the message is gone for good.")
    frontend_message_id = TextField(
        required=False, allow_null=True, help_text="Null for a message of another client; absent when it is gone."
    )


class TreeFacts(Schema):
    message_tree_id = UUIDField()


class MoveFacts(TreeFacts):
    state_before = StateName()
    state = StateName()


class NoFacts(Schema):
    """Nothing."""


class EventSchema(Schema):
    id = UUIDField(help_text="Equal to the header webhook-id: ignore ids that you have received before.")
    timestamp = DateTimeField()
    sequence = IntegerField(allow_null=True, help_text="Grows with each event; null for a ping.")


def _event(name: str, description: str, facts: type[Schema]) -> type[Schema]:
    """Return the schema of an event: `message.posted` becomes `MessagePosted`."""
    called = "".join(part.capitalize() for part in name.split("."))
    schema: type[Schema] = type(
        called, (EventSchema,), {"__doc__": description, "type": ConstantField(name), "data": facts()}
    )
    return schema


class AnyEvent(Schema):
    """What a webhook receives, by `type`."""

    one_of = (
        _event("message.posted", "A message was posted.", MessageFacts),
        _event("message.accepted", "Reviewers accepted a message.", MessageFacts),
        _event("message.rejected", "Reviewers rejected a message.", MessageFacts),
        _event("message.reopened", "A message is reviewed again.", MessageFacts),
        _event("message.edited", "The text of a message changed.", MessageFacts),
        _event("message.deleted", "A message was deleted, or is hidden for now.", MessageFacts),
        _event("message.restored", "A message was restored.", MessageFacts),
        _event("tree.moved", "A message tree changed its state.", MoveFacts),
        _event("tree.imported", "A message tree was imported from a file.", TreeFacts),
        _event(webhooks.PING, "A test event.", NoFacts),
    )


# --- Operations ---


def _count_change(call: Call) -> None:
    ratelimit.count_use(ratelimit.WEBHOOK_CHANGES, call.client.pk)


@operation(OPERATIONS, "GET", "webhooks", KEY, answer=[WebhookSchema])
def list_webhooks(call: Call) -> Any:
    """The webhooks of the calling client."""
    return call.client.webhooks.order_by("pk")


class NewWebhook(Schema):
    url = TextField(max_length=500, help_text="https, on the public internet.")
    events = BoundedList(child=EventName(), default=list)


@operation(
    OPERATIONS,
    "POST",
    "webhooks",
    KEY,
    body=NewWebhook,
    answer=WebhookSecretSchema,
    status=201,
    unnumbered_statuses=(409,),
    repeatable=False,  # a secret is not stored in plain text
)
def create_webhook(call: Call) -> Any:
    """Create a webhook for events on the client's messages and on trees that it began; a trusted client gets all
    events.
    """
    _count_change(call)
    webhook = webhooks.create(call.client, call.required_body["url"], call.required_body["events"], program=call.client)
    return {**vars(webhook), "secret": webhooks.secret_of(webhook)}


class SwitchQuery(Schema):
    enabled = BooleanField()


@operation(OPERATIONS, "PUT", ONE, KEY, query=SwitchQuery, status=204, unnumbered_statuses=UNKNOWN)
def switch_webhook(call: Call) -> None:
    """Switch a webhook off or on. Events that happen while it is off are not sent later."""
    _count_change(call)
    webhook = webhooks.find(call.client, call.id("webhook_id"))
    webhooks.switch(webhook, on=call.query["enabled"], program=call.client)


@operation(OPERATIONS, "DELETE", ONE, KEY, status=204, unnumbered_statuses=UNKNOWN)
def delete_webhook(call: Call) -> None:
    """Delete a webhook."""
    _count_change(call)
    webhooks.delete(webhooks.find(call.client, call.id("webhook_id")), program=call.client)


@operation(
    OPERATIONS, "POST", f"{ONE}/secret", KEY, answer=WebhookSecretSchema, unnumbered_statuses=UNKNOWN, repeatable=False
)
def rotate_webhook_secret(call: Call) -> Any:
    """Set a new secret. The old one also signs for a day."""
    _count_change(call)
    webhook = webhooks.find(call.client, call.id("webhook_id"))
    secret = webhooks.new_secret(webhook, program=call.client)
    return {**vars(webhook), "secret": secret}


@operation(OPERATIONS, "POST", f"{ONE}/ping", KEY, status=202, answer=DeliverySchema, unnumbered_statuses=(404, 409))
def ping_webhook(call: Call) -> Any:
    """Send a test event `ping`. The answer is its delivery, which shows the result."""
    return webhooks.ping(webhooks.find(call.client, call.id("webhook_id")))


class DeliveriesQuery(Schema):
    status = DeliveryStatus(default=None)
    max_count = IntegerField(default=100, min_value=1, max_value=1000)


@operation(
    OPERATIONS,
    "GET",
    f"{ONE}/deliveries",
    KEY,
    query=DeliveriesQuery,
    answer=[DeliverySchema],
    unnumbered_statuses=UNKNOWN,
)
def list_deliveries(call: Call) -> Any:
    """The deliveries of the last month and those that wait, newest first."""
    deliveries = webhooks.find(call.client, call.id("webhook_id")).deliveries.order_by("-pk")
    if call.query["status"]:
        deliveries = deliveries.filter(status=call.query["status"])
    return deliveries[: call.query["max_count"]]
