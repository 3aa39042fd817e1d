"""Ideas for somebody who does not know what to write as a first prompt.

An idea is four sentences: a subject, what is asked for, who asks, and how hard it is. The lengths of the four lists are
different primes, so counting up gives every combination once, and the next idea differs in all four. An idea is only
shown: it never fills the form, because everybody would send the same sentences.
"""

from dataclasses import dataclass
from uuid import UUID

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

SUBJECTS: tuple[Promise, ...] = (
    _("It is about cooking with what is in the house."),
    _("It is about a plant, a garden or a balcony."),
    _("It is about a pet or a wild animal."),
    _("It is about repairing something at home."),
    _("It is about money in everyday life."),
    _("It is about a contract, a form or an office."),
    _("It is about a journey, long or short."),
    _("It is about learning a language."),
    _("It is about sleep, food or exercise."),
    _("It is about a child and its questions."),
    _("It is about a conversation that will be difficult."),
    _("It is about work: an application, colleagues, a day's plan."),
    _("It is about a program, a table or a file."),
    _("It is about numbers, chance or geometry."),
    _("It is about the sky, the weather or the sea."),
    _("It is about something that happened before you were born."),
    _("It is about a book, a film or a piece of music."),
    _("It is about a game or a sport and its rules."),
    _("It is about the town where somebody lives."),
    _("It is about a machine and how it works."),
    _("It is about a celebration, a speech or a present."),
    _("It is about saving energy, water or rubbish."),
    _("It is about a word, a proverb or how people talk."),
)
REQUESTS: tuple[Promise, ...] = (
    _("Ask why something is as it is."),
    _("Ask for two things to be compared, with a recommendation."),
    _("Ask for a plan in steps, within a limit of time or money."),
    _("Ask for a text to be written: a letter, a speech, a note."),
    _("Give a text of your own and ask for it to be shorter, kinder or clearer."),
    _("Ask for an explanation with an example."),
    _("Describe something that went wrong and ask for the cause."),
    _("Ask for ideas, and say what they must not be."),
    _("Ask for a list or a table with certain columns."),
    _("Ask for something made up: a story, a riddle, a dialogue."),
    _("Ask for both sides of a question on which people disagree."),
)
ASKERS: tuple[Promise, ...] = (
    _("Somebody asks who has never had to do with it."),
    _("Somebody asks who does it for a living."),
    _("A student asks who has an examination soon."),
    _("Somebody asks who has little time and little money."),
    _("Somebody asks on behalf of an old parent."),
    _("A teacher asks who wants to use it in class."),
    _("Somebody asks who moved here from another country."),
)
DIFFICULTIES: tuple[Promise, ...] = (
    _("A good answer takes two sentences."),
    _("A good answer takes a paragraph and some knowledge."),
    _("A good answer takes thinking in several steps."),
    _("A good answer has to ask back, because something is left open."),
    _("There is a mistake in the question that a good answer notices."),
)
_PARTS = (SUBJECTS, REQUESTS, ASKERS, DIFFICULTIES)
NUMBER = len(SUBJECTS) * len(REQUESTS) * len(ASKERS) * len(DIFFICULTIES)


@dataclass(frozen=True)
class Idea:
    number: int
    """From 0 to `NUMBER` - 1."""
    sentences: tuple[Promise, ...]

    @property
    def next_number(self) -> int:
        return (self.number + 1) % NUMBER


def idea_at(number: int) -> Idea:
    """Return the idea with this number, taken around the end. Neighbors have no sentence in common."""
    number %= NUMBER
    return Idea(number, tuple(part[number % len(part)] for part in _PARTS))


def first_number(task_id: UUID) -> int:
    """Return the number of the idea that a task begins with: another one for each task, the same after a reload."""
    return task_id.int % NUMBER


def read_number(value: str) -> int:
    """Return the number that a form sent; 0 for anything else."""
    return int(value) if value.isascii() and value.isdigit() and len(value) < 9 else 0
