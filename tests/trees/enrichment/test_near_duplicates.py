"""Messages that say nearly the same are found while writing, and as pairs for moderators. Nothing is ever blocked."""

from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from unittest import mock

import pytest
from django.conf import LazySettings
from django.core.cache import cache
from django.core.management import call_command
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from inference.engine import encoders, tiny
from oasst.accounts.models import User
from oasst.core.errors import Conflict, Invalid, NotAllowed
from tests.factories import DEFAULT, decide, growing_tree, new_person, new_prompt, new_reply
from trees import jobs
from trees.contributing import corrections
from trees.enrichment import about_texts, embeddings, pairs, registry
from trees.enrichment.near_duplicates import Found, Similar, find_hints, find_similar
from trees.enrichment.pairs import waiting_pairs
from trees.enrichment.readers import Text
from trees.models import Message, MessageEmbedding, NearDuplicate, TextSketch, WaitingComparison
from trees.models.similarity import AboutText
from trees.moderation import moderator_actions

pytestmark = pytest.mark.django_db
BREAD = "How do I bake a good sourdough bread in an ordinary oven at home?"
BREAD_AGAIN = "How do I bake a very good sourdough bread in an ordinary oven at home?"
TOAST = "Which cheese melts best on a slice of toast under the grill of an oven?"
TOAST_AGAIN = "Which cheese melts best on a thin slice of toast under the grill of an oven?"
CATS = "Give me a joke about cats."
Status = NearDuplicate.Status


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny-encoder"
    tiny.make_encoder(folder)
    encoders.load_embedder(folder)
    return folder


@pytest.fixture
def with_model(model: Path, settings: LazySettings) -> Iterator[None]:
    settings.OASST_EMBEDDINGS = str(model)
    yield


def read_all() -> None:
    """Do what the jobs do, until nothing waits."""
    jobs.queue_unread_texts()
    for kind in registry.readers():
        jobs.read_texts(kind)
    jobs.find_near_duplicates()


def found(text: str, lang: str = "en") -> list[str]:
    return [one.text for one in find_similar(text, lang)]


def meant(text: str, lang: str = "en") -> list[str]:
    """Return only what the vectors find."""
    return [one.text for one in find_similar(text, lang) if one.meaning is not None]


def found_pairs() -> set[tuple[str, str]]:
    return set(NearDuplicate.objects.values_list("first__text", "second__text"))


def compare_again() -> None:
    """Let the wording of all texts wait to be compared."""
    WaitingComparison.objects.bulk_create(
        [WaitingComparison(message_id=pk, score="wording") for pk in TextSketch.objects.values_list("pk", flat=True)],
        ignore_conflicts=True,
    )


def versions_of_rows() -> list[tuple[str, str]]:
    """Return where PostgreSQL keeps each row of the two large tables: elsewhere after each update."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT message_id::text, ctid::text FROM trees_messageembedding "
            "UNION ALL SELECT message_id::text, ctid::text FROM trees_textsketch ORDER BY 1, 2"
        )
        return cursor.fetchall()


class TestWhileWriting:
    def test_a_prompt_of_the_same_wording(self, alice: User) -> None:
        prompt = new_prompt(alice, BREAD)
        new_prompt(alice, CATS)
        read_all()
        (one,) = find_similar(BREAD_AGAIN, "en")
        assert isinstance(one, Similar) and one.message_id == prompt.pk
        assert one.wording is not None and 0.7 < one.wording < 1 and one.meaning is None

    def test_a_prompt_of_the_same_meaning(self, alice: User, with_model: None) -> None:
        new_prompt(alice, BREAD)
        new_prompt(alice, CATS)
        read_all()
        (one,) = find_similar("In an ordinary oven at home, a good sourdough bread: how do I bake it?", "en")
        assert one.text == BREAD and one.meaning is not None and one.meaning > 0.8

    def test_the_best_comes_first_and_not_too_many(self, alice: User, with_model: None) -> None:
        for number in range(6):
            new_prompt(alice, f"{BREAD} Number {number} of many.")
        new_prompt(alice, BREAD)
        read_all()
        similar = find_similar(BREAD, "en", limit=3)
        assert similar[0].text == BREAD and len(similar) == 3

    def test_only_prompts_of_the_language_that_everybody_may_read_and_nobody_rejected(self, alice: User) -> None:
        texts = [f"{BREAD} {word}" for word in ("Here", "There", "Soon", "Later")]
        spanish, deleted, rejected, hidden = (
            new_prompt(alice, text, lang="es" if number == 0 else "en") for number, text in enumerate(texts)
        )
        root = growing_tree(new_person("Dora"))
        new_reply(root, alice, BREAD + " Said in a reply")
        moderator_actions.delete_message(
            message_id=deleted.pk, actor=new_person("Max", role="moderator"), reason="spam", policy=DEFAULT
        )
        decide(rejected, accept=False)
        Message.objects.filter(pk=hidden.pk).update(hidden=True)
        read_all()
        assert found(BREAD) == []
        assert found(BREAD, "es") == [spanish.text]

    def test_an_edited_text_is_found_by_its_new_words_only(self, alice: User, mo: User, with_model: None) -> None:
        prompt = new_prompt(alice, BREAD)
        read_all()
        moderator_actions.edit_message(
            message_id=prompt.pk, actor=mo, text=CATS, reason="another question", policy=DEFAULT
        )
        assert found(BREAD) == []  # also before the new text is read
        read_all()
        assert found(BREAD) == [] and found(CATS) == [CATS]

    def test_without_a_model_words_are_compared_all_the_same(
        self, alice: User, settings: LazySettings, tmp_path: Path
    ) -> None:
        settings.OASST_EMBEDDINGS = str(tmp_path / "nothing")
        new_prompt(alice, BREAD)
        read_all()
        assert found(BREAD_AGAIN) == [BREAD]
        assert not MessageEmbedding.objects.exists()

    def test_switched_off(self, alice: User, settings: LazySettings, with_model: None) -> None:
        settings.OASST_SCORING = False
        new_prompt(alice, BREAD)
        read_all()
        assert found(BREAD_AGAIN) == [] and not TextSketch.objects.exists()

    def test_vectors_of_another_model_are_not_compared(self, alice: User, with_model: None) -> None:
        new_prompt(alice, BREAD)
        read_all()
        MessageEmbedding.objects.update(model="another@123")
        TextSketch.objects.all().delete()
        assert found(BREAD) == []

    def test_another_model_is_taken_into_use_while_the_site_runs(
        self, alice: User, with_model: None, settings: LazySettings, tmp_path: Path
    ) -> None:
        reordered = "In an ordinary oven at home, a good sourdough bread: how do I bake it?"
        new_prompt(alice, BREAD)
        read_all()
        assert meant(reordered) == [BREAD]
        tiny.make_encoder(tmp_path / "another-encoder")
        settings.OASST_EMBEDDINGS = str(tmp_path / "another-encoder")
        embeddings.load()
        assert meant(reordered) == [] and found(BREAD_AGAIN) == [BREAD], "the wording is found meanwhile"
        new_prompt(alice, reordered)
        read_all()
        assert not NearDuplicate.objects.exclude(meaning=None).exists(), "vectors of two models are not compared"
        said = StringIO()
        call_command("read_messages", kind=["embedding"], again=True, stdout=said, stderr=StringIO())
        assert said.getvalue() == "2 messages: 2 readings asked for, 2 made.\n"
        jobs.find_near_duplicates()
        assert set(meant(reordered)) == {reordered, BREAD}
        assert NearDuplicate.objects.exclude(meaning=None).get().second.text == reordered
        assert len(set(MessageEmbedding.objects.values_list("model", flat=True))) == 1

    def test_a_model_for_english_is_not_asked_about_other_languages(
        self, alice: User, settings: LazySettings, tmp_path: Path
    ) -> None:
        settings.OASST_EMBEDDINGS = str(tmp_path / "all-minilm-tiny")
        tiny.make_encoder(tmp_path / "all-minilm-tiny")
        embeddings.load()
        question, reordered = "Wie backe ich zu Hause ein gutes Brot?", "Ein gutes Brot: Wie backe ich es zu Hause?"
        for lang in ("de", "en"):
            for text in (question, reordered):
                new_prompt(new_person("Someone"), text, lang=lang)
        read_all()
        assert {pair.first.lang for pair in NearDuplicate.objects.exclude(meaning=None)} == {"en"}
        assert meant(question, "de") == [] and len(meant(question, "en")) == 2

    @pytest.mark.parametrize(
        ("model", "german"),
        [
            ("all-minilm-l6-v2@53aa51172d14", False),
            ("intfloat--e5-small-v2@0", False),
            ("BAAI--bge-small-en-v1.5@0", False),
            ("intfloat--multilingual-e5-small@0", True),
            ("sentence-transformers--paraphrase-multilingual-MiniLM-L12-v2@0", True),
            ("our-own@0", True),
        ],
    )
    def test_languages_of_models(self, model: str, german: bool) -> None:
        assert embeddings.knows(model, "en-GB") and embeddings.knows(model, "de") == german

    def test_a_model_of_other_dimensions_is_refused(
        self, model: Path, with_model: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(embeddings, "DIMENSIONS", 768)
        assert embeddings.embed_now(BREAD) is None
        with pytest.raises(Exception, match="have 384 dimensions, and this site stores 768"):
            embeddings.load()

    def test_hostile_texts(self, alice: User, with_model: None) -> None:
        new_prompt(alice, BREAD)
        read_all()
        for text in ("", "\0", "\ud800", "%s" * 500, "🍞" * 2000, "'; DROP TABLE", "x" * 200_000):
            assert find_similar(text, "en") == []
        assert find_similar(BREAD, "no-such-language") == []

    def test_the_statements_do_not_grow_with_the_prompts(self, alice: User, with_model: None) -> None:
        for number in range(12):
            new_prompt(alice, f"{BREAD} Number {number} of many.")
        read_all()
        with CaptureQueriesContext(connection) as queries:
            find_similar(BREAD, "en")
        assert len([one for one in queries if "SAVEPOINT" not in one["sql"]]) == 5


class TestPairs:
    def test_each_pair_is_found_once(self, alice: User, with_model: None) -> None:
        new_prompt(alice, BREAD)
        new_prompt(alice, BREAD_AGAIN)
        new_prompt(alice, CATS)
        read_all()
        read_all()
        pair = NearDuplicate.objects.get()
        assert found_pairs() == {(BREAD, BREAD_AGAIN)}
        assert pair.wording is not None and pair.wording > 0.7 and pair.meaning is not None and pair.meaning > 0.8
        assert not WaitingComparison.objects.exists()

    def test_comparing_writes_no_row_anew(self, alice: User, with_model: None) -> None:
        """A new version of a row is a new entry in each index of its table, also in that of the vectors."""
        new_prompt(alice, BREAD)
        new_prompt(alice, BREAD_AGAIN)
        jobs.queue_unread_texts()
        for kind in registry.readers():
            jobs.read_texts(kind)
        assert WaitingComparison.objects.count() == 4 and not NearDuplicate.objects.exists()
        before = versions_of_rows()
        jobs.find_near_duplicates()
        assert NearDuplicate.objects.exists() and not WaitingComparison.objects.exists()
        assert versions_of_rows() == before

    def test_rows_that_the_release_before_left_are_compared(self, alice: User, with_model: None) -> None:
        new_prompt(alice, BREAD)
        new_prompt(alice, BREAD_AGAIN)
        read_all()
        NearDuplicate.objects.all().delete()
        TextSketch.objects.update(compared=False)
        MessageEmbedding.objects.update(compared=False)
        assert jobs.find_near_duplicates() == 4
        pair = NearDuplicate.objects.get()
        assert pair.wording is not None and pair.meaning is not None
        assert jobs.find_near_duplicates() == 0

    def test_whoever_is_compared_last_finds_the_other(self, alice: User) -> None:
        """Two texts stored by transactions that did not see each other."""
        new_prompt(alice, BREAD)
        read_all()
        new_prompt(alice, BREAD_AGAIN)
        jobs.queue_unread_texts()
        jobs.read_texts("wording")
        assert found_pairs() == set()
        compare_again()
        jobs.find_near_duplicates()
        assert found_pairs() == {(BREAD, BREAD_AGAIN)}

    def test_replies_by_their_words_only_and_no_suggested_edits(self, alice: User, bob: User, with_model: None) -> None:
        root = growing_tree(alice)
        long = "Take flour, water and salt, knead them for ten minutes, and let the dough rest for a whole night."
        original = new_reply(root, bob, long)
        corrections.suggest(
            message_id=original.pk, user=new_person("Cleo"), text=long.replace("whole", "long"), policy=DEFAULT
        )
        new_reply(root, new_person("Dora"), long + " Then bake it.")
        read_all()
        assert {second for _, second in found_pairs()} == {long + " Then bake it."}
        assert all(pair.meaning is None for pair in NearDuplicate.objects.all())

    def test_many_equal_texts_make_few_pairs(self, alice: User) -> None:
        for number in range(20):
            new_prompt(new_person("Someone"), f"{BREAD} {number}")
        read_all()
        assert NearDuplicate.objects.count() <= 20 * pairs.MAX_PAIRS

    def test_an_edit_ends_the_pair(self, alice: User, mo: User, with_model: None) -> None:
        new_prompt(alice, BREAD)
        again = new_prompt(alice, BREAD_AGAIN)
        read_all()
        moderator_actions.edit_message(message_id=again.pk, actor=mo, text=CATS, reason="other", policy=DEFAULT)
        read_all()
        assert found_pairs() == set()

    def test_erased_texts_leave_nothing(self, alice: User, with_model: None) -> None:
        kept, erased = new_prompt(alice, BREAD), new_prompt(alice, BREAD_AGAIN)
        read_all()
        about_texts.forget([erased.pk])
        for table in (TextSketch, MessageEmbedding):
            assert list(table._default_manager.values_list("message", flat=True)) == [kept.pk]
        assert found_pairs() == set()

    def test_a_late_result_about_an_old_text_is_not_stored(self, alice: User, mo: User) -> None:
        prompt = new_prompt(alice, BREAD)
        reader = registry.readers()["wording"]
        old = Text(prompt.revision_id, prompt.pk, BREAD, "en")
        (outcome,) = reader.read([old])
        new_prompt(new_person("Dora"), TOAST_AGAIN)
        moderator_actions.edit_message(message_id=prompt.pk, actor=mo, text=TOAST, reason="other", policy=DEFAULT)
        read_all()
        with transaction.atomic():
            reader.keep([(old, outcome)])  # type: ignore[list-item]
        assert found(BREAD) == [] and TOAST in found(TOAST)
        assert found_pairs() == {(TOAST, TOAST_AGAIN)}

    def test_no_row_of_an_erased_text_is_stored(self, alice: User) -> None:
        prompt = new_prompt(alice, BREAD)
        reader = registry.readers()["wording"]
        text = Text(prompt.revision_id, prompt.pk, BREAD, "en")
        (outcome,) = reader.read([text])
        Message.objects.filter(pk=prompt.pk).update(text="")
        with transaction.atomic():
            reader.keep([(text, outcome)])  # type: ignore[list-item]
        assert not TextSketch.objects.exists()

    def test_storing_locks_no_message_against_reviews(self, alice: User) -> None:
        new_prompt(alice, BREAD)
        jobs.queue_unread_texts()
        with CaptureQueriesContext(connection) as queries:
            jobs.read_texts("wording")
        locking = [one["sql"] for one in queries if 'FOR NO KEY UPDATE OF "trees_message"' in one["sql"]]
        assert TextSketch.objects.exists() and locking == []

    def test_one_worker_at_a_time(self, alice: User) -> None:
        new_prompt(alice, BREAD)
        jobs.queue_unread_texts()
        jobs.read_texts("wording")
        compare_again()
        cache.add(pairs.MARK, True, timeout=60)
        try:
            assert jobs.find_near_duplicates() == 0
        finally:
            cache.delete(pairs.MARK)
        assert jobs.find_near_duplicates() == 1
        assert cache.get(pairs.MARK) is None

    def test_a_text_that_cannot_be_compared_stops_no_other(self, alice: User) -> None:
        for text in (BREAD, BREAD_AGAIN, TOAST):
            new_prompt(alice, text)
        jobs.queue_unread_texts()
        jobs.read_texts("wording")
        compare_again()
        NearDuplicate.objects.all().delete()
        real = pairs._others

        def fail_for_toast(row: AboutText) -> Found:
            if row.message.text == TOAST:
                raise ValueError("odd text")
            return real(row)

        with mock.patch.object(pairs, "_others", fail_for_toast):
            assert jobs.find_near_duplicates() == 3
        assert found_pairs() == {(BREAD, BREAD_AGAIN)}
        assert not WaitingComparison.objects.exists()

    def test_switched_off(self, alice: User, settings: LazySettings) -> None:
        new_prompt(alice, BREAD)
        read_all()
        compare_again()
        settings.OASST_SCORING = False
        assert jobs.find_near_duplicates() == 0 and find_hints(BREAD_AGAIN, "en") == []
        settings.OASST_SCORING = True
        assert jobs.find_near_duplicates() == 1 and len(find_hints(BREAD_AGAIN, "en")) == 1


class TestDeciding:
    @pytest.fixture
    def pair(self, alice: User) -> NearDuplicate:
        new_prompt(alice, BREAD)
        new_prompt(alice, BREAD_AGAIN)
        read_all()
        return NearDuplicate.objects.get()

    def test_a_dismissed_pair_stays_dismissed(self, pair: NearDuplicate, mo: User) -> None:
        pairs.decide(pair_id=pair.pk, actor=mo, reason="Another oven", status=Status.DISMISSED)
        compare_again()
        jobs.find_near_duplicates()
        pair.refresh_from_db()
        assert (pair.status, pair.decided_by, pair.reason) == (Status.DISMISSED, mo, "Another oven")
        with pytest.raises(Conflict):
            pairs.decide(pair_id=pair.pk, actor=mo, reason="again", status=Status.REMOVED)

    def test_refusals_change_nothing(self, pair: NearDuplicate, mo: User, eve: User) -> None:
        with pytest.raises(NotAllowed):
            pairs.decide(pair_id=pair.pk, actor=eve, reason="x", status=Status.DISMISSED)
        with pytest.raises(Invalid):
            pairs.decide(pair_id=pair.pk, actor=mo, reason=" ", status=Status.DISMISSED)
        assert list(waiting_pairs()) == [pair]

    def test_a_pair_with_a_hidden_message_does_not_wait(self, pair: NearDuplicate) -> None:
        Message.objects.filter(pk=pair.first_id).update(hidden=True)
        assert not waiting_pairs().exists()
