"""How many WebSockets of each user are open in this process."""

from collections import Counter
from uuid import UUID


class OpenSockets:
    """Counts the open sockets of one kind by user, in one event loop."""

    def __init__(self) -> None:
        self._numbers: Counter[UUID] = Counter()

    def __len__(self) -> int:
        """Return how many are open, of all users together."""
        return self._numbers.total()

    def number_of(self, user_id: UUID) -> int:
        return self._numbers[user_id]

    def add(self, user_id: UUID) -> None:
        self._numbers[user_id] += 1

    def remove(self, user_id: UUID) -> None:
        """Uncount a socket that `add` counted. Users without sockets take no memory."""
        self._numbers[user_id] -= 1
        if not self._numbers[user_id]:
            del self._numbers[user_id]
