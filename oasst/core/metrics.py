"""Counters for `/metrics` (oasst.site.health)."""

from prometheus_client import Counter

domain_errors = Counter("oasst_domain_errors", "Refusals shown to people and programs, by reason.", ["edge", "code"])
rate_limited = Counter("oasst_rate_limited", "Requests refused because a limit was reached.", ["rule"])
rate_limits_unchecked = Counter(
    "oasst_rate_limits_unchecked", "Requests let through because Redis could not be asked.", ["rule"]
)
trees_moved_by_sweep = Counter(
    "oasst_trees_moved_by_sweep",
    "Trees that only the clock moved. Events should have; a rise asks for somebody to look.",
)
