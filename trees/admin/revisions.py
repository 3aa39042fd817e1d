"""The texts that a message had, each beside the one before."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice, pairwise

from oasst.core.text.diff import Piece, side_by_side, word_diff
from trees.models import Revision

MOST_CHANGES = 10
"""Changes that are compared word by word: the latest ones."""


@dataclass(frozen=True)
class Change:
    before: Revision
    after: Revision
    old: list[Piece]
    new: list[Piece]


def changes_of(revisions: Sequence[Revision]) -> list[Change]:
    """Return what each edit changed, the latest first."""
    pairs = pairwise(reversed(revisions))
    return [
        Change(before, after, *side_by_side(word_diff(before.text, after.text)))
        for after, before in islice(pairs, MOST_CHANGES)
    ]
