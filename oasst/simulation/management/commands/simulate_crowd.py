"""manage.py simulate_crowd: simulated people take trees from the first prompt to the data set."""

import time
from argparse import ArgumentParser
from collections import Counter
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError

from oasst.core.text.validation import clean_pool_tag
from oasst.embedded.commands import ServiceCommand
from oasst.simulation.crowd.crowd import Crowd
from oasst.simulation.crowd.ledger import Ledger
from oasst.simulation.crowd.people import ClientFactory, gather
from oasst.simulation.crowd.progress import Progress, states_of_trees_by
from oasst.simulation.crowd.service_client import ServiceClient
from oasst.simulation.crowd.work import Refused
from oasst.site.invariants import find_differences
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import Opening
from trees.policies.reading import current_policy

LOOK_EVERY = 0.5  # seconds
ENDED = (State.ABORTED_LOW_GRADE, State.HALTED_BY_MODERATOR, State.SCORING_FAILED)
THROTTLED = ("rate_limited", "429")


class Command(ServiceCommand):
    help = (
        "Let simulated people write, review and rank with the texts of tests/data until --trees trees that they "
        "started are in the data set, through the services or, with --base-url, through the pages of a running site "
        "with the same database. Then runs check_invariants, and fails if it finds anything. "
        "Rate limits apply: to see how fast the site is, start with RATE_LIMITS=off (for --base-url the site) or use "
        "more --users. "
        "Example: ./manage.py simulate_crowd --users 20 --trees 10 --concurrency 4"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--users", type=int, default=20, help="how many people (default: %(default)s)")
        parser.add_argument("--trees", type=int, default=10, help="how many finished trees (default: %(default)s)")
        parser.add_argument("--concurrency", type=int, default=4, help="people who act at once (default: %(default)s)")
        parser.add_argument("--lang", default="en", help="language of the trees (default: %(default)s)")
        parser.add_argument("--base-url", metavar="URL", help="use the pages there, like browsers without script")
        parser.add_argument("--seed", type=int, help="makes the people's choices repeatable")
        parser.add_argument("--ledger", type=Path, help="append every stored answer to this file as JSON lines")
        parser.add_argument(
            "--patience", type=float, default=120, help="give up after so many seconds without an answer (%(default)s)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        for name in ("users", "trees", "concurrency", "patience"):
            if options[name] <= 0:
                raise CommandError(f"--{name} must be more than 0.")
        policy = current_policy()
        crowd = self._gather(policy, options)
        self._enter(crowd)
        began = time.monotonic()
        try:
            states = self._watch(crowd, options["trees"], options["patience"])
            took = time.monotonic() - began
            crowd.tidy_up()
        finally:
            crowd.stop()
        self._report(crowd, states, took)
        self._check(policy)

    def _gather(self, policy: TreePolicy, options: dict[str, Any]) -> Crowd:
        lang, base_url = clean_pool_tag(options["lang"]), options["base_url"]
        make_client: ClientFactory = lambda user, _password: ServiceClient(user, lang, policy)  # noqa: E731
        if base_url:
            from oasst.simulation.crowd.page_client import PageClient

            make_client = lambda user, password: PageClient(base_url, user.email or "", password, lang)  # noqa: E731
        try:
            people = gather(
                options["users"],
                make_client=make_client,
                policy=policy,
                seed=options["seed"],
                with_passwords=bool(base_url),
            )
            ledger = Ledger(options["ledger"])
        except OSError as error:
            raise CommandError(f"{error.filename}: {error.strerror}") from error
        return Crowd(people, concurrency=options["concurrency"], trees=options["trees"], ledger=ledger)

    def _enter(self, crowd: Crowd) -> None:
        for person in crowd.people:
            try:
                person.client.enter()
            except Refused as refusal:
                raise CommandError(
                    f"{person.user.email} could not come in: {refusal}. {_hint(refusal.code)}"
                ) from refusal

    def _watch(self, crowd: Crowd, trees: int, patience: float) -> Counter[State]:
        """Run the crowd until enough trees are finished. Raise CommandError if that will not happen."""
        progress = Progress(self.stderr, trees)
        authors = [person.user.pk for person in crowd.people]
        replaced = 0
        hinted = False
        crowd.start()
        try:
            while True:
                states = states_of_trees_by(authors)
                progress.show(states, crowd.tally.answers.total())
                if states[State.READY_FOR_EXPORT] >= trees:
                    return states
                ended = sum(states[state] for state in ENDED)
                crowd.want_prompts(ended - replaced)
                replaced = ended
                if crowd.failure:
                    raise crowd.failure
                if not hinted and any(crowd.tally.refusals[code] for code in THROTTLED):
                    self.stderr.write(
                        f"Some people rest, because the site limits how much one person may ask. {_hint('429')}"
                    )
                    hinted = True
                self._raise_if_stuck(crowd, states, patience)
                time.sleep(LOOK_EVERY)
        finally:
            progress.end()
            crowd.stop()

    def _raise_if_stuck(self, crowd: Crowd, states: Counter[State], patience: float) -> None:
        silent = time.monotonic() - crowd.tally.last_answer_at
        reason = ""
        if crowd.is_out_of_work():
            reason = "nobody finds any work"
        elif silent > patience and not crowd.seconds_until_somebody_may_act():
            reason = f"no answer was stored for {silent:.0f} seconds"
        if reason:
            where = ", ".join(f"{number} {state.value}" for state, number in states.items()) or "no trees at all"
            refusals = ", ".join(f"{number} {code}" for code, number in crowd.tally.refusals.most_common())
            raise CommandError(
                f"Stuck: {reason}. Trees: {where}. Refusals: {refusals or 'none'}. {_open_work(crowd)} "
                "More --users may help: nobody judges their own words, and nobody does the same work twice."
            )

    def _report(self, crowd: Crowd, states: Counter[State], took: float) -> None:
        tally = crowd.tally
        write = self.stdout.write
        write(f"{states[State.READY_FOR_EXPORT]} trees finished in {took:.1f} s.")
        write("Trees:    " + _listed({state.value: number for state, number in states.items()}))
        write("Answers:  " + _listed({kind.value: number for kind, number in tally.answers.items()}))
        write(f"Tasks:    {tally.answers.total()} done, {tally.skipped} skipped, {tally.left} left for a while")
        write(f"Speed:    {tally.answers.total() / took:.1f} tasks per second")
        repeats = sum(person.client.repeats for person in crowd.people)
        write(f"Repeats:  {repeats} requests sent again for lack of an answer")
        write("Refusals: " + (_listed(tally.refusals) or "none"))
        write("Milliseconds (middle, 95 of 100 below):")
        for what, seconds in sorted(tally.seconds.items()):
            write(f"  {what:<30} {1000 * median(seconds):7.1f} {1000 * _p95(seconds):7.1f}   of {len(seconds)}")

    def _check(self, policy: TreePolicy) -> None:
        number = 0
        for number, difference in enumerate(find_differences(policy), start=1):  # noqa: B007
            self.stderr.write(str(difference))
        if number:
            raise CommandError(f"check_invariants finds {number} differences.")
        self.stdout.write("Invariants hold.")


def _hint(code: str) -> str:
    if code not in THROTTLED:
        return ""
    where = "" if settings.RATE_LIMITS else "the site "
    return f"Start {where}with RATE_LIMITS=off or bring more --users to go on without waiting."


def _open_work(crowd: Crowd) -> str:
    authors = [person.user.pk for person in crowd.people]
    openings = Opening.objects.filter(tree__messages__parent=None, tree__messages__author__in=authors)
    works = Counter(openings.values_list("work", flat=True))
    held = openings.exclude(held_until=None)
    others = held.exclude(holder__in=authors).count()
    return f"Open work in them: {_listed(works) or 'none'}, held by them {held.count() - others}, by others {others}."


def _listed(counts: Any) -> str:
    return ", ".join(f"{number} {name}" for name, number in sorted(counts.items()) if number)


def _p95(seconds: list[float]) -> float:
    return quantiles(seconds, n=20)[-1] if len(seconds) > 1 else seconds[0]
