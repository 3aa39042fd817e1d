"""A small tree that is drawn from the digest of a snapshot, so that each snapshot has one of its own. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, field

LEVELS = 5
ACROSS, DOWN = 74, 26  # from a level to the next, from a leaf to the next
EDGE = 14


@dataclass
class _Node:
    level: int
    y: float = 0.0
    replies: list["_Node"] = field(default_factory=list)


def emblem(digest: str) -> str:
    """Return an SVG element for a SHA-256 in hexadecimal. It is decoration: programs that read aloud skip it."""
    dice = iter(bytes.fromhex(digest) * 4)
    root = _grown(0, dice, is_best=True)
    height = _place(root, 0) * DOWN
    width = (LEVELS - 1) * ACROSS + 2 * EDGE
    shapes = [*_lines(root, is_best=True), *_marks(root, is_best=True)]
    return (
        f'<svg class="emblem" viewBox="0 0 {width} {height}" width="{width}" height="{height}" aria-hidden="true">'
        f"{''.join(shapes)}</svg>"
    )


def _grown(level: int, dice: Iterator[int], is_best: bool) -> _Node:
    """Return a tree in which the best conversation always goes on, as deep as the levels."""
    node = _Node(level)
    if level < LEVELS - 1:
        drawn = next(dice)
        number = (3 if level == 0 else 1 + drawn % 3) if level % 2 == 0 else drawn % 2
        node.replies = [_grown(level + 1, dice, is_best and place == 0) for place in range(number or int(is_best))]
    return node


def _place(node: _Node, leaves: int) -> int:
    """Set the heights, each in the middle of its replies. Return the number of leaves so far."""
    if not node.replies:
        node.y = (leaves + 0.5) * DOWN
        return leaves + 1
    for reply in node.replies:
        leaves = _place(reply, leaves)
    node.y = (node.replies[0].y + node.replies[-1].y) / 2
    return leaves


def _lines(node: _Node, *, is_best: bool) -> Iterator[str]:
    x, next_x = (EDGE + level * ACROSS for level in (node.level, node.level + 1))
    for place, reply in enumerate(node.replies):
        best = is_best and place == 0
        yield from _lines(reply, is_best=best)
        middle = (x + next_x) / 2
        kind = ' class="best"' if best else ""
        yield f'<path{kind} d="M{x} {node.y:g}C{middle:g} {node.y:g} {middle:g} {reply.y:g} {next_x} {reply.y:g}"/>'


def _marks(node: _Node, *, is_best: bool) -> Iterator[str]:
    """Yield a circle for each prompter and a square for each assistant."""
    x, kind = EDGE + node.level * ACROSS, ' class="best"' if is_best else ""
    if node.level % 2 == 0:
        yield f'<circle{kind} cx="{x}" cy="{node.y:g}" r="7"/>'
    else:
        yield f'<rect{kind} x="{x - 7}" y="{node.y - 7:g}" width="14" height="14" rx="3"/>'
    for place, reply in enumerate(node.replies):
        yield from _marks(reply, is_best=is_best and place == 0)
