"""System checks of the settings of trees."""

from difflib import get_close_matches
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from trees.lifecycle.policy import EVERY_LANGUAGE, RULES, TreePolicy

HINT = "docs/operations.md and trees/lifecycle/policy.py say which rules there are."


@register()
def check_tree_policy(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Report rules that do not exist or cannot hold. Otherwise the first request for a task would fail."""
    unknown = sorted(settings.TREE_POLICY.keys() - set(RULES))
    if unknown:
        return [
            Error(
                f"TREE_POLICY names {name!r}, and no rule is called that.",
                hint=" ".join([f"Did you mean {near}?" for near in get_close_matches(name, RULES, 1)] + [HINT]),
                id="trees.E001",
            )
            for name in unknown
        ]
    try:
        TreePolicy.of({EVERY_LANGUAGE: settings.TREE_POLICY})
    except ValueError as error:
        return [Error(f"TREE_POLICY: {error}.", hint=HINT, id="trees.E001")]
    return []
