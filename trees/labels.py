"""The fifteen labels: the question, the widget, and the meaning of both ends of a scale."""

from dataclasses import dataclass
from typing import Literal

Widget = Literal["yes_no", "flag", "likert"]

# These two decide whether a message is accepted (trees.lifecycle.consensus.is_rejecting).
SPAM = "spam"
LANG_MISMATCH = "lang_mismatch"


@dataclass(frozen=True)
class Label:
    name: str
    widget: Widget
    question: str
    help: str = ""
    low: str = ""  # what 0 means on a scale
    high: str = ""  # what 1 means on a scale
    high_is_bad: bool = False  # pages show such a scale from 1 to 0, so that all of them run from bad to good

    @property
    def ends(self) -> tuple[str, str]:
        """The words at the first and the last point of a scale, in the order of the pages."""
        return (self.high, self.low) if self.high_is_bad else (self.low, self.high)

    def point(self, value: float) -> float:
        """Return the point, from 1 to 5 in the order of the pages, of a stored value from 0 to 1."""
        return 1 + 4 * (1 - value if self.high_is_bad else value)


LABELS: dict[str, Label] = {
    label.name: label
    for label in (
        Label(
            SPAM,
            "yes_no",
            "Is this message junk?",
            "Trolling, sabotage, gibberish or advertising. A clumsy or simple message is not junk.",
        ),
        Label(
            "fails_task",
            "yes_no",
            "Does the answer miss the point?",
            "Yes if it does not do what was asked, or leaves out an important part.",
        ),
        Label(
            LANG_MISMATCH,
            "flag",
            "Written in another language",
            "It is not in the language that the conversation is filed under.",
        ),
        Label("pii", "flag", "Contains personal data", "Addresses, phone numbers, identity or bank details."),
        Label("not_appropriate", "flag", "Not appropriate", "Does not belong in a polite assistant's conversation."),
        Label(
            "hate_speech",
            "flag",
            "Hate speech",
            "Attacks or threatens people for who they are: origin, faith, gender, orientation.",
        ),
        Label("sexual_content", "flag", "Sexual content", "Contains sexual material."),
        Label("moral_judgement", "flag", "Moralizes", "Passes moral verdicts that nobody asked for."),
        Label("political_content", "flag", "Political opinion", "Takes a political side."),
        Label("quality", "likert", "Overall quality", low="weak", high="excellent"),
        Label("toxicity", "likert", "Tone", "How it treats the reader.", low="polite", high="rude", high_is_bad=True),
        Label("humor", "likert", "Humor", low="earnest", high="funny"),
        Label("helpfulness", "likert", "Helpfulness", "Does it solve the request?", low="useless", high="helpful"),
        Label("creativity", "likert", "Creativity", low="everyday", high="original"),
        Label(
            "violence",
            "likert",
            "Violence",
            "Cruelty, terror, abuse, self-harm.",
            low="harmless",
            high="violent",
            high_is_bad=True,
        ),
    )
}
