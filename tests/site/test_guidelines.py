"""The guidelines, and the explanations at the work itself."""

import re

import pytest
from django.test import Client
from django.urls import reverse

from oasst.accounts.models import User
from oasst.site import guidelines
from oasst.site.guidelines import TOPICS, VERSIONS, digest_of_texts
from tasks import assignment
from tasks.kinds import TABLE, Kind
from tests.factories import new_prompt
from trees.contributing.outcomes import Outcome
from trees.label_guide import MEANINGS, examples_of
from trees.label_questions import LabelQuestions
from trees.labels import LABELS
from trees.lifecycle.policy import TreePolicy


class TestPages:
    @pytest.mark.django_db
    @pytest.mark.parametrize("slug", TOPICS)
    def test_each_has_three_rules_its_version_and_unique_ids(self, slug: str) -> None:
        text = Client().get(reverse("guidelines_topic", args=[slug])).text
        rules = re.search(r'<section class="rules">.*?</section>', text, re.DOTALL)
        assert rules and rules[0].count("<li>") == 3
        assert "Version of" in text and text.count("<h1>") == 1
        ids = re.findall(r'\sid="([^"]+)"', text)
        assert len(ids) == len(set(ids))

    @pytest.mark.django_db
    def test_the_overview_links_all_and_has_the_versions(self) -> None:
        text = Client().get(reverse("guidelines")).text
        for slug in TOPICS:
            assert reverse("guidelines_topic", args=[slug]) in text
        for version in VERSIONS:
            assert version.on.isoformat() in text
        assert Client().get("/guidelines/nothing/").status_code == 404

    def test_a_change_needs_a_new_version(self) -> None:
        """After a change of meaning put a new entry on top of VERSIONS; after a typo only change the digest."""
        assert VERSIONS[0].digest == digest_of_texts()
        assert [one.on for one in VERSIONS] == sorted((one.on for one in VERSIONS), reverse=True)


class TestLabels:
    def test_each_is_explained_with_both_sides(self) -> None:
        assert MEANINGS.keys() == LABELS.keys()
        assert all(one.text and one.yes and one.no for one in MEANINGS.values())

    @pytest.mark.django_db
    def test_a_scale_runs_the_same_way_in_the_form_the_guidelines_and_the_outcome(self) -> None:
        guide = Client().get(reverse("guidelines_topic", args=["reviewing"])).text
        scales = next(group for group in LabelQuestions(asked=tuple(LABELS)).groups if group.widget == "likert")
        assert scales.fields
        for field in scales.fields:
            label = LABELS[field.name]
            first, last = label.ends
            values = [float(value) for value, _chosen in field.label_def["points"]]  # type: ignore[attr-defined]
            assert [label.point(value) for value in values] == [1, 2, 3, 4, 5]
            assert [Outcome(label, values[at], 2).in_words for at in (0, -1)] == ["1 of 5", "5 of 5"]
            assert [answer for answer, _example in examples_of(label)] == [first, last]
            assert f"A scale from 1 ({first}) to 5 ({last})." in guide
        assert LABELS["toxicity"].ends == ("rude", "polite")

    @pytest.mark.django_db
    def test_the_guidelines_have_all_of_them(self) -> None:
        text = Client().get(reverse("guidelines_topic", args=["reviewing"])).text
        for name in LABELS:
            assert f'id="label-{name}"' in text

    @pytest.mark.django_db
    def test_each_question_of_a_review_is_explained_without_hover_or_script(
        self, alice: User, bob: User, policy: TreePolicy
    ) -> None:
        new_prompt(alice)
        task = assignment.request_task(user=bob, lang="en", kind=Kind.LABEL_INITIAL_PROMPT, policy=policy)
        browser = Client()
        browser.force_login(bob)
        text = browser.get(reverse("task", args=[task.pk])).text
        asked = re.findall(r'data-question="(\w+)"', text)
        assert asked == [*dict.fromkeys(asked)] and set(asked) == set(policy.labels_initial_prompt)
        assert text.count('<details class="meaning">') == len(asked)
        for name in asked:
            assert f'{reverse("guidelines_topic", args=["reviewing"])}#label-{name}"' in text
        assert reverse("guidelines_topic", args=["reviewing"]) in text and "All rules for this task" in text


class TestTasks:
    @pytest.mark.django_db
    @pytest.mark.parametrize("kind", Kind)
    def test_each_kind_leads_to_a_section_that_exists(self, kind: Kind) -> None:
        path, _, section = TABLE[kind].guidelines_url.partition("#")
        text = Client().get(path).text
        assert len(TABLE[kind].guide) == 3 and (not section or f'id="{section}"' in text)

    def test_pages_and_topics_agree(self) -> None:
        assert {TABLE[kind].guidelines.partition("#")[0] for kind in Kind} <= set(guidelines.TOPICS)

    @pytest.mark.django_db
    def test_the_dashboard_links_them(self, bob: User) -> None:
        browser = Client()
        browser.force_login(bob)
        assert f'href="{reverse("guidelines")}"' in browser.get(reverse("dashboard")).text
