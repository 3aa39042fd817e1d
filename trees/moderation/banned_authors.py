"""The waiting prompts of banned authors: halted during the ban. The ban itself is in `trees.moderation.bans`.

A prompt that waits for reviewers or the lottery counts towards the limit of its language, but would never grow during
the ban. A prompt submitted at the moment of the ban may be missed; the lottery does not draw it and has it halted.
"""

from uuid import UUID

from django.db import transaction

from oasst.accounts.models import User
from trees.lifecycle import transitions
from trees.lifecycle.locked_tree import LockedTree, lock_tree
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import MessageTree

AUTHOR_BACK = "Its author may take part again."
WAITING = (State.INITIAL_PROMPT_REVIEW, State.PROMPT_LOTTERY_WAITING)


def stop_or_resume_prompts(*, person_id: UUID, policy: TreePolicy) -> int:
    """Halt the waiting prompts of a banned user, or resume those that a ban had halted. Return how many moved. One
    transaction per tree; safe to run twice: the later run uses the user's present state.
    """
    return sum(_halt_or_resume(tree_id, person_id, policy) for tree_id in _affected_trees(person_id))


def _affected_trees(person_id: UUID) -> list[UUID]:
    """Return the trees of this user's prompts that a ban or its end may move."""
    states = [*(state.value for state in WAITING), State.HALTED_BY_MODERATOR.value]
    trees = MessageTree.objects.filter(state__in=states, messages__parent=None, messages__author=person_id)
    return list(trees.order_by("pk").values_list("pk", flat=True))


def _halt_or_resume(tree_id: UUID, person_id: UUID, policy: TreePolicy) -> bool:
    with transaction.atomic(durable=True):
        locked = lock_tree(tree_id, policy)
        banned = not User.objects.values_list("enabled", flat=True).get(pk=person_id)
        if banned and locked.state in WAITING:
            transitions.halt(locked, reason=transitions.AUTHOR_BANNED)
        elif not resume_after_ban(locked):
            return False
        transitions.advance(locked)
        return True


def resume_after_ban(locked: LockedTree) -> bool:
    """Resume a tree halted only by its author's ban once author and prompt are back. Return True if it did. The caller
    goes on to `transitions.advance`.
    """
    by_ban = transitions.halted_because(locked, transitions.AUTHOR_BANNED)
    if locked.root.deleted or not by_ban or _is_author_banned(locked):
        return False
    transitions.resume(locked, reason=AUTHOR_BACK)
    return True


def resume(locked: LockedTree, *, reason: str, actor: User | None) -> None:
    """Resume a halted tree, or halt it again if its prompt would wait while its author is banned. The caller goes on to
    `transitions.advance`.
    """
    transitions.resume(locked, reason=reason, actor=actor)
    if locked.state in WAITING and _is_author_banned(locked):
        transitions.halt(locked, reason=transitions.AUTHOR_BANNED)


def _is_author_banned(locked: LockedTree) -> bool:
    author = locked.root.author_id
    return author is not None and not User.objects.filter(pk=author, enabled=True).exists()
