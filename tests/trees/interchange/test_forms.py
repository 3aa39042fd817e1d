"""What a model learns from: the forms of a snapshot, against the rules of Open-Assistant's loader."""

import json
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings

from oasst.core.errors import Invalid
from oasst.core.json_lines import read_lines
from tests.paths import SAMPLE
from tests.readers.reference_loader import rl_prompts, rm_samples, sft_threads, trees_from_rows
from tests.trees.interchange.made_trees import all_messages, node, random_trees, ranking, tree
from tests.trees.interchange.record_from_line import record_from_line
from trees.interchange.flat import Type
from trees.interchange.forms import FORMS
from trees.interchange.tree_record import MESSAGE_COLUMNS, SPLITS, TreeRecord

Row = dict[str, Any]
Texts = list[str]
FORM = {form.name: form for form in FORMS}


def rows(name: str, record: TreeRecord) -> list[Row]:
    return list(FORM[name].rows(record))


def texts(messages: Sequence[Row]) -> Texts:
    return [message["content"] if "content" in message else message["text"] for message in messages]


def worked_example() -> TreeRecord:
    """The tree by which the loader's rules are described."""
    best = node("A-best", node("F", node("B0", rank=0), node("B1", rank=1)), rank=0)
    middle = node("A-mid", node("Q1"), node("Q2"), rank=1)
    return tree(node("P", best, middle, node("A-worst", rank=2), node("A-deleted", rank=3, deleted=True)))


@pytest.fixture(scope="module")
def sample() -> list[TreeRecord]:
    return [record_from_line(json.loads(line), basis="license Apache-2.0") for line in read_lines(SAMPLE)]


class TestTheWorkedExample:
    THREADS = [["P", "A-best", "F", "B0"], ["P", "A-best", "F", "B1"], ["P", "A-mid"], ["P", "A-worst"]]

    def test_the_independent_loader_takes_what_its_description_says(self) -> None:
        example = worked_example().tree
        assert [texts(thread) for thread in sft_threads(example)] == self.THREADS
        assert [texts(thread) for thread in sft_threads(example, top_k=2)] == self.THREADS[:3]
        assert [texts(thread) for thread in sft_threads(example, top_k=1)] == self.THREADS[:1]
        assert [(texts(path), texts(replies)) for path, replies in rm_samples(example)] == [
            (["P"], ["A-best", "A-mid", "A-worst", "A-deleted"]),
            (["P", "A-best", "F"], ["B0", "B1"]),
        ]

    def test_threads_are_those_of_the_loader(self) -> None:
        found = rows("threads", worked_example())
        assert [texts(row["messages"]) for row in found] == self.THREADS
        assert [row["top_k"] for row in found] == [1, 2, 2, 3]

    def test_rankings_are_those_of_the_loader_without_the_deleted_reply(self) -> None:
        found = [(texts(row["prompt"]), texts(row["replies"])) for row in rows("rankings", worked_example())]
        assert found == [(["P"], ["A-best", "A-mid", "A-worst"]), (["P", "A-best", "F"], ["B0", "B1"])]

    def test_pairs_are_all_pairs_of_the_rankings(self) -> None:
        found = [(texts(row["chosen"]), texts(row["rejected"])) for row in rows("pairs", worked_example())]
        assert found == [
            (["A-best"], ["A-mid"]),
            (["A-best"], ["A-worst"]),
            (["A-mid"], ["A-worst"]),
            (["B0"], ["B1"]),
        ]

    def test_the_best_is_good_and_the_worst_is_bad(self) -> None:
        labels = {row["completion"][0]["content"]: row["label"] for row in rows("kto", worked_example())}
        assert labels == {"A-best": True, "A-worst": False, "B0": True, "B1": False}


def without_bad_messages(record: TreeRecord) -> Row:
    """Return the tree without what the documented checks reject, as a loader may be given it."""
    cleaned = deepcopy(record.tree)
    waiting = [cleaned["prompt"]]
    while waiting:
        message = waiting.pop()
        message["replies"] = [reply for reply in message["replies"] if is_good(reply) and is_turn(message, reply)]
        waiting.extend(message["replies"])
    if not is_good(cleaned["prompt"]) or cleaned["prompt"]["role"] != "prompter":
        cleaned["tree_state"] = "aborted_low_grade"
    return cleaned


def is_good(message: Row) -> bool:
    fine = message["review_result"] and not message["deleted"] and not message["synthetic"]
    return bool(fine and message["text"].strip())


def is_turn(message: Row, reply: Row) -> bool:
    return {message["role"], reply["role"]} == {"prompter", "assistant"}


def ids(path: Sequence[Row]) -> tuple[str, ...]:
    return tuple(message["message_id"] for message in path)


def taken(record: TreeRecord, load: Callable[..., list[Any]], **options: Any) -> list[Any]:
    cleaned = without_bad_messages(record)
    return load(cleaned, lang=cleaned["prompt"]["lang"] or "", **options) if cleaned["prompt"]["lang"] else []


def longest_only(threads: Sequence[Sequence[Row]]) -> list[tuple[str, ...]]:
    """Return the threads that do not only begin another one."""
    found = {ids(thread) for thread in threads}
    beginnings = {thread[:length] for thread in found for length in range(1, len(thread))}
    return sorted(found - beginnings)


def has_lang(record: TreeRecord) -> bool:
    return record.tree["prompt"]["lang"] is not None


class TestAgainstTheLoader:
    @settings(max_examples=150, deadline=None)
    @given(random_trees())
    def test_threads_and_rankings_are_what_it_takes_from_good_messages(self, record: TreeRecord) -> None:
        if not has_lang(record):
            return
        threads = rows("threads", record)
        assert sorted(tuple(row["message_ids"]) for row in threads) == longest_only(taken(record, sft_threads))
        for top_k in (1, 2):
            kept = {tuple(row["message_ids"]) for row in threads if row["top_k"] is not None and row["top_k"] <= top_k}
            assert kept <= {ids(thread) for thread in taken(record, sft_threads, top_k=top_k)}
        expected = [(path[-1]["message_id"], sorted(ids(replies))) for path, replies in taken(record, rm_samples)]
        found = [(row["prompt_id"], sorted(ids(row["replies"]))) for row in rows("rankings", record)]
        assert found == expected
        for row in rows("rankings", record):
            ranks = [reply["rank"] for reply in row["replies"]]
            assert ranks == sorted(ranks)

    def test_all_of_the_sample(self, sample: list[TreeRecord]) -> None:
        """From the rows of the published form, as researchers read it."""
        trees = trees_from_rows([row for record in sample for row in rows("messages", record)])
        threads = [ids(thread) for one in trees for thread in sft_threads(one)]
        ours = [tuple(row["message_ids"]) for record in sample for row in rows("threads", record)]
        assert len(ours) == 264
        assert set(ours) <= set(threads)
        beginnings = {thread[:length] for thread in threads for length in range(1, len(thread))}
        assert set(threads) - set(ours) <= beginnings, "the loader repeats the beginnings of some threads"
        human = [(path, replies) for one in trees for path, replies in rm_samples(one) if all(map(is_good, replies))]
        found = [tuple(texts(row["replies"])) for record in sample for row in rows("rankings", record)]
        assert found == [tuple(texts(replies)) for _, replies in human]
        prompts = {path[0]["message_id"] for one in trees for path in rl_prompts(one)}
        assert len(prompts) == sum(len(rows("prompts", record)) for record in sample) == 47


class TestEveryForm:
    @settings(max_examples=100, deadline=None)
    @given(random_trees())
    def test_each_row_has_the_columns_and_their_types(self, record: TreeRecord) -> None:
        for form in FORMS:
            for row in form.rows(record):
                assert list(row) == list(form.columns)
                assert fits(row, form.columns), row

    @settings(max_examples=60, deadline=None)
    @given(random_trees())
    def test_no_text_is_lost(self, record: TreeRecord) -> None:
        found = rows("messages", record)
        assert sorted(row["message_id"] for row in found) == sorted(ids(all_messages(record)))
        assert sorted(texts(found)) == sorted(texts(all_messages(record)))
        seen: set[str] = set()
        for row in found:
            assert row["parent_id"] is None or row["parent_id"] in seen, "each message comes before its replies"
            seen.add(row["message_id"])
        usable = {one for path in good_paths(record) for one in ids(path) if path[-1]["role"] == "assistant"}
        in_threads = {one for row in rows("threads", record) for one in row["message_ids"]}
        assert in_threads == (usable if record.tree["tree_state"] == "ready_for_export" else set())

    @settings(max_examples=60, deadline=None)
    @given(random_trees())
    def test_threads_alternate_and_none_begins_another(self, record: TreeRecord) -> None:
        threads = rows("threads", record)
        for row in threads:
            roles = [message["role"] for message in row["messages"]]
            assert roles == ["user", "assistant"] * (len(roles) // 2)
            assert all(message["content"].strip() for message in row["messages"])
        paths = [row["message_ids"] for row in threads]
        assert not [(a, b) for a in paths for b in paths if a is not b and b[: len(a)] == a]

    @settings(max_examples=100, deadline=None)
    @given(random_trees())
    def test_two_replies_are_one_pair_in_one_order(self, record: TreeRecord) -> None:
        pairs = [(row["chosen_id"], row["rejected_id"]) for row in rows("pairs", record)]
        assert len({frozenset(pair) for pair in pairs}) == len(pairs)
        for row in rows("pairs", record):
            assert row["chosen"] != row["rejected"]
            share, people = row["preference_share"], row["rankings"]
            assert (share is None) == (not people)
            assert share is None or share >= 0.5
            if share in (None, 0.5):
                assert row["chosen_rank"] < row["rejected_rank"]

    @settings(max_examples=60, deadline=None)
    @given(random_trees())
    def test_the_same_record_gives_the_same_rows(self, record: TreeRecord) -> None:
        for form in FORMS:
            assert list(form.rows(record)) == list(form.rows(deepcopy(record)))

    @settings(max_examples=30, deadline=None)
    @given(random_trees())
    def test_the_order_of_keys_in_the_record_does_not_matter(self, record: TreeRecord) -> None:
        stored = json.loads(json.dumps([record.tree, record.reviews, record.rankings], sort_keys=True))
        read = TreeRecord(tree=stored[0], reviews=tuple(stored[1]), rankings=tuple(stored[2]))
        for form in FORMS:
            assert json.dumps(list(form.rows(read))) == json.dumps(list(form.rows(record)))

    def test_a_tree_is_in_one_split(self, sample: list[TreeRecord]) -> None:
        sides: dict[str, set[str]] = {split: set() for split in SPLITS}
        for record in sample:
            for form in FORMS:
                sides[record.split] |= {row["message_tree_id"] for row in form.rows(record)}
        assert sum(map(len, sides.values())) == 50

    def test_a_conversation_may_be_very_deep(self) -> None:
        message = node("end")
        for number in range(2000):
            message = node(f"message {number}", message)
        [row] = rows("threads", tree(message))
        assert len(row["messages"]) == 2000, "the last one is a prompter's"


def good_paths(record: TreeRecord) -> Iterator[list[Row]]:
    cleaned = without_bad_messages(record)
    waiting = [[cleaned["prompt"]]] if is_good(cleaned["prompt"]) and cleaned["prompt"]["role"] == "prompter" else []
    while waiting:
        path = waiting.pop()
        yield path
        waiting.extend([*path, reply] for reply in path[-1]["replies"])


PYTHON = {"string": str, "bool": bool, "int32": int, "float64": float}


def fits(value: Any, kind: Type) -> bool:
    if value is None:
        return True
    if isinstance(kind, dict):
        return list(value) == list(kind) and all(fits(value[name], part) for name, part in kind.items())
    if isinstance(kind, list):
        return isinstance(value, list) and all(fits(one, kind[0]) for one in value)
    return type(value) is PYTHON[kind]


class TestThreads:
    def test_a_conversation_whose_last_question_was_deleted_is_kept(self) -> None:
        """The loader loses the answer above it."""
        record = tree(node("P", node("A", node("Q", deleted=True))))
        assert sft_threads(record.tree) == []
        assert [texts(row["messages"]) for row in rows("threads", record)] == [["P", "A"]]

    @pytest.mark.parametrize(
        "fact",
        [{"review_result": False}, {"review_result": None}, {"deleted": True}, {"synthetic": True}, {"text": " \n"}],
        ids=str,
    )
    def test_a_conversation_ends_above_a_bad_message(self, fact: Row) -> None:
        record = tree(node("P", node("A", node("Q", node("bad", node("Q2", node("A2"))) | fact))))
        assert [texts(row["messages"]) for row in rows("threads", record)] == [["P", "A"]]

    def test_an_unknown_author_is_no_machine(self) -> None:
        record = tree(node("P", node("A", synthetic=None, deleted=None)))
        assert len(rows("threads", record)) == 1

    @pytest.mark.parametrize("state", ["growing", "ranking", "halted_by_moderator", "aborted_low_grade"])
    def test_an_unfinished_tree_gives_none(self, state: str) -> None:
        record = tree(node("P", node("A", rank=0), node("B", rank=1)), state=state)
        assert not any(rows(name, record) for name in ("threads", "pairs", "rankings", "kto"))

    def test_a_row_tells_whose_terms_allow_it_and_what_reviewers_said(self) -> None:
        labels = {"name": ["quality"], "value": [0.75], "count": [3]}
        [row] = rows("threads", tree(node("P", node("A", basis="license MIT", labels=labels))))
        assert (row["bases"], row["review_labels"], row["lang"]) == (["license MIT", "terms 2"], labels, "en")

    def test_an_unranked_reply_beside_others_has_no_place_among_the_best(self) -> None:
        found = rows("threads", tree(node("P", node("A", rank=0), node("B"))))
        assert [row["top_k"] for row in found] == [1, None]


class TestPrompts:
    @pytest.mark.parametrize(("state", "number"), [("prompt_lottery_waiting", 1), ("halted_by_moderator", 0)])
    def test_prompts_that_wait_count_and_stopped_ones_do_not(self, state: str, number: int) -> None:
        assert len(rows("prompts", tree(node("P"), state=state))) == number

    def test_a_rejected_prompt_gives_nothing(self) -> None:
        record = tree(node("P", node("A", rank=0), node("B", rank=1), review_result=False))
        assert not any(rows(name, record) for name in ("prompts", "threads", "pairs", "rankings", "kto"))


class TestPairs:
    REPLIES = ("A", "B")

    def pair(self, *orders: str, ranks: tuple[int | None, int | None] = (0, 1)) -> list[Row]:
        replies = (node(name, rank=rank) for name, rank in zip(self.REPLIES, ranks, strict=True))
        people = [ranking("P", *order, person=f"person {number}") for number, order in enumerate(orders)]
        return rows("pairs", tree(node("P", *replies), rankings=people))

    def test_a_pair_says_how_many_people_prefer_it(self) -> None:
        [row] = self.pair("AB", "AB", "BA")
        assert (texts(row["chosen"]), row["rankings"], row["near_tie"]) == (["A"], 3, False)
        assert row["preference_share"] == pytest.approx(2 / 3)

    def test_the_majority_counts_more_than_a_rank_and_the_contradiction_is_marked(self) -> None:
        """Such a rank comes from other replies, or from before the latest votes."""
        [row] = self.pair("BA", "BA", "BA")
        assert (texts(row["chosen"]), row["chosen_rank"], row["near_tie"]) == (["B"], 1, True)

    def test_the_rank_decides_a_tie(self) -> None:
        [row] = self.pair("AB", "BA")
        assert (texts(row["chosen"]), row["preference_share"], row["near_tie"]) == (["A"], 0.5, True)

    def test_a_tie_without_ranks_is_no_pair(self) -> None:
        assert self.pair("AB", "BA", ranks=(None, None)) == []

    def test_ranks_of_a_file_without_rankings_leave_the_rest_unknown(self) -> None:
        [row] = self.pair()
        assert (texts(row["chosen"]), row["preference_share"], row["rankings"], row["near_tie"]) == (
            ["A"],
            None,
            None,
            None,
        )

    def test_an_order_of_only_wrong_replies_does_not_count(self) -> None:
        people = [ranking("P", "B", "A", not_rankable=True)]
        [row] = rows("pairs", tree(node("P", node("A", rank=0), node("B", rank=1)), rankings=people))
        assert (texts(row["chosen"]), row["rankings"]) == (["A"], None)

    def test_a_person_who_did_not_see_both_has_no_say(self) -> None:
        replies = [node("A", rank=0), node("B", rank=1), node("C", rank=2)]
        people = [ranking("P", "B", "C"), ranking("P", "A", "B", "C", person="Dan")]
        found = rows("pairs", tree(node("P", *replies), rankings=people))
        assert [(texts(row["chosen"]), texts(row["rejected"]), row["rankings"]) for row in found] == [
            (["A"], ["B"], 1),
            (["A"], ["C"], 1),
            (["B"], ["C"], 2),
        ]

    def test_equal_texts_are_no_pair(self) -> None:
        replies = [node("A", rank=0, text="Yes."), node("B", rank=1, text="Yes.")]
        assert rows("pairs", tree(node("P", *replies))) == []


class TestRankings:
    def test_the_score_is_the_share_of_comparisons_won(self) -> None:
        replies = [node("A", rank=0), node("B", rank=1), node("C", rank=2)]
        people = [ranking("P", *"ABC"), ranking("P", *"BAC", person="Dan")]
        [row] = rows("rankings", tree(node("P", *replies), rankings=people))
        assert [reply["score"] for reply in row["replies"]] == [0.75, 0.75, 0.0]
        assert row["rankings"] == 2

    def test_one_ranked_reply_is_no_ranking(self) -> None:
        assert rows("rankings", tree(node("P", node("A", rank=0), node("B")))) == []


class TestBinary:
    def labels(self, *replies: Row) -> dict[str, tuple[bool, str]]:
        found = rows("kto", tree(node("P", *replies)))
        return {row["completion"][0]["content"]: (row["label"], row["decided_by"]) for row in found}

    def test_a_rejected_reply_is_bad_whatever_its_rank(self) -> None:
        found = self.labels(node("A", rank=0, review_result=False), node("B"))
        assert found == {"A": (False, "review"), "B": (True, "review")}

    def test_the_middle_third_is_left_out(self) -> None:
        assert self.labels(*(node(f"{rank}", rank=rank) for rank in range(7))) == {
            **{f"{rank}": (True, "rank") for rank in range(3)},
            **{f"{rank}": (False, "rank") for rank in range(4, 7)},
        }

    def test_a_deleted_reply_and_an_undecided_one_are_neither(self) -> None:
        assert self.labels(node("A", deleted=True, review_result=False), node("B", review_result=None)) == {}


class TestRecordsFromFiles:
    def test_rankings_of_a_file_are_read(self) -> None:
        record = worked_example()
        given = [ranking("P", "A-mid", "A-best"), ranking("F", "B1", "B0")]
        record.tree["prompt"]["events"] = {"ranking": [{"type": "ranking", **given[0], "user_id": None}]}
        record.tree["prompt"]["replies"][0]["replies"][0]["events"] = {"ranking": [given[1]]}
        read = record_from_line(json.loads(json.dumps(record.tree)))
        assert [(one["parent_id"], one["ranked_message_ids"], one["created_date"]) for one in read.rankings] == [
            (event["parent_id"], event["ranked_message_ids"], None) for event in given
        ]
        assert read.rankings[0]["user_id"] is None

    @pytest.mark.parametrize("events", [[], {"ranking": 3}, {"ranking": [None, {}, {"ranked_message_ids": [1]}]}])
    def test_other_events_are_no_rankings(self, events: Any) -> None:
        record = worked_example()
        record.tree["prompt"]["events"] = events
        assert record_from_line(record.tree).rankings == ()

    def test_a_basis_of_the_file_is_kept(self) -> None:
        line = worked_example().tree
        del line["prompt"]["basis"]
        record = record_from_line(line, basis="license CC0-1.0")
        assert {message["basis"] for message in all_messages(record)} == {"license CC0-1.0", "terms 2"}

    def test_a_record_has_the_columns_of_a_frozen_one(self, sample: list[TreeRecord]) -> None:
        expected = MESSAGE_COLUMNS.keys() - {"message_tree_id", "tree_state"} | {"replies"}
        assert all(message.keys() == expected for record in sample for message in all_messages(record))

    def test_no_tree_is_refused(self) -> None:
        with pytest.raises(Invalid):
            record_from_line({"message_tree_id": "x"})
