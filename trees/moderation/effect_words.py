"""What authors are told of an act of a moderator: the sentence for each effect, in the language of the reader."""

from django.utils.translation import gettext

from trees.models import Message
from trees.moderation.telling import Effect


def sentence_of(effect: str, message: Message | None) -> str:
    """Return what became of this message, said to its author; general where the message is gone or not known."""
    prompt, reply = _sentences().get(effect, _both(gettext("A moderator decided about a text of yours.")))
    return prompt if message is not None and message.parent_id is None else reply


def _sentences() -> dict[str, tuple[str, str]]:
    """Return effect → the sentence about a prompt, and about a reply."""
    return {
        Effect.DELETED: (
            gettext("A moderator removed your prompt, and with it its conversation."),
            gettext("A moderator removed your reply."),
        ),
        Effect.DELETED_WITH: (
            gettext("Your text was removed, because a moderator removed a message above it."),
            gettext("Your reply was removed, because a moderator removed a message above it."),
        ),
        Effect.RESTORED: (
            gettext("A moderator brought your prompt back."),
            gettext("A moderator brought your reply back."),
        ),
        Effect.HIDDEN: (
            gettext("Your prompt is hidden. Only moderators can read it."),
            gettext("Your reply is hidden. Only moderators can read it."),
        ),
        Effect.SHOWN: (
            gettext("A moderator looked at your prompt, and everybody can read it again."),
            gettext("A moderator looked at your reply, and everybody can read it again."),
        ),
        Effect.EDITED: (
            gettext("A moderator changed the text of your prompt."),
            gettext("A moderator changed the text of your reply."),
        ),
        Effect.STOPPED: _both(gettext("The conversation that you began was stopped. Nobody is asked to go on.")),
        Effect.RESUMED: _both(gettext("The conversation that you began goes on.")),
        Effect.MOVED: _both(gettext("A moderator moved the conversation that you began to another language.")),
        Effect.UNDONE: _both(
            gettext("A moderator took back what we told you about your text: it is as it was before.")
        ),
    }


def _both(sentence: str) -> tuple[str, str]:
    return sentence, sentence
