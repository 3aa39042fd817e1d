"""What ends a training before it is complete."""


class TrainingError(Exception):
    """Training cannot begin or go on. `code` is for machines, the message says the cause and what to do."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
