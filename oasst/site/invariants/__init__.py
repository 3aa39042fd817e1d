"""Checks that stored data agrees with the facts: counts, decisions, ranks, states, openings, tasks, outbox.

They only read; `oasst.site.invariants.repair` repairs. Trees are read in batches, each in one snapshot with a fixed
number of statements, so checks can run beside other work, and memory use does not grow with the data set.
"""

from oasst.site.invariants.difference import Difference
from oasst.site.invariants.run import find_differences

__all__ = ["Difference", "find_differences"]
