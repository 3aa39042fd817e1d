"""The wire protocol below /api/v1/: every operation that there is, in one table."""

from inference.api import toxicity
from leaderboard.api import cached_stats, scores
from oasst import api_admin
from oasst.api.operations import Operation
from oasst.api.views import urls_of
from tasks.api import tasks
from trees.api import codes as codes
from trees.api import flags, labels, messages, stats, users

OPERATIONS: list[Operation] = [
    *tasks.OPERATIONS,
    *labels.OPERATIONS,
    *messages.OPERATIONS,
    *users.OPERATIONS,
    *stats.OPERATIONS,
    *scores.OPERATIONS,
    *cached_stats.OPERATIONS,
    *flags.OPERATIONS,
    *toxicity.OPERATIONS,
    *api_admin.OPERATIONS,
]

urlpatterns = urls_of(OPERATIONS)
