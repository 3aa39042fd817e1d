"""For web servers that are killed under their callers: soon nobody waits for what was asked there."""

import os

from tests.crash.settings import *  # noqa: F403
from tests.crash.settings import CHAT_POLICY

CHAT_POLICY = {**CHAT_POLICY, "wanted_seconds": float(os.environ["WANTED_SECONDS"])}
