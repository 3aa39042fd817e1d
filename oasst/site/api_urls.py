"""All operations below /api/v1/ in one table."""

from inference.api import toxicity
from leaderboard.api import cached_stats, scores
from oasst.api import keys
from oasst.api.documents import add_document
from oasst.api.openapi_details import INTERFACE
from oasst.api.operations import Operation
from oasst.api.views import make_urls
from oasst.site import api_admin
from tasks.api import tasks
from trees.api import error_codes as error_codes  # registers the codes of trees
from trees.api import export, flags, labels, messages, snapshots, stats, users, webhooks

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
    *export.OPERATIONS,
    *snapshots.OPERATIONS,
    *webhooks.OPERATIONS,
    *keys.OPERATIONS,
    *api_admin.OPERATIONS,
]


document = add_document(OPERATIONS, INTERFACE, webhook_events=webhooks.AnyEvent, description="This document.")
urlpatterns = make_urls(OPERATIONS)
