"""Work for the tests of task pages: the data that a kind of task needs, made by other people through the services."""

from dataclasses import replace

from tasks.kinds import Kind
from tests.factories import decide, growing_tree, new_people, new_person, new_prompt, new_reply
from trees.lifecycle.states import State
from trees.models import Message, MessageTree
from trees.policies.reading import current_policy

EVERY_KIND = (
    Kind.INITIAL_PROMPT,
    Kind.ASSISTANT_REPLY,
    Kind.PROMPTER_REPLY,
    Kind.LABEL_INITIAL_PROMPT,
    Kind.LABEL_ASSISTANT_REPLY,
    Kind.LABEL_PROMPTER_REPLY,
    Kind.RANK_ASSISTANT_REPLIES,
)
"""The kinds that the default policy hands out."""


def make_work(kind: Kind) -> Message | None:
    """Make one task of this kind possible. Return the message that it will be about; None for a new prompt."""
    policy = current_policy()
    match kind:
        case Kind.INITIAL_PROMPT:
            return None
        case Kind.LABEL_INITIAL_PROMPT:
            return new_prompt(new_person("Writer"), policy=policy)
        case Kind.ASSISTANT_REPLY:
            return growing_tree(new_person("Writer"), policy)
        case Kind.LABEL_ASSISTANT_REPLY:
            return new_reply(growing_tree(new_person("Writer"), policy), new_person("Answerer"), policy=policy)
        case Kind.PROMPTER_REPLY:
            return _accepted_reply()
        case Kind.LABEL_PROMPTER_REPLY:
            return new_reply(_accepted_reply(), new_person("Asker"), policy=policy)
        case _:
            return make_ranking(("Knead it for ten minutes.", "Let it rest over night.", "Use a hot oven."))


def _accepted_reply() -> Message:
    policy = current_policy()
    reply = new_reply(growing_tree(new_person("Writer"), policy), new_person("Answerer"), policy=policy)
    decide(reply, policy=policy)
    reply.refresh_from_db()
    return reply


def make_ranking(texts: tuple[str, ...]) -> Message:
    """Return a prompt whose replies, with these texts, wait to be ranked."""
    # A tree copies its sizes when it is made, so they need not be those of the site.
    sizes = {"goal_tree_size": 1 + len(texts), "max_children_count": len(texts), "max_tree_depth": 1}
    policy = replace(current_policy(), **sizes)
    root = growing_tree(new_person("Writer"), policy)
    for text, person in zip(texts, new_people(len(texts)), strict=True):
        reply = new_reply(root, person, text, policy=policy)
        decide(reply, policy=policy)
    assert MessageTree.objects.get(pk=root.tree_id).state == State.RANKING
    return root
