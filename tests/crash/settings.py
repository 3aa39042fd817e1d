"""For server processes that a test starts and kills: the database of the test run, a broker for all of them."""

import os

from oasst.core.server_urls import read_redis
from oasst.settings_test import *  # noqa: F403
from oasst.settings_test import DATABASES, OASST_HOME, REDIS_URL

# Set by the test that starts the process.
if name := os.environ.get("OASST_CRASH_DATABASE"):
    DATABASES["default"]["NAME"] = name
    # Tests that run beside each other have sites of their own.
    ENGINE_LOCK = OASST_HOME / f"engine-{name}.lock"
_redis = read_redis(REDIS_URL)
CELERY_BROKER_URL, CELERY_BROKER_USE_SSL = _redis.broker_url, _redis.broker_ssl
# Trees that are finished soon, so that the crowd meets every state while it is being disturbed.
TREE_POLICY = {"goal_tree_size": 6, "max_tree_depth": 2}
RATE_LIMITS = False
# Browsers look at these servers too, and nobody collects the static files for a test.
WHITENOISE_USE_FINDERS = True
