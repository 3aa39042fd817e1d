"""Change the rules of trees: draft, put in force, go back. Nothing here touches a tree (`trees.policies.runs` does).

A draft is a set of changes, so drafts of two people about different rules keep each other's. A draft whose rule was
changed otherwise meanwhile is refused, because nobody has seen the result.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models import Max
from django.utils import timezone
from django.utils.translation import gettext as _

from oasst.accounts.access import require_administrator
from oasst.accounts.models import User
from oasst.core.audit.recording import record
from oasst.core.errors import Conflict, Invalid, NotFound
from oasst.core.locks import advisory_lock
from oasst.core.text.validation import clean_pool_tag, clean_reason
from trees import acts
from trees.labels import LABELS
from trees.lifecycle.policy import EVERY_LANGUAGE, TreePolicy
from trees.models import PolicyVersion
from trees.policies import reading
from trees.policies.reading import Rules, StoredRules
from trees.policies.rules import TABLE, Rule

Values = Mapping[str, Any]
"""By the name of the rule, as JSON has them."""


def draft(
    *, lang: str, changes: Values, actor: User, replaces: PolicyVersion | None = None, reason: str = ""
) -> PolicyVersion:
    """Store what these changes to the rules of a language would be; EVERY_LANGUAGE for all. None takes a rule away.

    `replaces` is a draft that is discarded in its favor. Raise NotAllowed (`administrators_only`), and Invalid with the
    rule as its field: `unknown_rule`, `rule` for a value that cannot hold, `nothing_changed`.
    """
    require_administrator(actor)
    lang = clean_pool_tag(lang) if lang else EVERY_LANGUAGE
    with transaction.atomic():
        stored = reading.read()
        own = own_rules(stored, lang)
        below = values_below(stored, lang)
        clean = {name: checked(name, value, lang) for name, value in changes.items()}
        clean = {name: None if value == below[name] else value for name, value in clean.items()}
        clean = {name: value for name, value in clean.items() if value != own.get(name)}
        if not clean:
            raise Invalid(_("Nothing is different from what is in force."), code="nothing_changed")
        check_together(stored, lang, merged(own, clean))
        version = PolicyVersion.objects.create(
            lang=lang, changes=clean, was={name: own.get(name) for name in clean}, created_by=actor
        )
        record(acts.DRAFT_POLICY, version, actor=actor, reason=reason, after={"rules": {_name(lang): clean}})
        replaced = _locked(replaces.pk) if replaces is not None else None
        if replaced is not None and replaced.is_draft:  # somebody may have put it in force a moment ago
            _discard(replaced, actor, _("Replaced by another draft."))
    return version


def put_in_force(*, version_id: int, actor: User, reason: str) -> PolicyVersion:
    """Put a draft in force, in every process within seconds of the commit. Running trees stay as they are.

    Raise NotAllowed (`administrators_only`), NotFound (`version_not_found`), Conflict (`no_draft`,
    `changed_meanwhile`), Invalid (no reason, or rules that cannot hold beside those in force now).
    """
    require_administrator(actor)
    reason = clean_reason(reason)
    with transaction.atomic():
        advisory_lock("tree_rules")  # two changes at once keep each other's
        version = _locked_draft(version_id)
        stored = reading.read()
        before = own_rules(stored, version.lang)
        for name, value in version.changes.items():
            if before.get(name) not in (version.was.get(name), value):
                raise Conflict(
                    _("“%(rule)s” was changed meanwhile. Discard this draft and begin again.")
                    % {"rule": TABLE[name].label if name in TABLE else name},
                    code="changed_meanwhile",
                    field=name,
                )
        version.rules = merged(before, version.changes)
        check_together(stored, version.lang, version.rules)
        version.number = (PolicyVersion.objects.aggregate(last=Max("number"))["last"] or 0) + 1
        version.in_force_at, version.put_in_force_by, version.reason = timezone.now(), actor, reason
        version.save()
        record(
            acts.CHANGE_POLICY,
            version,
            actor=actor,
            reason=reason,
            before={"rules": {_name(version.lang): {name: before.get(name) for name in version.changes}}},
            after={"rules": {_name(version.lang): version.changes}},
        )
        transaction.on_commit(reading.forget)
    return version


def discard(*, version_id: int, actor: User, reason: str) -> PolicyVersion:
    """Discard a draft. It stays in the history. Raise NotAllowed, NotFound, Conflict (`no_draft`), Invalid."""
    require_administrator(actor)
    reason = clean_reason(reason)
    with transaction.atomic():
        return _discard(_locked_draft(version_id), actor, reason)


def go_back(*, version_id: int, actor: User, reason: str) -> PolicyVersion:
    """Draft what makes the rules of its language again what they were in this version; return the draft.

    Raise NotAllowed, NotFound, Invalid (`nothing_changed`, or rules that cannot hold any more), Conflict
    (`never_in_force`).
    """
    require_administrator(actor)
    reason = clean_reason(reason)
    version = PolicyVersion.objects.filter(pk=version_id).first()
    if version is None:
        raise _version_not_found()
    if version.number is None:
        raise Conflict(_("This version was never in force."), code="never_in_force")
    own = own_rules(reading.read(), version.lang)
    names = [name for name in (*own, *version.rules) if name in TABLE]
    changes = {name: version.rules.get(name) for name in names if version.rules.get(name) != own.get(name)}
    return draft(lang=version.lang, changes=changes, actor=actor, reason=reason)


# --- What rules build on ---


def own_rules(stored: StoredRules, lang: str) -> dict[str, Any]:
    """Return the rules of the language that differ from what they build on."""
    return dict(stored.with_seed.get(lang, {}))


def values_below(stored: StoredRules, lang: str) -> dict[str, Any]:
    """Return what holds without the language's own rules: those of every language, or the defaults."""
    policy = TreePolicy()
    if lang:
        policy = reading.policy_of({EVERY_LANGUAGE: stored.with_seed[EVERY_LANGUAGE]})
    return values_of(policy)


def values_of(policy: TreePolicy) -> dict[str, Any]:
    """Return the value of every rule as JSON has it."""
    return {name: _plain(getattr(policy, name)) for name in TABLE}


def merged(own: Values, changes: Values) -> dict[str, Any]:
    """Return the language's own rules with these changes."""
    return {name: value for name, value in {**own, **changes}.items() if value is not None}


def rules_with(stored: StoredRules, lang: str, own: Values) -> Rules:
    """Return the rules of all languages if this language had these of its own."""
    return {**stored.with_seed, lang: own}


# --- What may be a rule ---


def checked(name: str, value: Any, lang: str = EVERY_LANGUAGE) -> Any:
    """Return the value of a rule as it is stored; None stays None. Raise Invalid."""
    rule = TABLE.get(name)
    if rule is None:
        raise Invalid(_("There is no rule “%(name)s”.") % {"name": name[:100]}, code="unknown_rule", field=name)
    if value is None:
        return None
    if lang and not rule.per_language:
        raise _wrong(rule, _("This is the same in every language."))
    if rule.type is bool:
        if not isinstance(value, bool):
            raise _wrong(rule, _("Choose on or off."))
        return value
    return _checked_number(rule, value) if rule.is_number else _checked_labels(rule, value)


def _checked_number(rule: Rule, value: Any) -> Any:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or (isinstance(value, float) and not math.isfinite(value)):
        raise _wrong(rule, _("This must be a number."))
    if rule.type is int and value != int(value):
        raise _wrong(rule, _("This must be a whole number."))
    if not rule.lowest <= value <= rule.highest:
        words = _("This must be from %(lowest)s to %(highest)s.")
        raise _wrong(rule, words % {"lowest": f"{rule.lowest:,g}", "highest": f"{rule.highest:,.10g}"})
    return int(value) if rule.type is int else float(value)


def _checked_labels(rule: Rule, value: Any) -> list[str]:
    names = list(value) if isinstance(value, list | tuple) else []
    if not names or not all(isinstance(name, str) for name in names):
        raise _wrong(rule, _("Give the names of labels."))
    if unknown := [name for name in names if name not in LABELS]:
        words = _("There is no label “%(name)s”. There are: %(names)s.")
        raise _wrong(rule, words % {"name": unknown[0][:100], "names": ", ".join(LABELS)})
    if len(set(names)) < len(names):
        raise _wrong(rule, _("Name each label once."))
    return names


def check_together(stored: StoredRules, lang: str, own: Values) -> None:
    """Raise Invalid if the rules could not hold beside each other, and beside those of the other languages.

    What another release stored and cannot hold is not in force anyway, so it forbids nothing.
    """
    others = reading.holding(stored.with_seed)
    try:
        TreePolicy.of({**others, lang: reading.known(lang, own)})
    except ValueError as error:
        said = str(error)
        named = [name for name in re.findall(r"\w+", said) if name in TABLE]
        # A weighted_* that it names stands for several.
        raise Invalid(_capitalized(said), code="rule", field=named[0] if named else None) from error


def _capitalized(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}."


def _wrong(rule: Rule, words: str) -> Invalid:
    return Invalid(words, code="rule", field=rule.name)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


# --- Rows ---


def _locked_draft(version_id: int) -> PolicyVersion:
    version = _locked(version_id)
    if not version.is_draft:
        raise Conflict(_("This is no draft any more."), code="no_draft")
    return version


def _locked(version_id: int) -> PolicyVersion:
    version = PolicyVersion.objects.select_for_update(no_key=True).filter(pk=version_id).first()
    if version is None:
        raise _version_not_found()
    return version


def _discard(version: PolicyVersion, actor: User, reason: str) -> PolicyVersion:
    version.discarded_at = timezone.now()
    version.save(update_fields=["discarded_at"])
    record(acts.DISCARD_POLICY, version, actor=actor, reason=reason)
    return version


def _version_not_found() -> NotFound:
    return NotFound(_("There is no such version."), code="version_not_found")


def _name(lang: str) -> str:
    return lang or "every language"
