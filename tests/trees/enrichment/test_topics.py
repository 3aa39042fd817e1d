"""Prompts are grouped by what they are about; groups keep their identity from night to night."""

import numpy as np
import pytest
from django.conf import LazySettings
from django.test import Client
from django.urls import reverse

from inference.engine import encoders, tiny
from leaderboard import cached_statistics, statistics_page
from oasst.accounts.models import User
from tests.factories import new_prompt
from tests.trees.enrichment.test_near_duplicates import read_all
from trees.enrichment import about_texts, clustering, topics
from trees.models import Message, PromptTopic, Topic
from trees.schedules import find_topics

BREAD = [f"How long should sourdough bread rest before baking, batch {number}?" for number in range(6)]
MUSIC = [f"Give me a violin lesson: xylophone jazz music quiz {number}" for number in range(6)]


class TestClustering:
    def test_groups_that_lie_apart_are_found(self) -> None:
        rng = np.random.default_rng(1)
        middle = np.eye(8, dtype=np.float32)[:4]
        vectors = np.concatenate([center + rng.normal(0, 0.05, (50, 8)) for center in middle]).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        centers = clustering.find_centers(vectors, 4)
        assert np.allclose(np.sort((centers @ middle.T).max(axis=1)), 1, atol=0.01)
        groups = clustering.assign(vectors, centers).reshape(4, 50)
        assert all(len(set(row)) == 1 for row in groups.tolist()) and len(set(groups[:, 0].tolist())) == 4
        assert np.array_equal(centers, clustering.find_centers(vectors, 4)), "the same seed gives the same"

    def test_begun_centers_keep_their_numbers(self) -> None:
        vectors = np.repeat(np.eye(6, dtype=np.float32), 20, axis=0)
        centers = clustering.find_centers(vectors, 5, centers=np.eye(6, dtype=np.float32)[[3, 1]])
        assert centers[0].argmax() == 3 and centers[1].argmax() == 1

    def test_more_groups_than_different_vectors(self) -> None:
        centers = clustering.find_centers(np.ones((5, 2), dtype=np.float32) / np.float32(2**0.5), 3)
        assert centers.shape == (3, 2) and np.isfinite(centers).all()

    def test_names_tell_groups_apart_and_quote_no_single_text(self) -> None:
        groups = [["bake bread today"] * 4 + ["the secret of Anna"], ["play the violin today"] * 4, ["x"]]
        assert clustering.name_groups(groups, words=2) == ["bake, bread", "play, violin", ""]
        assert clustering.name_groups(groups, words=1, ignored={"bake"})[0] == "bread"


@pytest.mark.django_db
class TestTopics:
    @pytest.fixture(autouse=True)
    def with_model(
        self, settings: LazySettings, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = tmp_path_factory.getbasetemp() / "tiny-encoder"
        if not folder.exists():
            tiny.make_encoder(folder)
        encoders.load_embedder(folder)
        settings.OASST_EMBEDDINGS = str(folder)
        monkeypatch.setattr(topics, "LEAST_PROMPTS", 10)

    def topic_of(self, text: str) -> Topic:
        return PromptTopic.objects.get(message__text=text).topic

    def test_prompts_have_topics_with_names(self, alice: User) -> None:
        for text in BREAD + MUSIC:
            new_prompt(alice, text)
        new_prompt(alice, "Wie backe ich Brot?", lang="de")
        read_all()
        assert find_topics() == 2
        assert len({self.topic_of(text) for text in BREAD}) == len({self.topic_of(text) for text in MUSIC}) == 1
        assert self.topic_of(BREAD[0]).size == 6 and "baking" in self.topic_of(BREAD[0]).name
        assert not Topic.objects.filter(lang="de").exists()

    def test_a_topic_keeps_its_row(self, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
        for text in BREAD + MUSIC:
            new_prompt(alice, text)
        read_all()
        find_topics()
        before = self.topic_of(BREAD[0]).pk
        new_prompt(alice, BREAD[0] + " And rye?")
        read_all()
        find_topics()
        assert self.topic_of(BREAD[0]).pk == self.topic_of(BREAD[0] + " And rye?").pk == before
        about_texts.forget(Message.objects.values_list("pk", flat=True))
        assert not PromptTopic.objects.exists()
        find_topics()
        assert not Topic.objects.exists() or Topic.objects.count() == 2

    def test_hidden_and_rejected_prompts_count_nowhere(self, alice: User) -> None:
        for text in BREAD + MUSIC:
            new_prompt(alice, text)
        Message.objects.filter(text=BREAD[0]).update(hidden=True)
        Message.objects.filter(text=BREAD[1]).update(review_result=False)
        read_all()
        find_topics()
        assert not PromptTopic.objects.filter(message__text__in=BREAD[:2]).exists()
        assert PromptTopic.objects.count() == 10

    def test_moderators_browse_by_topic_and_everybody_sees_the_largest(self, alice: User, mo: User) -> None:
        for text in BREAD + MUSIC:
            new_prompt(alice, text)
        read_all()
        find_topics()
        client = Client()
        client.force_login(mo)
        topic = self.topic_of(BREAD[0])
        page = client.get(reverse("admin:trees_message_changelist"), {"topic": topic.pk}).text
        assert "sourdough bread" in page and "violin lesson" not in page and f"English: {topic.name} (6)" in page
        assert client.get(reverse("admin:trees_message_changelist"), {"topic": "x" * 50}).status_code in (200, 302)
        assert client.get(reverse("admin:trees_message_changelist"), {"topic": "9" * 50}).status_code in (200, 302)
        cached_statistics.refresh(["topics"])
        (section,) = [one for one in statistics_page.page().sections if one.section.name == "topics"]
        assert [f"English: {topic.name}", 6] in section.rows and section.chart is not None
