"""Tasks as clients get them: the declared shape of each kind, and what fills it."""

from typing import Any

from rest_framework import serializers

from oasst.accounts.models import ApiClient, User
from oasst.api.fields import Choice, Constant, Flag, Id, Shape, Text
from tasks.kinds import TABLE, Kind
from tasks.models import Task
from trees.api.labels import LabelDescription, LabelName, described
from trees.api.reading import BrokenConversation, conversation_of
from trees.api.schemas import Conversation, ConversationMessage, read_path, read_these
from trees.contributing.reviews import labels_asked
from trees.hot import MessageRow
from trees.lifecycle.policy import TreePolicy
from trees.models import Review


class TaskShape(Shape):
    id = Id()


class InitialPromptTask(TaskShape):
    """Begin a conversation."""

    type = Constant(Kind.INITIAL_PROMPT)
    hint = Text(allow_null=True)


class PrompterReplyTask(TaskShape):
    """Go on as the person who asks."""

    type = Constant(Kind.PROMPTER_REPLY)
    conversation = Conversation()
    hint = Text(allow_null=True)


class AssistantReplyTask(TaskShape):
    """Answer as the assistant."""

    type = Constant(Kind.ASSISTANT_REPLY)
    conversation = Conversation()


class RankingTask(TaskShape):
    conversation = Conversation()
    replies = serializers.ListField(child=Text(), help_text="The texts of reply_messages; kept for older clients.")
    reply_messages = ConversationMessage(many=True)
    message_tree_id = Id()
    ranking_parent_id = Id()
    reveal_synthetic = Flag()


class RankPrompterRepliesTask(RankingTask):
    """Order what was said next to an answer of the assistant."""

    type = Constant(Kind.RANK_PROMPTER_REPLIES)


class RankAssistantRepliesTask(RankingTask):
    """Order answers of the assistant."""

    type = Constant(Kind.RANK_ASSISTANT_REPLIES)


class LabelTask(TaskShape):
    message_id = Id()
    valid_labels = serializers.ListField(child=LabelName())
    mandatory_labels = serializers.ListField(child=LabelName())
    mode = Choice(Review.Mode.values, called="ReviewMode")
    disposition = Choice(("quality", "spam"), called="Disposition")
    labels = LabelDescription(many=True)
    conversation = Conversation()


class LabelInitialPromptTask(LabelTask):
    """Label the first message of a conversation."""

    type = Constant(Kind.LABEL_INITIAL_PROMPT)
    prompt = Text(help_text="The text to label; kept for older clients.")


class LabelPrompterReplyTask(LabelTask):
    """Label a later message of the person who asks."""

    type = Constant(Kind.LABEL_PROMPTER_REPLY)
    reply = Text(help_text="The text to label; kept for older clients.")


class LabelAssistantReplyTask(LabelTask):
    """Label an answer of the assistant."""

    type = Constant(Kind.LABEL_ASSISTANT_REPLY)
    reply = Text(help_text="The text to label; kept for older clients.")


class AnyTask(Shape):
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


class TaskDone(TaskShape):
    """What an answer is answered with."""

    type = Constant("task_done")


def payload(task: Task, client: ApiClient, policy: TreePolicy) -> dict[str, Any]:
    """The task as its kind shows it. One statement, two for a ranking.

    Raises BrokenConversation if something above the message went between handing out and reading.
    """
    kind = Kind(task.kind)
    found: dict[str, Any] = {"id": task.pk, "type": kind.value}
    if kind in (Kind.INITIAL_PROMPT, Kind.PROMPTER_REPLY):
        found["hint"] = None
    if task.message_id is None:
        return found
    path = read_path(task.message_id, client, task.user)
    _refuse_hidden(path)
    found["conversation"] = conversation_of(path)
    answer = TABLE[kind].answer
    if answer == "labels":
        found |= _labelling(task, path[-1], policy)
    elif answer == "ranking":
        found |= _ranking(task, path[-1], client, task.user)
    return found


def _refuse_hidden(shown: list[MessageRow]) -> None:
    """Whoever still holds the task of something that was hidden meanwhile is not shown it, by no program."""
    if any(row.hidden for row in shown):
        raise BrokenConversation("This message is hidden until a moderator has looked at it.")


def _labelling(task: Task, about: MessageRow, policy: TreePolicy) -> dict[str, Any]:
    assert task.message is not None
    names = labels_asked(task.message, task.mode, policy)
    is_full = task.mode == Review.Mode.FULL
    return {
        "message_id": about.id,
        "valid_labels": list(names),
        "mandatory_labels": list(policy.mandatory_labels),
        "mode": task.mode,
        "disposition": "quality" if is_full else "spam",
        "labels": described(names),
        "prompt" if about.parent_id is None else "reply": about.text,
    }


def _ranking(task: Task, parent: MessageRow, client: ApiClient, viewer: User) -> dict[str, Any]:
    replies = read_these(task.reply_ids, client, viewer)
    shown = [replies[reply_id] for reply_id in task.reply_ids]
    _refuse_hidden(shown)
    # Who ranks a mixed list must not know which replies a model wrote.
    reveal = all(row.synthetic for row in shown)
    return {
        "replies": [row.text for row in shown],
        "reply_messages": [row if reveal else row._replace(synthetic=None) for row in shown],
        "message_tree_id": parent.tree_id,
        "ranking_parent_id": parent.id,
        "reveal_synthetic": reveal,
    }
