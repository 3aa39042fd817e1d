"""Do counts, results and ranks say what people said?"""

from collections import Counter
from collections.abc import Iterator
from itertools import chain
from uuid import UUID

from oasst.site.invariants.difference import Difference
from oasst.site.invariants.facts import TreeFacts
from trees.lifecycle import reply_ranks
from trees.lifecycle.states import State
from trees.models import Message


def expected_reviews(facts: TreeFacts, message: Message) -> int:
    """Those of the file and those of people here that stand."""
    return message.imported_count("review_count") + sum(r.stands for r in facts.reviews.get(message.pk, ()))


def review_counts(facts: TreeFacts) -> Iterator[Difference]:
    for message in facts.messages.values():
        expected = expected_reviews(facts, message)
        if message.review_count != expected:
            yield Difference("review_counts", f"message {message.pk}", str(expected), str(message.review_count))


def times_ranked(facts: TreeFacts) -> Counter[UUID]:
    """Message id → rankings by people. The column takes no number from a file."""
    return Counter(chain.from_iterable(ordered_ids for _, ordered_ids, _ in facts.rankings))


def ranking_counts(facts: TreeFacts) -> Iterator[Difference]:
    ranked = times_ranked(facts)
    for message in facts.messages.values():
        if message.ranking_count != ranked[message.pk]:
            yield Difference(
                "ranking_counts", f"message {message.pk}", str(ranked[message.pk]), str(message.ranking_count)
            )
    for message_id in ranked.keys() - facts.messages.keys():
        yield Difference("ranking_counts", f"message {message_id}", f"in tree {facts.tree.pk}", "not there")


def expected_reactions(facts: TreeFacts) -> dict[UUID, dict[str, int]]:
    """Message id → emoji → how many: those of the file and those of people here that stand."""
    counted = {message.pk: Counter(message.given.get("emojis") or {}) for message in facts.messages.values()}
    for (message_id, emoji), number in facts.reactions.items():
        counted[message_id][emoji] += number
    return {message_id: dict(emojis) for message_id, emojis in counted.items()}


def reaction_counts(facts: TreeFacts) -> Iterator[Difference]:
    for message_id, expected in expected_reactions(facts).items():
        found = facts.messages[message_id].emojis
        if Counter(found) != Counter(expected):
            yield Difference("reaction_counts", f"message {message_id}", str(expected), str(found))


def review_results(facts: TreeFacts) -> Iterator[Difference]:
    """What the reviewers decided, or the file if it came decided. A vote behind the decision does not change it."""
    for message in facts.messages.values():
        if message.edited and not facts.votes(message):
            continue  # a text that was changed after its decision keeps it, or waits for new reviewers
        possible = possible_results(facts, message)
        if message.review_result not in possible:
            yield Difference("review_results", f"message {message.pk}", str(possible[0]), str(message.review_result))


def possible_results(facts: TreeFacts, message: Message) -> list[bool | None]:
    """What the result may be, by the present rule first.

    A decision is judged by the rule that it was made by, which a new policy does not change; and it may rest on votes
    that a purge set aside later, when nobody could be asked any more.
    """
    # What the file said was said of its text, not of the one that was written here since.
    given = None if message.edited else message.given.get("review_result")
    if given is not None:
        return [given]
    now = facts.policy.review_rule(message)
    standing = facts.votes(message)
    found = [now.decision(standing)]
    for rule in [now, *sorted(facts.rules.get(message.pk, ()))]:
        for votes in (standing, facts.votes(message, all_of_them=True)):
            result = rule.decision(votes)
            if result is not None:
                found.append(result)
    return found


def ranks(facts: TreeFacts) -> Iterator[Difference]:
    """The consensus of the rankings in finished trees; where nobody here ranked, the file's rank or none."""
    if facts.tree.state != State.READY_FOR_EXPORT:
        return
    scored = reply_ranks.ranks(facts.rankings, facts.messages)
    for message in facts.messages.values():
        expected = scored[message.pk] if message.pk in scored else message.given.get("rank")
        if message.rank != expected:
            yield Difference("ranks", f"message {message.pk}", str(expected), str(message.rank))


CHECKS = (review_counts, ranking_counts, reaction_counts, review_results, ranks)
