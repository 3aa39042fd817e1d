"""What reviewers accept is learned from their verdicts; predictions are shown to moderators and order reviews."""

from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any
from unittest import mock
from uuid import UUID, uuid4

import numpy as np
import pytest
from django.conf import LazySettings
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from inference.engine import tiny
from oasst.accounts.models import User
from tasks import hot as tasks_hot
from tests.factories import growing_tree, new_prompt, new_reply
from tests.trees.enrichment.test_near_duplicates import read_all
from tests.trees.quality.made_prompts import MODEL, bad_text, good_text, make_prompts
from trees.lifecycle.states import Work
from trees.models import Message, MessageEmbedding, Opening, QualityModel, QualityScore, Review, Revision
from trees.quality import assessment, features, learning, scores
from trees.quality.learning import State, Target
from trees.schedules import learn_quality, predict_quality

pytestmark = pytest.mark.django_db
FILTERED = reverse("admin:trees_message_changelist") + "?prediction="


@pytest.fixture(autouse=True)
def small_site(monkeypatch: pytest.MonkeyPatch, settings: LazySettings) -> None:
    settings.OASST_EMBEDDINGS = "made"
    for name, value in (("LEAST_TEXTS", 20), ("LEAST_OF_EACH", 5), ("LEAST_OF_LANGUAGE", 10**6), ("FOLDS", 2)):
        monkeypatch.setattr(learning, name, value)
    monkeypatch.setattr(assessment, "ROUNDS", 50)


Decide = Callable[..., list[Message]]


@pytest.fixture
def decided(alice: User, bob: User) -> Decide:
    """Return a function that stores prompts with verdicts and answers about their quality."""

    def store(good: int = 24, bad: int = 16, *, first: int = 0, lang: str = "en") -> list[Message]:
        texts = [good_text(first + number) for number in range(good)]
        texts += [bad_text(first + number) for number in range(bad)]
        return make_prompts(texts, alice, reviewer=bob, lang=lang)

    return store


def model(target: str, lang: str = "") -> QualityModel:
    return QualityModel.objects.get(target=target, lang=lang)


def score(message: Message) -> QualityScore | None:
    return QualityScore.objects.filter(message=message).first()


def offered(person: User) -> UUID | None:
    """Return the message of the review that this user would get next."""
    now = timezone.now()
    return tasks_hot.hold_opening(
        Work.LABEL_INITIAL_PROMPT, person, "en", lease=uuid4(), now=now, until=now + timedelta(minutes=5)
    )


class TestLearning:
    def test_it_works(self, decided: Decide, alice: User) -> None:
        decided()
        assert learn_quality() == 2
        for target in Target.values:
            found = model(target)
            assert found.state == State.IN_FORCE and found.texts == 40, found.figures
            assert found.figures["skill"] > 0.5 and len(found.weights) == 384 + 3 + 1
            assert found.embedding_model == MODEL
        assert model("accepted").figures["auc"] > 0.9 and model("accepted").figures["mean"] == 24 / 40
        good, bad = make_prompts([good_text(77), bad_text(77)], alice)
        assert predict_quality() == 2
        kept, rejected = score(good), score(bad)
        assert kept is not None and rejected is not None
        assert kept.accepted is not None and rejected.accepted is not None and kept.accepted > 0.5 > rejected.accepted
        assert kept.quality is not None and rejected.quality is not None and kept.quality > rejected.quality
        assert predict_quality() == 0, "nothing is left"

    def test_the_same_rows_give_the_same_weights(self, decided: Decide) -> None:
        decided()
        learning.learn()
        before = {one.target: (one.pk, one.version, one.weights, one.figures) for one in QualityModel.objects.all()}
        learning.learn()
        assert before == {
            one.target: (one.pk, one.version, one.weights, one.figures) for one in QualityModel.objects.all()
        }

    def test_verdicts_of_one_kind_teach_nothing(self, decided: Decide, alice: User) -> None:
        decided(good=40, bad=0)
        learning.learn()
        assert model("accepted").state == State.TOO_FEW and model("accepted").weights == []
        assert model("quality").state == State.NO_BETTER, "all answers are the same"
        make_prompts([good_text(99)], alice)
        assert scores.refresh() == 0 and not QualityScore.objects.exists()

    def test_verdicts_by_chance_are_not_used(self, decided: Decide, alice: User) -> None:
        decided()
        for number, message in enumerate(Message.objects.order_by("pk")):
            Message.objects.filter(pk=message.pk).update(review_result=number % 2 == 0)
        learning.learn()
        found = model("accepted")
        assert found.state == State.NO_BETTER and found.figures["skill_low"] <= 0 and found.weights
        make_prompts([bad_text(99)], alice)
        scores.refresh()
        assert not QualityScore.objects.filter(accepted__isnull=False).exists()
        assert not Opening.objects.filter(deferred=True).exists()

    def test_only_present_texts_that_people_judged_count(self, decided: Decide) -> None:
        decided()
        ids = list(Message.objects.order_by("pk").values_list("pk", flat=True))
        for pk, changes in zip(
            ids,
            ({"deleted": True}, {"hidden": True}, {"withdrawn": True}, {"review_result": None}, {"review_count": 0}),
            strict=False,
        ):
            Message.objects.filter(pk=pk).update(**changes)
        edited = Message.objects.get(pk=ids[9])
        revision = Revision.objects.create(message=edited, text="Another text.")
        Message.objects.filter(pk=edited.pk).update(revision=revision)
        assert len(learning.read_examples(MODEL)[Target.ACCEPTED]) == 40 - 6

    def test_answers_of_files(self, decided: Decide) -> None:
        decided(good=1, bad=3)
        Review.objects.all().delete()
        ids = list(Message.objects.order_by("-pk").values_list("pk", flat=True))
        for pk, value in zip(ids, (0.5, "good", 7), strict=False):
            Message.objects.filter(pk=pk).update(imported={"given": {"labels": {"quality": {"value": value}}}})
        examples = learning.read_examples(MODEL)
        assert examples[Target.QUALITY].answers.tolist() == [0.5] and len(examples[Target.ACCEPTED]) == 4

    def test_a_language_has_its_own_model_if_it_does_better(
        self, decided: Decide, monkeypatch: pytest.MonkeyPatch, alice: User
    ) -> None:
        decided()
        decided(first=100, lang="de")
        # In German, reviewers here want the opposite.
        german = Message.objects.filter(lang="de")
        accepted, rejected = german.filter(review_result=True), german.filter(review_result=False)
        ids = list(rejected.values_list("pk", flat=True))
        accepted.update(review_result=False)
        german.filter(pk__in=ids).update(review_result=True)
        monkeypatch.setattr(learning, "LEAST_OF_LANGUAGE", 30)
        learning.learn()
        assert model("accepted", "de").state == model("accepted", "en").state == State.IN_FORCE
        (english,) = make_prompts([good_text(400)], alice)
        (foreign,) = make_prompts([good_text(401)], alice, lang="de")
        scores.refresh()
        first, second = score(english), score(foreign)
        assert first and second and first.accepted and second.accepted and first.accepted > 0.5 > second.accepted
        assert first.version != second.version

    def test_ten_times_the_texts_take_as_many_statements(
        self, decided: Decide, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One for each batch, besides those for the models."""

        def statements() -> int:
            with CaptureQueriesContext(connection) as queries:
                learning.read_examples(MODEL)
            return len(queries)

        decided()
        few = statements()
        decided(good=200, bad=160, first=100)
        assert statements() == few
        monkeypatch.setattr(features, "BATCH", 100)
        assert statements() == few + 3
        monkeypatch.setattr(learning, "LEARNED_FROM", 90)
        assert statements() == few and len(learning.read_examples(MODEL)[Target.ACCEPTED]) == 90

    def test_conversations_stay_in_their_part(self) -> None:
        tree = UUID(int=7)
        assert learning.fold_of(tree) == learning.fold_of(tree)
        assert {learning.fold_of(uuid4()) for _ in range(200)} == set(range(learning.FOLDS))

    def test_features_of_texts_without_words(self) -> None:
        rows = features.features(np.zeros((2, 384), dtype=np.float32), [(0, "assistant", False), (9, "prompter", True)])
        assert rows.shape == (2, 387) and np.isfinite(rows).all()
        assert rows[:, -2:].tolist() == [[1, 0], [0, 1]]


class TestFaults:
    def test_a_killed_run_leaves_the_last_models(self, decided: Decide) -> None:
        decided()
        learning.learn()
        before = list(QualityModel.objects.values_list("pk", "version", "learned_at"))
        for place in ("read_examples", "predict_unseen", "assess", "fit"):
            with mock.patch.object(learning, place, side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
                learning.learn()
        with (
            mock.patch.object(QualityModel.objects, "update_or_create", side_effect=KeyboardInterrupt),
            pytest.raises(KeyboardInterrupt),
        ):
            learning.learn()
        assert list(QualityModel.objects.values_list("pk", "version", "learned_at")) == before

    def test_of_two_runs_the_one_that_began_later_is_stored(self, decided: Decide) -> None:
        decided()
        real = learning.read_examples

        def overtaken(vector: str) -> Any:
            examples = real(vector)
            with mock.patch.object(learning, "read_examples", real):
                learning.learn()
            return examples

        with mock.patch.object(learning, "read_examples", overtaken):
            learning.learn()
        began = [one.learned_at for one in QualityModel.objects.all()]
        assert len(began) == 2 and len(set(began)) == 1
        learned = mock.MagicMock(return_value=began[0] - timedelta(seconds=1))
        with mock.patch.object(learning.timezone, "now", learned):
            learning.learn()
        assert [one.learned_at for one in QualityModel.objects.all()] == began

    def test_without_vectors_nothing_happens(self, settings: LazySettings, alice: User) -> None:
        assert learn_quality() == 0 and not QualityModel.objects.exists()
        with pytest.raises(CommandError, match="No message has a vector yet"):
            call_command("learn_quality")
        settings.OASST_SCORING = False
        with pytest.raises(CommandError, match="OASST_SCORING is off"):
            call_command("learn_quality")

    def test_switched_off_everything_is_as_before(self, decided: Decide, alice: User, settings: LazySettings) -> None:
        decided()
        learning.learn()
        (bad,) = make_prompts([bad_text(50)], alice)
        scores.refresh()
        assert Opening.objects.filter(message=bad, deferred=True).exists()
        settings.OASST_SCORING = False
        assert learn_quality() == 0 and predict_quality() == 0
        assert not Opening.objects.filter(deferred=True).exists() and not QualityScore.objects.exists()

    def test_predictions_of_another_embedding_model_are_never_mixed(self, decided: Decide, alice: User) -> None:
        decided()
        learning.learn()
        waiting, changed = make_prompts([bad_text(50), bad_text(51)], alice)
        MessageEmbedding.objects.filter(message=changed).update(model="another@1")
        scores.refresh()
        assert score(waiting) and not score(changed)
        old = model("accepted").version
        MessageEmbedding.objects.exclude(message=waiting).update(model="another@1")
        learn_quality()
        assert model("accepted").embedding_model == "another@1" and model("accepted").version != old
        assert score(changed) and not score(waiting), "its vector is of the earlier model"
        assert not QualityScore.objects.filter(version__contains=old).exists()

    def test_the_command_says_what_was_learned(self, decided: Decide, alice: User, capsys: Any) -> None:
        decided()
        make_prompts([bad_text(50)], alice)
        call_command("learn_quality")
        said = capsys.readouterr().out
        assert "Reviewers accept it, all languages: in use; 40 texts" in said and "AUC" in said
        assert "1 predictions made" in said


class TestOrder:
    @pytest.fixture
    def prompts(self, decided: Decide, alice: User) -> list[Message]:
        decided()
        learning.learn()
        return make_prompts([bad_text(50), good_text(51), bad_text(52), good_text(53)], alice)

    def test_likely_rejections_come_after_others(self, prompts: list[Message], bob: User, carol: User) -> None:
        assert offered(bob) == prompts[0].pk, "without predictions the oldest comes first"
        scores.refresh()
        assert [offered(carol) for _ in range(6)] == [prompts[at].pk for at in (1, 1, 3, 3, 0, 2)]

    def test_a_likely_rejection_waits_a_day_at_most(self, prompts: list[Message], bob: User) -> None:
        scores.refresh()
        Message.objects.filter(pk=prompts[2].pk).update(created_at=timezone.now() - timedelta(hours=25))
        assert scores.order_reviews() == 2
        assert offered(bob) == prompts[1].pk, "now the oldest opening is first again"
        assert not Opening.objects.filter(message=prompts[2], deferred=True).exists()
        assert Opening.objects.filter(message=prompts[0], deferred=True).count() == 2

    def test_more_reviews_of_it_bring_no_second_day(self, prompts: list[Message], bob: User) -> None:
        """A split vote, or a complaint that a moderator dismissed, makes openings anew."""
        Message.objects.filter(pk=prompts[0].pk).update(created_at=timezone.now() - timedelta(hours=25))
        Opening.objects.filter(message=prompts[0]).update(created_at=timezone.now())
        scores.refresh()
        assert not Opening.objects.filter(message=prompts[0], deferred=True).exists()
        assert offered(bob) == prompts[0].pk

    def test_a_higher_priority_goes_first_all_the_same(self, prompts: list[Message], bob: User) -> None:
        scores.refresh()
        Opening.objects.filter(message=prompts[2]).update(priority=20)
        assert offered(bob) == prompts[2].pk

    def test_decided_and_edited_texts_lose_their_prediction(self, prompts: list[Message]) -> None:
        scores.refresh()
        Opening.objects.filter(message=prompts[0]).delete()
        revision = Revision.objects.create(message=prompts[1], text="Another text.")
        Message.objects.filter(pk=prompts[1].pk).update(revision=revision)
        scores.refresh()
        assert [score(prompt) is not None for prompt in prompts] == [False, False, True, True]

    def test_ten_times_the_texts_take_as_many_statements(self, prompts: list[Message], alice: User) -> None:
        def statements() -> int:
            QualityScore.objects.all().delete()
            Opening.objects.update(deferred=False)
            with CaptureQueriesContext(connection) as queries:
                scores.refresh()
            return len(queries)

        few = statements()
        make_prompts([(bad_text, good_text)[number % 2](100 + number) for number in range(36)], alice)
        assert statements() == few and QualityScore.objects.count() == 40

    def test_more_than_a_batch(self, prompts: list[Message], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(scores, "BATCH", 2)
        monkeypatch.setattr(features, "BATCH", 1)
        assert scores.refresh() == 4 and QualityScore.objects.count() == 4

    @pytest.mark.slow
    def test_new_texts_are_read_and_predicted(
        self, decided: Decide, alice: User, bob: User, tmp_path_factory: pytest.TempPathFactory, settings: LazySettings
    ) -> None:
        """The whole way with an embedding model, which loads torch: a prompt and a reply that were just written."""
        folder = tmp_path_factory.getbasetemp() / "tiny-encoder"
        if not folder.exists():
            tiny.make_encoder(folder)
        settings.OASST_EMBEDDINGS = str(folder)
        decided()
        MessageEmbedding.objects.all().delete()
        call_command("read_messages", kind=["embedding"])
        learn_quality()
        good, bad = new_prompt(alice, good_text(70)), new_prompt(alice, bad_text(71))
        reply = new_reply(growing_tree(alice), bob, bad_text(72))
        read_all()
        predict_quality()
        kept, rejected, answered = score(good), score(bad), score(reply)
        assert kept and rejected and answered and kept.accepted and rejected.accepted
        assert kept.accepted > rejected.accepted


class TestModerators:
    @pytest.fixture
    def prompts(self, decided: Decide, alice: User) -> list[Message]:
        decided()
        learning.learn()
        prompts = make_prompts([good_text(50), bad_text(51), good_text(52)], alice)
        scores.refresh()
        return prompts

    @staticmethod
    def browser(person: User) -> Client:
        client = Client()
        client.force_login(person)
        return client

    def test_a_prediction_stands_beside_its_message(self, prompts: list[Message], mo: User) -> None:
        address = reverse("admin:trees_message_change", args=[prompts[1].pk])
        page = unescape(self.browser(mo).get(address).text)
        found = score(prompts[1])
        assert found is not None
        assert "A machine's prediction" in page
        assert f"{found.accepted:.2f}" in page and "How good the predictions are" in page
        Message.objects.filter(pk=prompts[1].pk).update(review_result=False)
        assert "How good the predictions are" not in self.browser(mo).get(address).text, "reviewers have decided"

    def test_the_list_begins_with_the_surest_rejections(self, prompts: list[Message], mo: User) -> None:
        browser = self.browser(mo)
        page = browser.get(FILTERED + "rejected").text
        assert prompts[1].text[:30] in page and prompts[0].text[:30] not in page
        page = browser.get(FILTERED + "lowest").text
        places = [page.index(prompts[at].text) for at in (1, 0, 2)]
        assert places[0] < min(places[1:])
        assert browser.get(FILTERED + "nonsense").status_code == 200

    def test_how_good_predictions_are(self, prompts: list[Message], mo: User) -> None:
        page = self.browser(mo).get(reverse("admin:trees_qualitymodel_change", args=[model("accepted").pk])).text
        assert 'role="img" aria-label="Calibration plot' in page and page.count("calibration__point") == 10
        assert "3 of them have a prediction" in page and "1 is probably not accepted" in page
        assert model("accepted").version in page and model("accepted").embedding_model in page
        page = self.browser(mo).get(reverse("admin:trees_qualitymodel_changelist")).text
        assert "Reviewers accept it" in page and "In use" in page

    def test_a_site_that_has_learned_nothing_says_what_it_takes(self, mo: User) -> None:
        page = self.browser(mo).get(reverse("admin:trees_qualitymodel_changelist")).text
        assert "It takes 200 decided texts" in page

    def test_a_model_that_could_not_be_learned(self, decided: Decide, mo: User) -> None:
        decided(good=2, bad=1)
        said: list[str] = []
        learning.learn(say=said.append)
        assert said[0] == (
            "Reviewers accept it: too few to learn from: 3 texts, 2 accepted and 1 rejected. "
            "Needed are 20, at least 5 of each, from several conversations."
        )
        page = self.browser(mo).get(reverse("admin:trees_qualitymodel_change", args=[model("accepted").pk]))
        assert page.status_code == 200 and "too few texts" in page.text and "<svg class" not in page.text

    def test_nobody_else_sees_predictions(self, prompts: list[Message], alice: User) -> None:
        browser = self.browser(alice)
        for address in (
            reverse("admin:trees_qualitymodel_changelist"),
            reverse("admin:trees_qualitymodel_change", args=[model("accepted").pk]),
            FILTERED + "rejected",
        ):
            assert browser.get(address).status_code == 403
            assert Client().get(address).status_code == 302
        assert "prediction" not in browser.get(reverse("tree", args=[prompts[1].pk])).text

    def test_the_list_takes_the_same_statements_for_more_rows(
        self, prompts: list[Message], alice: User, mo: User
    ) -> None:
        browser = self.browser(mo)
        browser.get(FILTERED + "lowest")
        with CaptureQueriesContext(connection) as few:
            browser.get(FILTERED + "lowest")
        make_prompts([good_text(100 + number) for number in range(20)], alice)
        scores.refresh()
        with CaptureQueriesContext(connection) as many:
            browser.get(FILTERED + "lowest")
        assert len(many) == len(few)
