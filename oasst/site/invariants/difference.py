"""One difference between stored data and the facts."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Difference:
    check: str  # the name of the check function
    subject: str  # "message 0190…"
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.check}: {self.subject}: expected {self.expected}, found {self.found}"
