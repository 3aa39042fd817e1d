"""The mode of a review: which modes are possible, and the draw. The policies here are those of one language."""

import random

from tasks.kinds import Kind
from trees.lifecycle.policy import TreePolicy
from trees.models import Review


def draw_mode(kind: Kind, policy: TreePolicy, *, asked: bool) -> Review.Mode:
    """Draw the mode of one review of this kind. `asked` says that the user chose the kind."""
    return Review.Mode.FULL if random.random() < _chance_of_full(kind, policy, asked=asked) else Review.Mode.SIMPLE


def modes_when_asked(kind: Kind, policy: TreePolicy) -> set[Review.Mode]:
    """Return the possible modes of a review whose kind the user chose."""
    full = _chance_of_full(kind, policy, asked=True)
    return {mode for mode, chance in ((Review.Mode.FULL, full), (Review.Mode.SIMPLE, 1 - full)) if chance > 0}


def _chance_of_full(kind: Kind, policy: TreePolicy, *, asked: bool) -> float:
    if kind == Kind.LABEL_INITIAL_PROMPT:
        return policy.p_full_labeling_review_prompt
    if asked:
        return 1  # a user who chose to judge replies has the time for it
    if kind == Kind.LABEL_ASSISTANT_REPLY:
        return policy.p_full_labeling_review_reply_assistant
    return policy.p_full_labeling_review_reply_prompter
