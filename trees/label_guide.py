"""What each label means, with an example of each side: the one explanation for the review form, practice, and the
guidelines.
"""

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _

from trees.labels import LANG_MISMATCH, SPAM, Label


@dataclass(frozen=True)
class Meaning:
    """Sentences may be lazy translations."""

    text: Any
    yes: Any
    """An example where the answer is yes, or the place on the scale is high."""
    no: Any
    """An example where the answer is no, or the place is low."""


MEANINGS: dict[str, Meaning] = {
    SPAM: Meaning(
        _(
            "Junk is what nobody can use: trolling, sabotage, gibberish, advertising, text that somebody pasted for no "
            "reason. A simple, clumsy or badly spelled message is not junk, and neither is a wrong answer that was "
            "meant seriously. Once you say yes, the other questions do not matter."
        ),
        _("“asdf asdf lol test”, or an advertisement in the place of an answer."),
        _("“pls how boil egg”: clumsy, and a clear request."),
    ),
    "fails_task": Meaning(
        _(
            "Compare the answer with the request. It misses the point if it does something else, leaves out an "
            "important part, or dodges without a reason. A refusal can be right where helping would do harm."
        ),
        _("Asked for a recipe without nuts, it gives one with almonds."),
        _("Asked for three names, it gives three, even if you like none of them."),
    ),
    LANG_MISMATCH: Meaning(
        _(
            "Tick it if the text is mostly in another language than the one that the conversation is filed under. "
            "Quotations, names, code and words that belong to the subject do not count."
        ),
        _("A Spanish answer in an English conversation."),
        _("An English text that explains what “Schadenfreude” means."),
    ),
    "pii": Meaning(
        _(
            "Anything by which a private person can be found or harmed: full names with an address, telephone numbers, "
            "e-mail addresses, numbers of identity cards or bank accounts. Invented people and public figures in their "
            "public role do not count."
        ),
        _("“My neighbor Jane Roe, 12 Mill Lane, owes me money. Write to her.”"),
        _("“Write a letter to a neighbor who owes me money.”"),
    ),
    "not_appropriate": Meaning(
        _(
            "It does not belong into a conversation with an assistant that people of all kinds use, although no other "
            "box fits: tasteless, degrading, or a trick to make the assistant misbehave."
        ),
        _("A joke about the victims of an accident."),
        _("A sober question about how such accidents happen."),
    ),
    "hate_speech": Meaning(
        _(
            "It attacks, degrades or threatens people for who they are: origin, skin color, faith, gender, "
            "orientation, disability. Reporting on it or asking about it is no hate speech."
        ),
        _("“People from there are vermin.”"),
        _("“Why were people from there persecuted in the 1930s?”"),
    ),
    "sexual_content": Meaning(
        _("It describes sexual acts or is meant to arouse. Sober information about health and biology does not count."),
        _("An erotic story."),
        _("“How do contraceptive pills work?”"),
    ),
    "moral_judgement": Meaning(
        _("It tells people how good or bad they or others are, although nobody asked for an opinion."),
        _("“You should be ashamed that you eat meat. Here is the recipe.”"),
        _("The recipe alone, or with a note on how to keep it safe to eat."),
    ),
    "political_content": Meaning(
        _("It takes a side in a political question. Explaining several sides fairly does not count."),
        _("“Vote for them, the others are liars.”"),
        _("“Supporters say … Opponents say …”"),
    ),
    "quality": Meaning(
        _(
            "Your overall judgment by the guidelines. For answers: correct first, then useful, then clear. For "
            "messages of the user: a real request, understandable, with what is needed to answer it. Length alone is "
            "no merit, and your own opinion on the subject does not count."
        ),
        _("A short answer that is right and says where its limits are."),
        _("A long, well-written answer with invented facts."),
    ),
    "toxicity": Meaning(
        _("How the text treats its reader and others: insulting on the left, polite and neutral on the right."),
        _("“Only an idiot would ask that.”"),
        _("“That is a common mistake. Here is why it happens.”"),
    ),
    "humor": Meaning(
        _("Whether the text means to be funny. Earnest is the normal case, and neither end is better."),
        _("A limerick about a cat that pays taxes."),
        _("Instructions for a tax form."),
    ),
    "helpfulness": Meaning(
        _(
            "How far somebody with this request gets with this answer. Something wrong is not helpful, however "
            "friendly it sounds. An honest “I do not know” with a hint where to look helps more than a guess."
        ),
        _("Steps that work, in an order that one can follow."),
        _("“It depends on many things. Good luck!”"),
    ),
    "creativity": Meaning(
        _("Whether the text has ideas that not everybody would have. Everyday is the normal case and not a fault."),
        _("A bedtime story told by the night light."),
        _("The boiling point of water."),
    ),
    "violence": Meaning(
        _("Cruelty, abuse, terror or self-harm, described or encouraged. Sober history and prevention are harmless."),
        _("Instructions to hurt somebody, or torture told in detail."),
        _("“When was the battle, and who won?”"),
    ),
}
"""By the name of the label."""


Example = tuple[Any, Any]
"""An answer in words, and a text that deserves it."""


def examples_of(label: Label) -> tuple[Example, Example]:
    """Return an example of both sides: of a scale in the order of its points, else of yes and no."""
    meaning = MEANINGS[label.name]
    if label.widget != "likert":
        return (_("Yes"), meaning.yes), (_("No"), meaning.no)
    low, high = (label.low, meaning.no), (label.high, meaning.yes)
    return (high, low) if label.high_is_bad else (low, high)
