"""Why a text has no score. A scorer that cannot score raises one of these and never makes a score up."""


class Unavailable(Exception):
    """The scorer cannot work now, whatever the text: a server is down, a model is not there yet.

    `retry_after` is in seconds.
    """

    def __init__(self, reason: str, *, retry_after: float = 60) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class NotScorable(Exception):
    """The scorer will never have a score for this text, for example because it does not know its language."""
