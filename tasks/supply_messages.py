"""Sentences for users about why a language takes no new prompt now, and what makes room."""

from collections import Counter

from django.db.models import Count
from django.utils.translation import gettext, ngettext, ngettext_lazy

from tasks.supply import Supply
from trees.lifecycle.states import RANKING_WORK, REPLY_WORK, REVIEW_WORK
from trees.models import Opening


def why_enough(supply: Supply) -> str:
    """Return the limit that holds new prompts back, in numbers."""
    writers = supply.being_written
    writing = str(_ARE_WRITING % {"number": writers}) if writers else ""
    if supply.lottery_room <= 0:
        return ngettext(
            "%(number)d accepted prompt is waiting for its turn. A new one would only wait behind it.",
            "%(number)d accepted prompts are waiting for their turn. A new one would only wait behind them.",
            supply.waiting,
        ) % {"number": supply.waiting}
    if _too_many(supply, writers) > 0:
        stages = (
            (supply.in_review, gettext("%(number)d in review")),
            (supply.waiting, gettext("%(number)d waiting for their turn")),
            (supply.growing, gettext("%(number)d being written")),
            (supply.ranking, gettext("%(number)d being ranked")),
        )
        unfinished = ngettext(
            "%(number)d conversation is open now: %(stages)s.",
            "%(number)d conversations are open now: %(stages)s.",
            supply.unfinished,
        ) % {
            "number": supply.unfinished,
            "stages": ", ".join(name % {"number": number} for number, name in stages if number),
        }
        return " ".join(filter(None, [_pace(supply.pace or 0, supply.max_unfinished), unfinished, writing]))
    in_review = ngettext(
        "%(number)d prompt is waiting for reviewers, at most %(most)d may wait at a time.",
        "%(number)d prompts are waiting for reviewers, at most %(most)d may wait at a time.",
        supply.in_review,
    ) % {"number": supply.in_review, "most": supply.policy.max_initial_prompt_review}
    growing = gettext("%(number)d of at most %(most)d conversations are being written.") % {
        "number": supply.growing,
        "most": supply.max_growing,
    }
    return " ".join(filter(None, [in_review, growing, writing]))


def what_makes_room(supply: Supply, lang: str) -> str:
    """Return what has to be done before the next prompt, and the work that is open in this language."""
    works = Counter(dict(Opening.objects.filter(lang=lang).values_list("work").annotate(Count("pk"))))
    groups = (("check", REVIEW_WORK), ("reply", REPLY_WORK), ("ranking", RANKING_WORK))
    numbers = [(sum(works[work.value] for work in group), name) for name, group in groups]
    open_now = ", ".join(_number(number, name) for number, name in numbers if number)
    too_many = _too_many(supply, 0)
    if too_many > 0:
        room = ngettext(
            "A new prompt is wanted after %(number)d more conversation is finished.",
            "A new prompt is wanted after %(number)d more conversations are finished.",
            too_many,
        ) % {"number": too_many}
    else:
        room = gettext("New prompts are wanted again after others are answered, checked and ranked.")
    return f"{room} {gettext('Open now: %(work)s.') % {'work': open_now}}" if open_now else room


def _too_many(supply: Supply, writers: int) -> int:
    """Return how many conversations have to end before the people of the language can carry a new one."""
    limit = supply.max_unfinished
    return 0 if limit is None else supply.unfinished + writers - limit + 1


_NUMBERS = {
    "check": ngettext_lazy("%(number)d check", "%(number)d checks", "number"),
    "reply": ngettext_lazy("%(number)d reply", "%(number)d replies", "number"),
    "ranking": ngettext_lazy("%(number)d ranking", "%(number)d rankings", "number"),
}
_ARE_WRITING = ngettext_lazy(
    "%(number)d person is writing one right now.", "%(number)d people are writing one right now.", "number"
)


def _number(number: int, name: str) -> str:
    return str(_NUMBERS[name] % {"number": number})


def _pace(pace: float, most: int | None) -> str:
    """Return how many conversations people finish in this language, and how many may be open for that."""
    if pace >= 0.75:
        weekly = ngettext(
            "People finish about %(number)d conversation a week in this language. At most %(most)d are open at once.",
            "People finish about %(number)d conversations a week in this language. At most %(most)d are open at once.",
            round(pace),
        )
    else:
        weekly = gettext(
            "People finish a conversation every few weeks in this language. At most %(most)d are open at once."
        )
    return weekly % {"number": round(pace), "most": most}
