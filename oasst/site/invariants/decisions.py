"""Check counts, review results and ranks against reviews, rankings and reactions."""

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
    """Return the number of imported reviews and of reviews that no purge set aside."""
    return message.imported_count("review_count") + sum(review.counts for review in facts.reviews.get(message.pk, ()))


def review_counts(facts: TreeFacts) -> Iterator[Difference]:
    for message in facts.messages.values():
        expected = expected_reviews(facts, message)
        if message.review_count != expected:
            yield Difference("review_counts", f"message {message.pk}", str(expected), str(message.review_count))


def count_rankings(facts: TreeFacts) -> Counter[UUID]:
    """Return message id → number of rankings, without imported ones, which the column does not count."""
    return Counter(chain.from_iterable(ordered_ids for _, ordered_ids, _ in facts.rankings))


def ranking_counts(facts: TreeFacts) -> Iterator[Difference]:
    ranked = count_rankings(facts)
    for message in facts.messages.values():
        if message.ranking_count != ranked[message.pk]:
            yield Difference(
                "ranking_counts", f"message {message.pk}", str(ranked[message.pk]), str(message.ranking_count)
            )
    for message_id in ranked.keys() - facts.messages.keys():
        yield Difference("ranking_counts", f"message {message_id}", f"in tree {facts.tree.pk}", "not there")


def expected_reactions(facts: TreeFacts) -> dict[UUID, dict[str, int]]:
    """Return message id → emoji → number of imported reactions and of reactions that no purge set aside."""
    counts = {message.pk: Counter(message.given.get("emojis") or {}) for message in facts.messages.values()}
    for (message_id, emoji), number in facts.reactions.items():
        counts[message_id][emoji] += number
    return {message_id: dict(emojis) for message_id, emojis in counts.items()}


def reaction_counts(facts: TreeFacts) -> Iterator[Difference]:
    for message_id, expected in expected_reactions(facts).items():
        stored = facts.messages[message_id].emojis
        if Counter(stored) != Counter(expected):
            yield Difference("reaction_counts", f"message {message_id}", str(expected), str(stored))


def review_results(facts: TreeFacts) -> Iterator[Difference]:
    """Compare results with the decision of the reviewers, or of the imported file. Votes after it do not change it."""
    for message in facts.messages.values():
        if message.edited and not facts.votes(message):
            continue  # a text edited after its decision keeps it, or waits for new reviewers
        possible = possible_results(facts, message)
        if message.review_result not in possible:
            yield Difference("review_results", f"message {message.pk}", str(possible[0]), str(message.review_result))


def possible_results(facts: TreeFacts, message: Message) -> list[bool | None]:
    """Return the results that are valid; the first is the one by the current rule.

    A new policy does not change decisions made by an earlier rule. A decision may also rest on votes that a purge set
    aside later, when the message could not get new reviews.
    """
    # An imported result is about the imported text, not about an edited one.
    imported = None if message.edited else message.given.get("review_result")
    if imported is not None:
        return [imported]
    current = facts.policy.review_rule(message)
    valid_votes = facts.votes(message)
    results = [current.decision(valid_votes)]
    for rule in [current, *sorted(facts.rules.get(message.pk, ()), key=repr)]:
        for votes in (valid_votes, facts.votes(message, include_set_aside=True)):
            result = rule.decision(votes)
            if result is not None:
                results.append(result)
    return results


def ranks(facts: TreeFacts) -> Iterator[Difference]:
    """Compare ranks in finished trees with the consensus of the rankings; without rankings, with the imported rank."""
    if facts.tree.state != State.READY_FOR_EXPORT:
        return
    scored = reply_ranks.compute_ranks(facts.rankings, facts.messages)
    for message in facts.messages.values():
        expected = scored[message.pk] if message.pk in scored else message.given.get("rank")
        if message.rank != expected:
            yield Difference("ranks", f"message {message.pk}", str(expected), str(message.rank))


CHECKS = (review_counts, ranking_counts, reaction_counts, review_results, ranks)
