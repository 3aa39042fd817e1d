"""The order of replies to one message, the same on pages and in files."""

from trees.models import Message


def in_order(siblings: list[Message]) -> list[Message]:
    """Best first, unranked last; siblings of a file keep the order of the file."""
    if any(message.imported is not None for message in siblings):
        return sorted(siblings, key=lambda m: m.position)
    return sorted(siblings, key=lambda m: (m.rank is None, m.rank or 0, m.position))
