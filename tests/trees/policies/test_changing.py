"""Rules are drafted, put in force by administrators with a reason, and never changed afterwards."""

import threading
from typing import Any

import pytest
from django.db import IntegrityError, connections, transaction

from oasst.accounts.groups import Duty
from oasst.accounts.models import User
from oasst.core.errors import Conflict, DomainError, Invalid, NotAllowed, NotFound
from oasst.core.models import AuditEntry
from tests.factories import new_person
from trees.models import PolicyVersion
from trees.policies import changing, reading
from trees.policies.reading import current_policy
from trees.policies.rules import GROUPS, TABLE

pytestmark = pytest.mark.django_db


@pytest.fixture
def ida(db: None) -> User:
    return new_person("Ida", role="admin")


def put(draft: PolicyVersion, actor: User, reason: str = "A test.") -> PolicyVersion:
    version = changing.put_in_force(version_id=draft.pk, actor=actor, reason=reason)
    reading.forget()  # the tests' transaction does not commit
    return version


def rules_of(lang: str = "") -> dict[str, Any]:
    return changing.own_rules(reading.read(), lang)


def acts() -> list[str]:
    return list(AuditEntry.objects.order_by("pk").values_list("act", flat=True))


class TestDraft:
    def test_it_changes_nothing_yet(self, ida: User) -> None:
        draft = changing.draft(lang="de", changes={"num_reviews_reply": 2}, actor=ida)
        assert draft.is_draft and rules_of("de") == {}
        assert (draft.changes, draft.was) == ({"num_reviews_reply": 2}, {"num_reviews_reply": None})
        assert acts() == ["policy.draft"]

    def test_only_what_differs_is_kept(self, ida: User) -> None:
        put(changing.draft(lang="", changes={"goal_tree_size": 20}, actor=ida), ida)
        put(changing.draft(lang="de", changes={"goal_tree_size": 20, "num_reviews_reply": 2}, actor=ida), ida)
        assert rules_of("de") == {"num_reviews_reply": 2}
        put(changing.draft(lang="", changes={"goal_tree_size": 12}, actor=ida), ida)
        assert rules_of() == {}  # the default again

    def test_one_replaces_another(self, ida: User) -> None:
        first = changing.draft(lang="", changes={"goal_tree_size": 20}, actor=ida)
        changing.draft(lang="", changes={"goal_tree_size": 21}, actor=ida, replaces=first)
        first.refresh_from_db()
        assert first.discarded_at is not None
        with pytest.raises(Conflict):
            put(first, ida)

    def test_one_that_somebody_put_in_force_meanwhile_stays_in_force(self, ida: User) -> None:
        first = changing.draft(lang="", changes={"goal_tree_size": 20}, actor=ida)
        put(first, ida)
        assert first.is_draft, "as a page read it before"
        changing.draft(lang="", changes={"goal_tree_size": 21}, actor=ida, replaces=first)
        first.refresh_from_db()
        assert first.discarded_at is None and rules_of() == {"goal_tree_size": 20}

    @pytest.mark.parametrize(
        ("lang", "changes", "code", "field"),
        [
            ("", {"goal_tree_size": 0}, "rule", "goal_tree_size"),
            ("", {"goal_tree_size": 2**40}, "rule", "goal_tree_size"),
            ("", {"goal_tree_size": 10**400}, "rule", "goal_tree_size"),
            ("", {"goal_tree_size": "9"}, "rule", "goal_tree_size"),
            ("", {"goal_tree_size": 9.5}, "rule", "goal_tree_size"),
            ("", {"goal_tree_size": True}, "rule", "goal_tree_size"),
            ("", {"weeks_unfinished": float("nan")}, "rule", "weeks_unfinished"),
            ("", {"weighted_reviews": 1}, "rule", "weighted_reviews"),
            ("", {"mandatory_labels": ["spam", "spam"]}, "rule", "mandatory_labels"),
            ("", {"mandatory_labels": "spam"}, "rule", "mandatory_labels"),
            ("", {"mandatory_labels": ["quality"]}, "rule", "mandatory_labels"),
            ("", {"labels_initial_prompt": ["spam", "nice"]}, "rule", "labels_initial_prompt"),
            ("", {"acceptance_threshold_reply": 1}, "rule", "acceptance_threshold_reply"),
            ("", {"weighted_least_reviews": 9}, "rule", "weighted_least_reviews"),
            (
                "",
                {"weighted_average_finds": 0.3, "weighted_average_spares": 0.3},
                "rule",
                "weighted_average_finds",
            ),
            ("", {"moon_phase": 1}, "unknown_rule", "moon_phase"),
            ("", {"by_language": {}}, "unknown_rule", "by_language"),
            ("de", {"check_share": 0}, "rule", "check_share"),
            ("d e", {"goal_tree_size": 5}, "language", "lang"),
            ("", {"goal_tree_size": 12}, "nothing_changed", None),
            ("", {}, "nothing_changed", None),
        ],
    )
    def test_refused(self, ida: User, lang: str, changes: dict[str, Any], code: str, field: str | None) -> None:
        with pytest.raises(Invalid) as refusal:
            changing.draft(lang=lang, changes=changes, actor=ida)
        assert (refusal.value.code, refusal.value.field) == (code, field)
        assert not PolicyVersion.objects.exists() and acts() == []

    def test_what_other_languages_could_not_hold_beside_it_is_refused(self, ida: User) -> None:
        put(changing.draft(lang="de", changes={"labels_initial_prompt": ["spam"]}, actor=ida), ida)
        with pytest.raises(Invalid, match="De: labels_initial_prompt lacks quality"):
            changing.draft(lang="", changes={"mandatory_labels": ["spam", "quality"]}, actor=ida)
        assert PolicyVersion.objects.count() == 1

    def test_only_administrators(self, mo: User, eve: User) -> None:
        olga = new_person("Olga")
        User.objects.filter(pk=olga.pk).update(duties=[Duty.OPERATOR])
        for person in (mo, eve, User.objects.get(pk=olga.pk)):
            with pytest.raises(NotAllowed):
                changing.draft(lang="", changes={"goal_tree_size": 20}, actor=person)
        assert not PolicyVersion.objects.exists()


class TestPutInForce:
    def test_it_holds_with_its_reason_and_number(self, ida: User) -> None:
        draft = changing.draft(lang="", changes={"goal_tree_size": 20}, actor=ida)
        version = put(draft, ida, "Larger trees are better.")
        assert current_policy().goal_tree_size == 20
        assert (version.number, version.rules, version.put_in_force_by) == (1, {"goal_tree_size": 20}, ida)
        assert version.reason == "Larger trees are better." and version.in_force_at is not None
        assert acts() == ["policy.draft", "policy.change"]
        assert put(changing.draft(lang="de", changes={"goal_tree_size": 5}, actor=ida), ida).number == 2

    def test_drafts_of_two_people_keep_each_others_changes(self, ida: User) -> None:
        una = new_person("Una", role="admin")
        one = changing.draft(lang="", changes={"goal_tree_size": 20}, actor=ida)
        other = changing.draft(lang="", changes={"num_reviews_reply": 2}, actor=una)
        put(one, ida)
        put(other, una)
        assert rules_of() == {"goal_tree_size": 20, "num_reviews_reply": 2}

    def test_a_rule_that_was_changed_meanwhile_is_not_overwritten(self, ida: User) -> None:
        one, other = (
            changing.draft(lang="", changes={"goal_tree_size": size, "num_reviews_reply": 2}, actor=ida)
            for size in (20, 30)
        )
        put(one, ida)
        with pytest.raises(Conflict, match="Size of a conversation") as refusal:
            put(other, ida)
        assert refusal.value.code == "changed_meanwhile"
        other.refresh_from_db()
        assert other.is_draft and rules_of()["goal_tree_size"] == 20

    def test_rules_that_could_hold_when_they_were_drafted_are_checked_again(self, ida: User) -> None:
        draft = changing.draft(lang="de", changes={"labels_initial_prompt": ["spam"]}, actor=ida)
        put(changing.draft(lang="", changes={"mandatory_labels": ["spam", "quality"]}, actor=ida), ida)
        with pytest.raises(Invalid):
            put(draft, ida)
        assert rules_of("de") == {} and acts()[-1] == "policy.change"

    def test_refused_without_a_right_a_reason_or_a_draft(self, ida: User, mo: User) -> None:
        draft = changing.draft(lang="", changes={"goal_tree_size": 20}, actor=ida)
        for actor, reason in ((mo, "Because."), (ida, " ")):
            with pytest.raises(DomainError):
                put(draft, actor, reason)
        with pytest.raises(NotFound):
            changing.put_in_force(version_id=draft.pk + 1, actor=ida, reason="A test.")
        assert rules_of() == {}
        put(draft, ida)
        with pytest.raises(Conflict):
            put(draft, ida)
        assert PolicyVersion.objects.count() == 1

    @pytest.mark.django_db(transaction=True)
    def test_two_at_once(self) -> None:
        """The race: both are numbered, and each keeps the other's rules."""
        ida = new_person("Ida", role="admin")
        drafts = [
            changing.draft(lang="", changes=changes, actor=ida)
            for changes in ({"goal_tree_size": 20}, {"num_reviews_reply": 2}, {"max_tree_depth": 5})
        ]

        def change(draft: PolicyVersion) -> None:
            try:
                changing.put_in_force(version_id=draft.pk, actor=ida, reason="A test.")
            finally:
                connections.close_all()

        threads = [threading.Thread(target=change, args=[draft]) for draft in drafts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert rules_of() == {"goal_tree_size": 20, "num_reviews_reply": 2, "max_tree_depth": 5}
        assert sorted(PolicyVersion.objects.values_list("number", flat=True)) == [1, 2, 3]

    def test_the_database_refuses_half_of_it(self) -> None:
        for wrong in ({"number": 1}, {"rules": {"goal_tree_size": 3}}):
            with pytest.raises(IntegrityError), transaction.atomic():
                PolicyVersion.objects.create(**wrong)


class TestGoBack:
    def test_it_drafts_what_was(self, ida: User) -> None:
        first = put(changing.draft(lang="de", changes={"goal_tree_size": 20}, actor=ida), ida)
        changes = {"goal_tree_size": None, "num_reviews_reply": 2}
        put(changing.draft(lang="de", changes=changes, actor=ida), ida)
        draft = changing.go_back(version_id=first.pk, actor=ida, reason="It was better.")
        assert draft.changes == {"goal_tree_size": 20, "num_reviews_reply": None}
        third = put(draft, ida)
        assert (third.number, third.rules) == (3, first.rules)

    def test_refused(self, ida: User, mo: User) -> None:
        draft = changing.draft(lang="", changes={"goal_tree_size": 20}, actor=ida)
        with pytest.raises(Conflict):
            changing.go_back(version_id=draft.pk, actor=ida, reason="A test.")
        put(draft, ida)
        with pytest.raises(Invalid):  # it is in force
            changing.go_back(version_id=draft.pk, actor=ida, reason="A test.")
        with pytest.raises(NotAllowed):
            changing.go_back(version_id=draft.pk, actor=mo, reason="A test.")
        assert PolicyVersion.objects.count() == 1


class TestDiscard:
    def test_it_stays_in_the_history(self, ida: User) -> None:
        draft = changing.draft(lang="", changes={"goal_tree_size": 20}, actor=ida)
        changing.discard(version_id=draft.pk, actor=ida, reason="No.")
        with pytest.raises(Conflict):
            changing.discard(version_id=draft.pk, actor=ida, reason="No.")
        assert acts() == ["policy.draft", "policy.discard"]


def test_each_rule_has_words_and_its_default_is_possible() -> None:
    for rule in TABLE.values():
        assert rule.group in GROUPS and str(rule.label) and str(rule.meaning).endswith(".")
        default = list(rule.default) if isinstance(rule.default, tuple) else rule.default
        assert changing.checked(rule.name, default) == default
