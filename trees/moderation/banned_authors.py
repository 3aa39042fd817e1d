"""The waiting prompts of banned authors: stopped while the ban lasts. The ban itself: `trees.moderation.bans`.

A prompt that waits for reviewers or for the lottery takes up room among those of its language. While its author is
banned it would never grow, so its tree is stopped, and goes on when the author may take part again. A prompt that is
sent in the same instant as the ban may be passed by; the lottery does not draw it and has it stopped.
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
    """Stop the waiting prompts of a banned person, or let those go on that a ban had stopped. Returns how many moved.

    One transaction a tree; safe to run twice, and whichever of two runs is later sees how the person stands now.
    """
    return sum(_follow(tree_id, person_id, policy) for tree_id in _to_look_at(person_id))


def _to_look_at(person_id: UUID) -> list[UUID]:
    """The trees of this person's prompts that a ban or its end may move."""
    states = [*(state.value for state in WAITING), State.HALTED_BY_MODERATOR.value]
    mine = MessageTree.objects.filter(state__in=states, messages__parent=None, messages__author=person_id)
    return list(mine.order_by("pk").values_list("pk", flat=True))


def _follow(tree_id: UUID, person_id: UUID, policy: TreePolicy) -> bool:
    with transaction.atomic(durable=True):
        locked = lock_tree(tree_id, policy)
        banned = not User.objects.values_list("enabled", flat=True).get(pk=person_id)
        if banned and locked.state in WAITING:
            transitions.halt(locked, reason=transitions.AUTHOR_BANNED)
        elif not go_on_after_ban(locked):
            return False
        transitions.advance(locked)
        return True


def go_on_after_ban(locked: LockedTree) -> bool:
    """Let a tree go on that only the ban of its author had stopped, once the author and the prompt are both back,
    whichever came first. Returns whether it did. The caller goes on to `transitions.advance`.
    """
    if locked.root.deleted or not transitions.was_stopped_by_ban(locked) or _is_author_banned(locked):
        return False
    transitions.resume(locked, reason=AUTHOR_BACK)
    return True


def resume(locked: LockedTree, *, reason: str, actor: User | None) -> None:
    """Let a stopped tree go on, unless its prompt would wait while its author is banned: that stops it again, until the
    author is back. The caller goes on to `transitions.advance`.
    """
    transitions.resume(locked, reason=reason, actor=actor)
    if locked.state in WAITING and _is_author_banned(locked):
        transitions.halt(locked, reason=transitions.AUTHOR_BANNED)


def _is_author_banned(locked: LockedTree) -> bool:
    author = locked.root.author_id
    return author is not None and not User.objects.filter(pk=author, enabled=True).exists()
