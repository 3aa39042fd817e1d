"""Tasks as API clients get them: the schema of each kind, and the data for it."""

from typing import Any

from rest_framework import serializers

from oasst.accounts.models import ApiClient, User
from oasst.api.fields import BooleanField, ChoiceField, ConstantField, Schema, TextField, UUIDField
from tasks.kinds import TABLE, Kind
from tasks.models import Task
from trees.api.labels import LabelDescription, LabelName, described
from trees.api.reading import BrokenConversation, conversation_of
from trees.api.schemas import Conversation, ConversationMessage, read_by_ids, read_path
from trees.contributing.reviews import mandatory_labels, requested_labels
from trees.hot import MessageRow
from trees.lifecycle.policy import TreePolicy
from trees.models import Review


class TaskSchema(Schema):
    id = UUIDField()


class InitialPromptTask(TaskSchema):
    """Begin a conversation."""

    type = ConstantField(Kind.INITIAL_PROMPT)
    hint = TextField(allow_null=True)


class PrompterReplyTask(TaskSchema):
    """Continue as the user."""

    type = ConstantField(Kind.PROMPTER_REPLY)
    conversation = Conversation()
    hint = TextField(allow_null=True)


class AssistantReplyTask(TaskSchema):
    """Answer as the assistant."""

    type = ConstantField(Kind.ASSISTANT_REPLY)
    conversation = Conversation()


class RankingTask(TaskSchema):
    conversation = Conversation()
    replies = serializers.ListField(child=TextField(), help_text="The texts of reply_messages; kept for older clients.")
    reply_messages = ConversationMessage(many=True)
    message_tree_id = UUIDField()
    ranking_parent_id = UUIDField()
    reveal_synthetic = BooleanField()


class RankPrompterRepliesTask(RankingTask):
    """Order the user's replies to an answer of the assistant."""

    type = ConstantField(Kind.RANK_PROMPTER_REPLIES)


class RankAssistantRepliesTask(RankingTask):
    """Order answers of the assistant."""

    type = ConstantField(Kind.RANK_ASSISTANT_REPLIES)


class LabelTask(TaskSchema):
    message_id = UUIDField()
    valid_labels = serializers.ListField(child=LabelName())
    mandatory_labels = serializers.ListField(child=LabelName())
    mode = ChoiceField(Review.Mode.values, called="ReviewMode")
    disposition = ChoiceField(("quality", "spam"), called="Disposition")
    labels = LabelDescription(many=True)
    conversation = Conversation()


class LabelInitialPromptTask(LabelTask):
    """Label the first message of a conversation."""

    type = ConstantField(Kind.LABEL_INITIAL_PROMPT)
    prompt = TextField(help_text="The text to label; kept for older clients.")


class LabelPrompterReplyTask(LabelTask):
    """Label a later message of the user."""

    type = ConstantField(Kind.LABEL_PROMPTER_REPLY)
    reply = TextField(help_text="The text to label; kept for older clients.")


class LabelAssistantReplyTask(LabelTask):
    """Label an answer of the assistant."""

    type = ConstantField(Kind.LABEL_ASSISTANT_REPLY)
    reply = TextField(help_text="The text to label; kept for older clients.")


class AnyTask(Schema):
    """Work for a person, by its `type`."""

    one_of = (
        InitialPromptTask,
        PrompterReplyTask,
        AssistantReplyTask,
        RankPrompterRepliesTask,
        RankAssistantRepliesTask,
        LabelInitialPromptTask,
        LabelPrompterReplyTask,
        LabelAssistantReplyTask,
    )


class TaskDone(TaskSchema):
    """The response to an accepted answer."""

    type = ConstantField("task_done")


def task_payload(task: Task, client: ApiClient, policy: TreePolicy) -> dict[str, Any]:
    """Return the data of the task for the schema of its kind. One statement, two for a ranking.

    Raise BrokenConversation if a message above it was removed or hidden after the task was handed out.
    """
    kind = Kind(task.kind)
    result: dict[str, Any] = {"id": task.pk, "type": kind.value}
    if kind in (Kind.INITIAL_PROMPT, Kind.PROMPTER_REPLY):
        result["hint"] = None
    if task.message_id is None:
        return result
    path = read_path(task.message_id, client, task.user)
    _refuse_hidden(path)
    if task.check_kind:
        # Hardly anybody reacts to a message that waits for reviews, so reactions would tell that this one was decided.
        path[-1] = path[-1]._replace(emojis={}, mine=[])
    result["conversation"] = conversation_of(path)
    answer = TABLE[kind].answer
    if answer == "labels":
        result |= _label_members(task, path[-1], policy)
    elif answer == "ranking":
        result |= _ranking_members(task, path[-1], client, task.user)
    return result


def _refuse_hidden(rows: list[MessageRow]) -> None:
    """Raise BrokenConversation for a hidden message: not even the holder of a task about it may see it now."""
    if any(row.hidden for row in rows):
        raise BrokenConversation("This message is hidden until a moderator has looked at it.")


def _label_members(task: Task, message: MessageRow, policy: TreePolicy) -> dict[str, Any]:
    assert task.message is not None
    names = requested_labels(task.message, task.mode, policy)
    is_full = task.mode == Review.Mode.FULL
    return {
        "message_id": message.id,
        "valid_labels": list(names),
        "mandatory_labels": list(mandatory_labels(task.message, policy)),
        "mode": task.mode,
        "disposition": "quality" if is_full else "spam",
        "labels": described(names),
        "prompt" if message.parent_id is None else "reply": message.text,
    }


def _ranking_members(task: Task, parent: MessageRow, client: ApiClient, viewer: User) -> dict[str, Any]:
    rows = read_by_ids(task.reply_ids, client, viewer)
    replies = [rows[reply_id] for reply_id in task.reply_ids]
    _refuse_hidden(replies)
    # In a list that mixes human and model replies, the ranker must not see which is which.
    reveal = all(row.synthetic for row in replies)
    return {
        "replies": [row.text for row in replies],
        "reply_messages": [row if reveal else row._replace(synthetic=None) for row in replies],
        "message_tree_id": parent.tree_id,
        "ranking_parent_id": parent.id,
        "reveal_synthetic": reveal,
    }
