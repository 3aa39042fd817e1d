"""The rules in force, for every request: without a statement in the steady state (`oasst.core.remembered`).

settings.TREE_POLICY is only the seed: it holds in every language until the database has a version for every language.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import structlog
from django.conf import settings

from oasst.core.remembered import Remembered
from trees.lifecycle.policy import EVERY_LANGUAGE, RULES, SAME_EVERYWHERE, TreePolicy
from trees.models import PolicyVersion

Rules = Mapping[str, Mapping[str, Any]]
"""By language, then by the name of the rule, as JSON has them."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class StoredRules:
    """What the database has: only rules that differ from what they build on."""

    by_language: Rules = field(default_factory=dict)

    @property
    def with_seed(self) -> Rules:
        """The same, with settings.TREE_POLICY where the database has nothing for every language."""
        return {EVERY_LANGUAGE: settings.TREE_POLICY, **self.by_language}

    @cached_property
    def policy(self) -> TreePolicy:
        return policy_of(self.with_seed)


def current_policy() -> TreePolicy:
    """Return the policy of this site, with the rules that languages have of their own."""
    return _stored.current().policy


def read() -> StoredRules:
    """Read the newest version of each language. One statement."""
    versions = PolicyVersion.objects.filter(number__isnull=False).order_by("lang", "-number").distinct("lang")
    found = dict(versions.values_list("lang", "rules"))
    return StoredRules({lang: rules for lang, rules in found.items() if isinstance(rules, dict)})


def policy_of(rules: Rules) -> TreePolicy:
    """Return the policy with these rules. Rules that this release does not know, or that cannot hold, are left out and
    logged: another release may have stored them, and the site must go on.
    """
    return _policy_of(json.dumps(rules, sort_keys=True))


def holding(rules: Rules) -> Rules:
    """Return those of the rules that `policy_of` follows."""
    good: dict[str, Mapping[str, Any]] = {}
    for lang in sorted(rules):  # that of every language is first: the others build on it
        if found := _holding_beside(good, lang, known(lang, rules[lang])):
            good[lang] = found
    return good


@lru_cache(maxsize=32)
def _policy_of(stored: str) -> TreePolicy:
    """Each set of rules is built, and complained about, once in a process."""
    return TreePolicy.of(holding(json.loads(stored)))


def _holding_beside(good: Rules, lang: str, rules: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the rules of the language that can hold beside those of others. One bad rule does not end the others."""
    if not (reason := _why_not(good, lang, rules)):
        return rules
    kept: dict[str, Any] = {}
    while more := {
        name: rules[name] for name in rules.keys() - kept if not _why_not(good, lang, {**kept, name: rules[name]})
    }:
        name = min(more)  # one at a time: two may not hold together
        kept[name] = more[name]
    left_out = sorted(rules.keys() - kept)
    log.error("rules_of_trees_left_out", lang=lang, rules=left_out, reason=reason)
    return kept


def _why_not(good: Rules, lang: str, rules: Mapping[str, Any]) -> str:
    try:
        TreePolicy.of({**good, lang: rules})
    except ValueError as error:
        return str(error)
    return ""


def known(lang: str, rules: Mapping[str, Any]) -> dict[str, Any]:
    """Return the rules that this release knows and that this language may have; log the others."""
    possible = set(RULES) - (SAME_EVERYWHERE if lang else set())
    if unknown := sorted(rules.keys() - possible):
        log.error("unknown_rules_of_trees", lang=lang, rules=unknown)
    return {name: value for name, value in rules.items() if name in possible}


def _as_json(found: StoredRules) -> Any:
    return found.by_language


def _from_json(values: Any) -> StoredRules | None:
    if not isinstance(values, dict) or not all(isinstance(rules, dict) for rules in values.values()):
        return None
    return StoredRules(values)


_stored = Remembered("tree_rules", read=read, default=StoredRules, as_json=_as_json, from_json=_from_json)
remember, forget = _stored.remember, _stored.forget
