"""What clients may answer: four shapes told apart by `type`, and by their members when that is missing."""

from typing import Any
from uuid import UUID

from rest_framework import serializers

from oasst.accounts import identities
from oasst.accounts.models import ApiClient, User
from oasst.api.fields import ByName, Constant, Few, Flag, Id, Language, Number, Shape, Text, Whole, as_object
from oasst.api.people import Person
from oasst.core.errors import Invalid
from tasks import client_tasks, submission
from tasks.kinds import Kind
from tasks.models import Task
from trees.contributing import client_feedback
from trees.labels import LABELS
from trees.lifecycle.policy import current_policy
from trees.moderation import client_actions

_LONGEST_NAME = 100


class Labels(ByName):
    """Label → number from 0 to 1."""

    default_error_messages = {"type_error.enum": "{name} is not a label"}

    def __init__(self) -> None:
        super().__init__(LABELS, child=Number(min_value=0, max_value=1))

    def to_internal_value(self, data: Any) -> Any:
        data = as_object(data)  # the website's reports send an empty list
        for name in data:  # names first: there may be a million of them, and each value is looked at
            if name not in LABELS:
                name = name[:_LONGEST_NAME]
                raise serializers.ValidationError({name: [f"{name!r} is not a label"]}, code="type_error.enum")
        found: dict[str, float] = super().to_internal_value(data)
        return found


class Interaction(Shape):
    user = Person()


class TextReply(Interaction):
    """A text that was written for a task."""

    type = Constant("text_reply_to_message")
    message_id = Text()
    user_message_id = Text()
    text = Text(allow_blank=False)
    lang = Language(default=None, allow_null=True)


class Rating(Interaction):
    """A number. No kind of task asks for one."""

    type = Constant("message_rating")
    message_id = Text()
    rating = Whole(min_value=1)


class RankingAnswer(Interaction):
    type = Constant("message_ranking")
    message_id = Text()
    ranking = Few(child=Whole(), allow_empty=False, help_text="Places in `reply_messages` from 0 on, the best first.")
    not_rankable = Flag(default=None, allow_null=True)


class Labelling(Interaction):
    """Labels for a message: for the task that is named, else free ones or a report."""

    message_id = Id()
    task_id = Id(default=None, allow_null=True)
    text = Text(max_length=client_actions.LONGEST_EDIT)
    labels = Labels()
    is_report = Flag(default=None, allow_null=True)


class TextLabels(Labelling):
    type = Constant("text_labels")


SHAPES: tuple[type[Interaction], ...] = (TextReply, Rating, RankingAnswer, TextLabels)
"""In the order in which they are tried when `type` is missing."""
_SHARED = {kind.constant("type"): kind() for kind in SHAPES}


class AnyInteraction(Shape):
    """What somebody answers to a task, by its `type`."""

    one_of = SHAPES

    def run_validation(self, data: Any = serializers.empty) -> Any:
        data = as_object(data)
        given = data.get("type")
        if isinstance(given, str) and given in _SHARED:
            return _SHARED[given].run_validation(data)
        problems: list[serializers.ValidationError] = []
        for name, shape in _SHARED.items() if given is None else ():
            try:
                return shape.run_validation({"type": name, **data})
            except serializers.ValidationError as error:
                problems.append(error)
        if not problems:
            permitted = ", ".join(_SHARED)
            raise serializers.ValidationError({"type": [f"permitted: {permitted}"]}, code="value_error.const")
        raise serializers.ValidationError(_merged([error.detail for error in problems]))


def _merged(details: list[Any]) -> Any:
    """The problems of all shapes, each place once for each that complains about it."""
    if not all(isinstance(detail, dict) for detail in details):
        return details[0]
    names = dict.fromkeys(name for detail in details for name in detail)
    return {name: next(detail[name] for detail in details if name in detail) for name in names}


# --- What they do ---


def take(body: dict[str, Any], client: ApiClient) -> None:
    """Store an answer of any shape. Raises what the services raise."""
    user = identities.speak_for(client, body["user"])
    _TAKERS[body["type"]](body, client, user)


def take_labels(body: dict[str, Any], client: ApiClient, user: User) -> None:
    """An answer to a task if one is named, else free labels or a report."""
    if body["task_id"] is None:
        _label_freely(body, client, user)
        return
    task = client_tasks.find_task(client, body["task_id"])

    def submit(task_id: UUID) -> Task:
        # Checked for prompts only: clients of the wire may send anything for replies.
        if task.kind == Kind.LABEL_INITIAL_PROMPT and body["message_id"] != task.message_id:
            raise Invalid("This is not the message of the task.", code="wrong_message")
        return submission.submit_labels(task_id=task_id, user=user, labels=body["labels"], policy=current_policy())

    client_tasks.answer(task, user, "labels", submit)


def _label_freely(body: dict[str, Any], client: ApiClient, user: User) -> None:
    said = body["labels"], body["text"]
    client_feedback.label_freely(body["message_id"], client, user, *said, is_report=bool(body["is_report"]))


def _take_text(body: dict[str, Any], client: ApiClient, user: User) -> None:
    if not body["user_message_id"]:
        raise Invalid("user_message_id must not be empty.", code="frontend_id_empty")
    task = client_tasks.find_acknowledged(client, body["message_id"])
    if len(body["user_message_id"]) > client_tasks.LONGEST_ID:
        raise Invalid(f"user_message_id has at most {client_tasks.LONGEST_ID} characters.", code="frontend_id_long")
    client_tasks.answer(
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


def _take_ranking(body: dict[str, Any], client: ApiClient, user: User) -> None:
    task = client_tasks.find_acknowledged(client, body["message_id"])

    def submit(task_id: UUID) -> Task:
        order = body["ranking"]
        if sorted(order) != list(range(len(task.reply_ids))):
            raise Invalid(
                f"The ranking must name each of the places 0 to {len(task.reply_ids) - 1} once.",
                code="ranking_incomplete",
            )
        return submission.submit_ranking(
            task_id=task_id,
            user=user,
            ordered_ids=[task.reply_ids[place] for place in order],
            not_rankable=bool(body["not_rankable"]),
            policy=current_policy(),
        )

    client_tasks.answer(task, user, "ranking", submit)


def _take_rating(body: dict[str, Any], client: ApiClient, user: User) -> None:
    """No kind of task asks for a number, so this names what is wrong with it."""

    def submit(task_id: UUID) -> Task:
        raise AssertionError("no kind of task is answered with a rating")

    client_tasks.answer(client_tasks.find_acknowledged(client, body["message_id"]), user, "rating", submit)


_TAKERS = {
    "text_reply_to_message": _take_text,
    "message_rating": _take_rating,
    "message_ranking": _take_ranking,
    "text_labels": take_labels,
}
