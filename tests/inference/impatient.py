"""Settings for web servers that are killed: turns of lost callers expire soon."""

import os

from tests.crash.settings import *  # noqa: F403
from tests.crash.settings import CHAT_POLICY

CHAT_POLICY = {**CHAT_POLICY, "wanted_seconds": float(os.environ["WANTED_SECONDS"])}
