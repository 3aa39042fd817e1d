"""What must agree in the data, recomputed from the facts: counts, decisions, ranks, states, openings, tasks, outbox.

Reads only; `oasst.site.invariants.repair` mends. Trees are read in batches, each in one snapshot and a fixed number of
statements, so a check beside running work reports no passing state, and memory does not grow with the data set.
"""

from oasst.site.invariants.difference import Difference
from oasst.site.invariants.run import differences

__all__ = ["Difference", "differences"]
