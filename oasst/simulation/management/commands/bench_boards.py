"""manage.py bench_boards: how long boards take with many users. scripts/bench calls it."""

import random
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

from django.core.management import CommandError, CommandParser
from django.db import connection, transaction
from django.test import Client

from leaderboard import queries, tallies
from leaderboard.models import MEASURES
from leaderboard.points import COUNTERS, score_of
from leaderboard.time_frames import Frame
from oasst.accounts.api_clients import create_api_client
from oasst.accounts.models import User
from oasst.embedded.commands import ServiceCommand
from trees.contributing import posting, reviews
from trees.policies.reading import current_policy

# All users are on all boards in two languages; some are banned, some hidden.
_PEOPLE = """
    INSERT INTO accounts_user (id, password, display_name, role, created_at, time_zone, interface_language,
        contribution_languages, enabled, ban_reason, is_active, notes, show_on_leaderboard, terms_version)
    SELECT gen_random_uuid(), '', 'Person ' || number, 'general', now(), 'UTC', 'en', '{{}}', number %% 100 <> 0, '',
           true, '', number %% 50 <> 0, ''
    FROM generate_series(1, %s) AS number
"""
_STANDINGS = f"""
    INSERT INTO leaderboard_standing (frame, lang, person_id, {", ".join(COUNTERS)})
    SELECT frame, lang, id, {", ".join("(random() * random() * 40)::int" for _ in COUNTERS)}
    FROM accounts_user, unnest(%s::text[]) AS frame, unnest('{{"", en}}'::text[]) AS lang
"""
_PLACES = f"""
    INSERT INTO leaderboard_place (frame, lang, person_id, {", ".join(MEASURES)})
    SELECT frame, lang, person_id, {", ".join(MEASURES)} FROM leaderboard_standing
"""
# The largest number before the boards are put in order.
_MOVED = f"""
    INSERT INTO leaderboard_moved (frame, lang, person_id, {", ".join(MEASURES)})
    SELECT frame, lang, person_id, {", ".join(MEASURES)} FROM leaderboard_standing JOIN (
        SELECT id FROM accounts_user ORDER BY random() LIMIT {tallies.MAX_MOVED}
    ) AS few ON person_id = few.id
"""
_USER_PATHS = ("users/{person}/stats", "users/{person}/stats/{frame}", "users/{person}/stats/{frame}/window")


class Command(ServiceCommand):
    help = "Fill an empty database with users on all boards and measure reading and updating. scripts/bench calls it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--people", type=int, default=100_000)
        parser.add_argument("--times", type=int, default=300)

    def handle(self, *args: Any, people: int, times: int, **options: Any) -> None:
        if User.objects.exists():
            raise CommandError("The database is not empty. scripts/bench boards makes one of its own.")
        with connection.cursor() as cursor:
            cursor.execute(_PEOPLE.replace("{{}}", "{}"), [people])
            cursor.execute(_STANDINGS, [[frame.value for frame in Frame]])
            cursor.execute(_PLACES)
            cursor.execute(_MOVED)
            for table in ("standing", "place", "moved"):
                cursor.execute(f"VACUUM ANALYZE leaderboard_{table}")
            cursor.execute("VACUUM ANALYZE accounts_user")
        everybody = list(User.objects.order_by("pk")[:: max(1, people // 1000)])
        dice = random.Random(1)

        def board() -> None:
            queries.board(
                dice.choice(list(Frame)),
                viewer=dice.choice(everybody),
                lang=dice.choice(["", "en"]),
                measure=dice.choice(MEASURES),
            )

        boards = [(frame, lang, measure) for frame in Frame for lang in ("", "en") for measure in MEASURES]
        # Once a minute one of the readers of a board has to renew its ladder.
        self._measure("the ladder of a board", lambda: queries._read_ladder(*dice.choice(boards)), 20)
        for frame, lang, measure in boards:
            queries._ladders([frame], lang, measure)
        self._measure("a board, four statements", board, times)
        self._measure("what a person did", lambda: queries.own_counts(dice.choice(everybody)), times)
        self._measure("count one review that was just given", self._event(everybody, dice), min(times, 100))
        for name, read in self._reads(everybody, dice):
            self._measure(f"GET {name}", read, times)
        began = time.perf_counter()
        number = tallies.order_boards()
        self.stdout.write(f"put {number} places in order: {1000 * (time.perf_counter() - began):.0f} ms")
        self._explain(everybody[len(everybody) // 2])

    def _reads(self, everybody: list[User], dice: random.Random) -> Iterator[tuple[str, Callable[[], None]]]:
        """Yield reads of API clients, in this process and through every middleware."""
        _, key = create_api_client(name="bench", trusted=True)
        client = Client(headers={"host": "localhost", "X-API-Key": key})
        for name in ("leaderboards/{frame}", "trollboards/{frame}", *_USER_PATHS, "stats/cached"):

            def read(name: str = name) -> None:
                address = name.format(frame=dice.choice(list(Frame)), person=dice.choice(everybody).pk)
                answer = client.get(f"/api/v1/{address}")
                if answer.status_code != 200:
                    raise AssertionError(f"{address} answers {answer.status_code}")

            yield name, read

    def _event(self, everybody: list[User], dice: random.Random) -> Callable[[], None]:
        policy = current_policy()

        def count() -> None:
            started, cpu = time.perf_counter(), time.process_time()
            author, reviewer = dice.sample(everybody, 2)
            with transaction.atomic():
                text = f"A question {dice.random()}"
                prompt = posting.post_prompt(author=author, text=text, lang="en", policy=policy)
            tallies.read_outbox()
            with transaction.atomic():
                reviews.record_labels(message=prompt, author=reviewer, labels={"spam": 0}, policy=policy)
            self._not_counted += time.perf_counter() - started
            self._not_computed += time.process_time() - cpu
            tallies.read_outbox()

        return count

    _not_counted = _not_computed = 0.0

    def _measure(self, name: str, act: Callable[[], object], times: int) -> None:
        """Print wall time and CPU time of this process; a busy machine changes only the wall time."""
        took, computed = [], []
        for number in range(times + 20):
            self._not_counted = self._not_computed = 0.0
            started, cpu = time.perf_counter(), time.process_time()
            act()
            if number >= 20:
                took.append((time.perf_counter() - started - self._not_counted) * 1000)
                computed.append((time.process_time() - cpu - self._not_computed) * 1000)
        took.sort()
        self.stdout.write(
            f"{name}: middle {statistics.median(took):.1f} ms, 95 of 100 below {took[int(0.95 * len(took))]:.1f} ms, "
            f"CPU of this process, middle {statistics.median(computed):.1f} ms"
        )

    def _explain(self, user: User) -> None:
        """Print the plan of the statement for a user's rank."""

        def explain(execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
            with context["connection"].connection.cursor() as cursor:
                for (line,) in cursor.execute(f"EXPLAIN (ANALYZE, COSTS OFF, BUFFERS OFF) {sql}", params).fetchall():
                    self.stdout.write(f"    {line}")
            return execute(sql, params, many, context)

        counts = queries.own_counts(user, frames=[Frame.TOTAL])[Frame.TOTAL]
        with connection.execute_wrapper(explain):
            queries.rank_of(Frame.TOTAL, "", "points", score_of(counts, "points"), user.pk)
