"""Operations on the webhooks of the calling API client."""

from typing import Any

from rest_framework import serializers

from oasst.api.fields import Choice, Constant, Few, Flag, Id, Moment, Shape, Text, Whole
from oasst.api.operations import Access, Call, Operation, operation
from oasst.core import ratelimit
from trees.api.schemas import StateName
from trees.models import Delivery
from trees.outbox import webhooks

OPERATIONS: list[Operation] = []
KEY = Access.PROGRAM
ONE = "webhooks/<webhook_id>"
NONE_SUCH = (404,)


class EventName(Choice):
    """What a webhook can be told of."""

    def __init__(self) -> None:
        super().__init__(webhooks.EVENTS.values(), called="WebhookEvent")


class WebhookShape(Shape):
    """An address that is told what happens. `enabled` goes off by itself after days without success."""

    id = Id()
    url = Text()
    events = serializers.ListField(child=EventName(), help_text="Of which events; none named means all.")
    enabled = Flag()
    switched_off_date = Moment(allow_null=True, source="switched_off_at")
    switched_off_why = Text()
    failures = Whole(help_text="Tries that failed since the last that went well.")
    created_date = Moment(source="created_at")


class SecretShape(WebhookShape):
    secret = Text(help_text="Signs what is sent, after standardwebhooks.com. Told only now.")


class DeliveryStatus(Choice):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(Delivery.Status.values, called="DeliveryStatus", **kwargs)


class DeliveryShape(Shape):
    """One event for one webhook. Its `id` is the header webhook-id: drop what you have had."""

    id = Id()
    type = Choice((*webhooks.EVENTS.values(), webhooks.PING), source="event")
    status = DeliveryStatus()
    attempts = Whole()
    created_date = Moment(source="created_at")
    due_date = Moment(allow_null=True, source="next_try_at")
    ended_date = Moment(allow_null=True, source="ended_at")
    answer_status = Whole(allow_null=True)
    error = Text()
    body = Text()


# --- What is sent ---


class MessageFacts(Shape):
    message_tree_id = Id()
    message_id = Id(required=False, help_text="Absent when the message is gone for good.")
    frontend_message_id = Text(
        required=False, allow_null=True, help_text="Null for a message of another client; absent when it is gone."
    )


class TreeFacts(Shape):
    message_tree_id = Id()


class MoveFacts(TreeFacts):
    state_before = StateName()
    state = StateName()


class NoFacts(Shape):
    """Nothing."""


class EventShape(Shape):
    id = Id(help_text="The header webhook-id says the same: drop what you have had.")
    timestamp = Moment()
    sequence = Whole(allow_null=True, help_text="Grows with the facts; null for a ping.")


def _event(name: str, words: str, facts: type[Shape]) -> type[Shape]:
    """`message.posted` is the shape `MessagePosted`."""
    called = "".join(part.capitalize() for part in name.split("."))
    made: type[Shape] = type(called, (EventShape,), {"__doc__": words, "type": Constant(name), "data": facts()})
    return made


class AnyEvent(Shape):
    """What a webhook is sent, by its `type`."""

    one_of = (
        _event("message.posted", "Somebody wrote a message.", MessageFacts),
        _event("message.accepted", "Reviewers took a message.", MessageFacts),
        _event("message.rejected", "Reviewers refused a message.", MessageFacts),
        _event("message.reopened", "A message is reviewed again.", MessageFacts),
        _event("message.edited", "A message has another text.", MessageFacts),
        _event("message.deleted", "A message was deleted, or is hidden for now.", MessageFacts),
        _event("message.restored", "A message is back.", MessageFacts),
        _event("tree.moved", "A message tree is in another state.", MoveFacts),
        _event("tree.imported", "A message tree came from a file.", TreeFacts),
        _event(webhooks.PING, "Means nothing.", NoFacts),
    )


# --- Operations ---


def _spend(call: Call) -> None:
    ratelimit.spend(ratelimit.WEBHOOK_CHANGES, call.client.pk)


@operation(OPERATIONS, "GET", "webhooks", KEY, answer=[WebhookShape])
def list_webhooks(call: Call) -> Any:
    """The webhooks of the calling client."""
    return call.client.webhooks.order_by("pk")


class NewWebhook(Shape):
    url = Text(max_length=500, help_text="https, on the public internet.")
    events = Few(child=EventName(), default=list)


@operation(
    OPERATIONS,
    "POST",
    "webhooks",
    KEY,
    body=NewWebhook,
    answer=SecretShape,
    status=201,
    plain=(409,),
    repeatable=False,  # a secret is not kept in the clear
)
def create_webhook(call: Call) -> Any:
    """Be told at an address what happens to the messages of the client and to trees that it began; all for a trusted
    one.
    """
    _spend(call)
    made = webhooks.create(call.client, call.given["url"], call.given["events"])
    return {**vars(made), "secret": webhooks.secret_of(made)}


class SwitchQuery(Shape):
    enabled = Flag()


@operation(OPERATIONS, "PUT", ONE, KEY, query=SwitchQuery, status=204, plain=NONE_SUCH)
def switch_webhook(call: Call) -> None:
    """Switch a webhook off, or on again. What happened while it was off is not told."""
    _spend(call)
    webhooks.switch(webhooks.find(call.client, call.id("webhook_id")), on=call.query["enabled"])


@operation(OPERATIONS, "DELETE", ONE, KEY, status=204, plain=NONE_SUCH)
def delete_webhook(call: Call) -> None:
    """Be told nothing more."""
    _spend(call)
    webhooks.delete(webhooks.find(call.client, call.id("webhook_id")))


@operation(OPERATIONS, "POST", f"{ONE}/secret", KEY, answer=SecretShape, plain=NONE_SUCH, repeatable=False)
def rotate_webhook_secret(call: Call) -> Any:
    """Another secret. The one before signs along for a day."""
    _spend(call)
    found = webhooks.find(call.client, call.id("webhook_id"))
    secret = webhooks.new_secret(found)
    return {**vars(found), "secret": secret}


@operation(OPERATIONS, "POST", f"{ONE}/ping", KEY, status=202, answer=DeliveryShape, plain=(404, 409))
def ping_webhook(call: Call) -> Any:
    """Send an event `ping`, which means nothing. Its delivery tells what became of it."""
    return webhooks.ping(webhooks.find(call.client, call.id("webhook_id")))


class DeliveriesQuery(Shape):
    status = DeliveryStatus(default=None)
    max_count = Whole(default=100, min_value=1, max_value=1000)


@operation(
    OPERATIONS,
    "GET",
    f"{ONE}/deliveries",
    KEY,
    query=DeliveriesQuery,
    answer=[DeliveryShape],
    plain=NONE_SUCH,
)
def list_deliveries(call: Call) -> Any:
    """What was sent in the last month and what waits, newest first."""
    found = webhooks.find(call.client, call.id("webhook_id")).deliveries.order_by("-pk")
    if call.query["status"]:
        found = found.filter(status=call.query["status"])
    return found[: call.query["max_count"]]
