"""The plots of a data card, from the manifest and the figures of a snapshot. Pure. A plot of what is unknown does not
exist.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from trees.interchange.card.published import Published
from trees.interchange.card.svg import Chart, Estimate, Series, bars, histogram, intervals
from trees.interchange.card.words import basis_in_words, label_in_words, role_in_words, state_in_words
from trees.interchange.figures_of_agreement import ALL
from trees.interchange.figures_of_people import UNKNOWN
from trees.interchange.figures_of_texts import CHARACTER_BINS

MOST_ROWS = 12


def draw(published: Published, figures: Mapping[str, Any]) -> dict[str, Chart]:
    """Return the plots by name, without those that have nothing to show."""
    return {chart.name: chart for chart in (*_of_the_data(figures), *_of_machine_reading(published, figures))}


def _of_the_data(figures: Mapping[str, Any]) -> Iterator[Chart]:
    messages, trees = figures["messages"], figures["trees"]
    if messages["total"] == 0:
        return
    yield bars("languages", "Messages by language", most(messages["by_lang"]), "messages")
    yield _states(trees["by_state"], messages["review_result"])
    yield _lengths(figures["lengths"])
    yield _sizes(trees["by_size"])
    months = [(month, number) for month, number in sorted(messages["by_month"].items()) if month != UNKNOWN]
    if len(months) > 1:
        yield bars("months", "Messages by month", months[-MOST_ROWS:], "messages")
    if any(found["texts"] for found in figures["repeated_texts"].values()):
        yield _repeated(figures["repeated_texts"], messages["by_role"])
    yield bars(
        "licenses",
        "Messages by what allows their publication",
        [(basis_in_words(basis), found) for basis, found in most(_messages_by_basis(figures["bases"]))],
        "messages",
    )
    labels = [_estimate(row) for row in figures["agreement"]["labels"] if row["lang"] == ALL and _is_known(row)]
    if labels:
        yield intervals("agreement", "Agreement about labels", labels, "alpha: 0 is chance, 1 is full agreement")
    orders = [
        Estimate(row["lang"] or "all languages", row["pairwise"], row["pairwise_low"], row["pairwise_high"])
        for row in figures["agreement"]["rankings"][:MOST_ROWS]
    ]
    if orders:
        yield intervals("orders", "Agreement about two replies", orders, "share of equal orders: 0.5 is chance")


def _of_machine_reading(published: Published, figures: Mapping[str, Any]) -> Iterator[Chart]:
    if published.topics:
        several = len({lang for lang, _, _ in published.topics}) > 1
        counts = Counter[str]()
        for lang, name, number in published.topics:
            counts[f"{name} ({lang})" if several else name] += number
        yield bars("topics", "Prompts by topic", most(counts), "prompts")
    if published.near_duplicates:
        yield _near_duplicates(published.near_duplicates)
    if toxicity := figures["detoxify"]["scores"].get("toxicity"):
        shares = [100 * number / toxicity["count"] for number in figures["detoxify"]["toxicity_histogram"]]
        tenths = [f"{tenth / 10:.1f}" for tenth in range(10)]
        yield histogram("toxicity", "Toxicity by a model", tenths, [Series("Messages", shares)], "score from")


def most(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Return the largest counts, and the sum of the others as a last row."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    if len(ordered) <= MOST_ROWS:
        return ordered
    others = ordered[MOST_ROWS - 1 :]
    return [*ordered[: MOST_ROWS - 1], (f"{len(others)} others", sum(number for _, number in others))]


def _messages_by_basis(bases: Mapping[str, Any]) -> dict[str, int]:
    return {basis: found["messages"] for basis, found in bases.items()}


def _states(by_state: Mapping[str, int], by_role: Mapping[str, Mapping[str, int]]) -> Chart:
    trees = [(f"Trees: {state_in_words(state).lower()}", number) for state, number in most(by_state)]
    messages = [
        (f"{role_in_words(role)}: {decision}", decisions[decision])
        for role, decisions in sorted(by_role.items(), reverse=True)
        for decision in ("accepted", "rejected", "undecided")
        if decisions.get(decision)
    ]
    return bars("states", "States of trees, decisions about messages", [*trees, *messages], "")


def _lengths(lengths: Mapping[str, Any]) -> Chart:
    series = []
    for role in sorted(lengths, reverse=True):
        parts = lengths[role]["histogram"]
        total = sum(parts)
        series.append(Series(role_in_words(role), [100 * part / total for part in parts]))
    bins = [_compact(start) for start in CHARACTER_BINS]
    return histogram("lengths", "Lengths of the messages", bins, series, "characters, from")


def _compact(length: int) -> str:
    return f"{length / 1000:g}k" if length >= 1000 else str(length)


def _sizes(by_size: Mapping[str, int]) -> Chart:
    limits = ((1, 1), (2, 3), (4, 6), (7, 9), (10, 12), (13, 24), (25, None))
    total = sum(by_size.values())
    shares = [
        100 * sum(number for size, number in by_size.items() if low <= int(size) <= (high or int(size))) / total
        for low, high in limits
    ]
    bins = [f"{low}" if low == high else f"{low}–{high}" if high else f"{low}+" for low, high in limits]
    return histogram("sizes", "Sizes of the trees", bins, [Series("Trees", shares)], "messages in a tree")


def _repeated(repeated: Mapping[str, Any], by_role: Mapping[str, int]) -> Chart:
    rows = []
    for role in sorted(repeated, reverse=True):
        again = repeated[role]["messages"]
        rows.append((f"{role_in_words(role)}: once", by_role[role] - again))
        rows.append((f"{role_in_words(role)}: repeated", again))
    return bars("duplicates", "Texts that occur once, and repeated ones", rows, "messages")


def _near_duplicates(found: Mapping[str, Mapping[str, int]]) -> Chart:
    rows = []
    for kind, counts in sorted(found.items()):
        again = counts["near_duplicates"]
        name = {"prompts": "Initial", "replies": "Others"}[kind]  # short, or it would be cut off
        rows.append((f"{name}: distinct", counts["compared"] - again))
        rows.append((f"{name}: repeating", again))
    return bars("near_duplicates", "Initial prompts and others that nearly repeat one", rows, "messages")


def _is_known(row: Mapping[str, Any]) -> bool:
    return row["alpha"] is not None


def _estimate(row: Mapping[str, Any]) -> Estimate:
    return Estimate(label_in_words(row["label"]), row["alpha"], row["low"], row["high"])
