"""Sentences for users about why a language takes no new prompt now, and what makes room."""

from collections import Counter

from django.db.models import Count

from tasks.supply import Supply
from trees.lifecycle.states import RANKING_WORK, REPLY_WORK, REVIEW_WORK
from trees.models import Opening


def why_enough(supply: Supply) -> str:
    """Return the limit that holds new prompts back, in numbers."""
    writers = supply.being_written
    writing = f" {_are(writers, 'person')} writing one right now." if writers else ""
    if supply.lottery_room <= 0:
        return f"{_are(supply.waiting, 'accepted prompt')} waiting to be drawn. More would only wait with them."
    if _too_many(supply, writers) > 0:
        stages = (
            (supply.in_review, "in review"),
            (supply.waiting, "waiting to be drawn"),
            (supply.growing, "growing"),
            (supply.ranking, "being ranked"),
        )
        return (
            f"The people of this language can carry {_weekly(supply.pace or 0)}, so it has at most "
            f"{supply.max_unfinished} unfinished at a time. {_are(supply.unfinished, 'conversation')} unfinished now: "
            f"{', '.join(f'{number} {name}' for number, name in stages if number)}.{writing}"
        )
    return (
        f"{_are(supply.in_review, 'prompt')} waiting for reviewers, at most {supply.policy.max_initial_prompt_review} "
        f"at a time. {supply.growing} of at most {supply.max_growing} conversations are growing.{writing}"
    )


def what_makes_room(supply: Supply, lang: str) -> str:
    """Return what has to be done before the next prompt, and the work that is open in this language."""
    works = Counter(dict(Opening.objects.filter(lang=lang).values_list("work").annotate(Count("pk"))))
    groups = (("check", REVIEW_WORK), ("reply", REPLY_WORK), ("ranking", RANKING_WORK))
    numbers = [(sum(works[work.value] for work in group), name) for name, group in groups]
    open_now = ", ".join(_number(number, name) for number, name in numbers if number)
    too_many = _too_many(supply, 0)
    if too_many > 0:
        room = f"There is room when {_number(too_many, 'conversation')} more {_is(too_many)} finished."
    else:
        room = "Replying, checking and ranking make room for new ones."
    return f"{room} Wanted for that now: {open_now}." if open_now else room


def _too_many(supply: Supply, writers: int) -> int:
    """Return how many conversations have to end before the people of the language can carry a new one."""
    limit = supply.max_unfinished
    return 0 if limit is None else supply.unfinished + writers - limit + 1


_PLURALS = {"person": "people", "reply": "replies"}


def _number(number: int, name: str) -> str:
    return f"{number} {name if number == 1 else _PLURALS.get(name, name + 's')}"


def _is(number: int) -> str:
    return "is" if number == 1 else "are"


def _are(number: int, name: str) -> str:
    return f"{_number(number, name)} {_is(number)}"


def _weekly(pace: float) -> str:
    return f"about {_number(round(pace), 'conversation')} a week" if pace >= 0.75 else "one conversation in some weeks"
