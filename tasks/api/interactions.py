"""Answers of API clients: four schemas, told apart by `type`, or by their members when `type` is missing."""

from typing import Any
from uuid import UUID

from rest_framework import serializers

from oasst.accounts import identities
from oasst.accounts.models import ApiClient, User
from oasst.api.fields import (
    BooleanField,
    BoundedList,
    ConstantField,
    FloatField,
    IntegerField,
    LanguageTagField,
    OptionalMembersField,
    Schema,
    TextField,
    UUIDField,
    to_mapping,
)
from oasst.api.people import Person
from oasst.core.errors import Invalid
from tasks import client_tasks, submission
from tasks.kinds import Kind
from tasks.models import Task
from trees.contributing import client_feedback
from trees.labels import LABELS
from trees.moderation import client_actions
from trees.policies.reading import current_policy

_LONGEST_NAME = 100


class Labels(OptionalMembersField):
    """Label → number from 0 to 1."""

    default_error_messages = {"type_error.enum": "{name} is not a label"}

    def __init__(self) -> None:
        super().__init__(LABELS, child=FloatField(min_value=0, max_value=1))

    def to_internal_value(self, data: Any) -> Any:
        data = to_mapping(data)  # the website's reports send an empty list
        for name in data:  # names first: a hostile body may have a million of them, each with a value to validate
            if name not in LABELS:
                name = name[:_LONGEST_NAME]
                raise serializers.ValidationError({name: [f"{name!r} is not a label"]}, code="type_error.enum")
        return super().to_internal_value(data)


class Interaction(Schema):
    user = Person()


class TextReply(Interaction):
    """A text written for a task."""

    type = ConstantField("text_reply_to_message")
    message_id = TextField()
    user_message_id = TextField()
    text = TextField(allow_blank=False)
    lang = LanguageTagField(default=None, allow_null=True)


class Rating(Interaction):
    """A number. No kind of task asks for one yet."""

    type = ConstantField("message_rating")
    message_id = TextField()
    rating = IntegerField(min_value=1)


class RankingAnswer(Interaction):
    type = ConstantField("message_ranking")
    message_id = TextField()
    ranking = BoundedList(
        child=IntegerField(), allow_empty=False, help_text="Positions in `reply_messages`, from 0, the best first."
    )
    not_rankable = BooleanField(default=None, allow_null=True)


class Labelling(Interaction):
    """Labels for a message: the answer to the named task; without a task, free labels or a report."""

    message_id = UUIDField()
    task_id = UUIDField(default=None, allow_null=True)
    text = TextField(max_length=client_actions.LONGEST_EDIT)
    labels = Labels()
    is_report = BooleanField(default=None, allow_null=True)


class TextLabels(Labelling):
    type = ConstantField("text_labels")


INTERACTION_SCHEMAS: tuple[type[Interaction], ...] = (TextReply, Rating, RankingAnswer, TextLabels)
"""In the order in which they are tried when `type` is missing."""
_SCHEMAS = {schema.constant("type"): schema() for schema in INTERACTION_SCHEMAS}


class AnyInteraction(Schema):
    """The answer to a task, by its `type`."""

    one_of = INTERACTION_SCHEMAS

    def run_validation(self, data: Any = serializers.empty) -> Any:
        data = to_mapping(data)
        requested = data.get("type")
        if isinstance(requested, str) and requested in _SCHEMAS:
            return _SCHEMAS[requested].run_validation(data)
        details: list[Any] = []
        for name, schema in _SCHEMAS.items() if requested is None else ():
            try:
                return schema.run_validation({"type": name, **data})
            except serializers.ValidationError as error:
                details.append(error.detail)
        if not details:
            permitted = ", ".join(_SCHEMAS)
            raise serializers.ValidationError({"type": [f"permitted: {permitted}"]}, code="value_error.const")
        raise serializers.ValidationError(_merged(details))


def _merged(details: list[Any]) -> Any:
    """Return the first complaint about each member, over the errors of all schemas."""
    if not all(isinstance(detail, dict) for detail in details):
        return details[0]
    names = dict.fromkeys(name for detail in details for name in detail)
    return {name: next(detail[name] for detail in details if name in detail) for name in names}


# --- Storing them ---


def store_interaction(body: dict[str, Any], client: ApiClient) -> None:
    """Store an answer of any type. Raise what the services raise."""
    _HANDLERS[body["type"]](body, client, identities.person_of_body(client, body["user"]))


def store_labels(body: dict[str, Any], client: ApiClient, user: User) -> None:
    """Store labels: as the answer to the named task; without a task, as free labels or a report."""
    if body["task_id"] is None:
        is_report = bool(body["is_report"])
        client_feedback.submit_free_labels(
            body["message_id"], client, user, body["labels"], body["text"], is_report=is_report
        )
        return
    task = client_tasks.find_task(client, body["task_id"])

    def submit(task_id: UUID) -> Task:
        # Checked for prompts only: existing clients send any message id for replies.
        if task.kind == Kind.LABEL_INITIAL_PROMPT and body["message_id"] != task.message_id:
            raise Invalid("This is not the message of the task.", code="wrong_message")
        return submission.submit_labels(task_id=task_id, user=user, labels=body["labels"], policy=current_policy())

    client_tasks.submit_answer(task, user, "labels", submit)


def _store_text(body: dict[str, Any], client: ApiClient, user: User) -> None:
    if not body["user_message_id"]:
        raise Invalid("user_message_id must not be empty.", code="frontend_id_empty")
    task = client_tasks.find_acknowledged(client, body["message_id"])
    if len(body["user_message_id"]) > client_tasks.MAX_ID_LENGTH:
        raise Invalid(f"user_message_id has at most {client_tasks.MAX_ID_LENGTH} characters.", code="frontend_id_long")
    client_tasks.submit_answer(
        task,
        user,
        "text",
        lambda task_id: submission.submit_text(
            task_id=task_id,
            user=user,
            text=body["text"],
            lang=body["lang"],
            frontend_message_id=body["user_message_id"],
            policy=current_policy(),
        ),
    )


def _store_ranking(body: dict[str, Any], client: ApiClient, user: User) -> None:
    task = client_tasks.find_acknowledged(client, body["message_id"])

    def submit(task_id: UUID) -> Task:
        order = body["ranking"]
        if sorted(order) != list(range(len(task.reply_ids))):
            raise Invalid(
                f"The ranking must name each of the positions 0 to {len(task.reply_ids) - 1} once.",
                code="ranking_incomplete",
            )
        return submission.submit_ranking(
            task_id=task_id,
            user=user,
            ordered_ids=[task.reply_ids[position] for position in order],
            not_rankable=bool(body["not_rankable"]),
            policy=current_policy(),
        )

    client_tasks.submit_answer(task, user, "ranking", submit)


def _store_rating(body: dict[str, Any], client: ApiClient, user: User) -> None:
    """Raise the error that says why this task cannot be answered with a number: no kind of task can."""

    def submit(task_id: UUID) -> Task:
        raise AssertionError("no kind of task is answered with a rating")

    client_tasks.submit_answer(client_tasks.find_acknowledged(client, body["message_id"]), user, "rating", submit)


_HANDLERS = {
    "text_reply_to_message": _store_text,
    "message_rating": _store_rating,
    "message_ranking": _store_ranking,
    "text_labels": store_labels,
}
