"""The engine: the same text as `generate` in every batch, and a bad request never harms the others."""

import random
import threading

import pytest

from inference.engine.base import Chunk, EngineError, EngineFull, Finish, Message, Prefix, Refused
from inference.engine.loading import LoadedModel
from inference.engine.torch_engine import TorchEngine
from tests.inference.conftest import NewEngine
from tests.inference.engine.asking import Answers, ask, generated, request, stream

SAMPLED = {"temperature": 0.9, "top_k": 40, "top_p": 0.95, "repetition_penalty": 1.1}


def endless(model: LoadedModel, name: str = "endless", text: str = "On and on", **settings: object) -> object:
    return request(name, text, max_tokens=1500, logit_bias={str(one): -100 for one in model.end_ids}, **settings)


class TestSameText:
    def test_64_mixed_prompts_at_random_moments(self, new_engine: NewEngine, tiny_model: LoadedModel) -> None:
        pause = random.Random(6)
        engine = new_engine(slots=64)
        requests = [
            request(
                f"r{number}",
                "Why? " * pause.randrange(1, 60) + f"Number {number} é 漢字 🎉",
                max_tokens=pause.randrange(1, 60),
                **({**SAMPLED, "seed": number} if number % 3 == 0 else {}),
            )
            for number in range(64)
        ]
        answers = ask(engine, *requests, pause=pause)
        for number, one in enumerate(requests):
            if number % 3:
                assert answers.text[one.id] == generated(tiny_model, one), one.id

    def test_with_a_repetition_penalty(self, engine: TorchEngine, tiny_model: LoadedModel) -> None:
        one = request("a", "Again and again", repetition_penalty=1.3)
        assert ask(engine, one).text["a"] == generated(tiny_model, one, repetition_penalty=1.3)

    def test_a_seed_repeats_alone_and_in_a_crowd(self, engine: TorchEngine) -> None:
        alone = ask(engine, request("alone", "Tell me", seed=7, **SAMPLED)).text["alone"]
        crowd = [request(f"c{number}", f"Tell {number}", seed=number, **SAMPLED) for number in range(8)]
        mixed = ask(engine, *crowd, request("mixed", "Tell me", seed=7, **SAMPLED), pause=random.Random(1))
        assert mixed.text["mixed"] == alone
        other = ask(engine, request("other", "Tell me", seed=8, **SAMPLED)).text["other"]
        assert other != alone

    @pytest.mark.parametrize("settings", [{}, {"seed": 3, **SAMPLED}], ids=["greedy", "sampled"])
    def test_it_goes_on_behind_a_prefix(self, engine: TorchEngine, settings: dict[str, object]) -> None:
        whole = ask(engine, request("whole", "Tell me", max_tokens=60, **settings))
        ids = whole.token_ids["whole"]
        assert len(ids) > 20
        for cut in (1, 7, len(ids) - 1, len(ids)):
            answers = Answers()
            prefix = Prefix("", tuple(ids[:cut]))
            engine.add(request(f"cut{cut}", "Tell me", prefix, max_tokens=60, **settings), answers.chunks.put)
            answers.wait(f"cut{cut}")
            assert ids[:cut] + answers.token_ids[f"cut{cut}"] == ids
            assert whole.text["whole"].endswith(answers.text[f"cut{cut}"])
            assert answers.finish(f"cut{cut}") == whole.finish("whole")

    def test_a_cache_too_small_for_all_changes_nothing(self, new_engine: NewEngine, tiny_model: LoadedModel) -> None:
        engine = new_engine(cache_tokens=512, batch_tokens=64, slots=8, context=400)
        requests = [request(f"r{number}", f"Tell {number} " * 10, max_tokens=100) for number in range(8)]
        answers = ask(engine, *requests)
        for one in requests:
            assert answers.text[one.id] == generated(tiny_model, one)


class TestEnds:
    def test_reasons(self, engine: TorchEngine, tiny_model: LoadedModel) -> None:
        answers = ask(engine, request("short", "Hello", max_tokens=3), request("one", "Hello", max_tokens=1))
        assert answers.finish("short") == answers.finish("one") == Finish.LENGTH
        assert len(answers.token_ids["short"]) == 3
        end = tiny_model.end_ids[0]
        ended = ask(engine, request("end", "Hello", max_tokens=50, logit_bias={str(end): 100}))
        assert (ended.finish("end"), ended.text["end"]) == (Finish.END, "")

    def test_stop_texts_never_show(self, engine: TorchEngine) -> None:
        whole = ask(engine, request("whole", "Hello there", max_tokens=60)).text["whole"]
        for start in (3, 11, 20):
            stop = whole[start : start + 5]  # not at the start of a token
            answers = ask(engine, request(f"s{start}", "Hello there", max_tokens=60, stop=[stop]))
            assert answers.text[f"s{start}"] == whole[: whole.index(stop)]
            assert answers.finish(f"s{start}") == Finish.STOP
            assert engine.load().running == 0

    def test_cancelled_at_once_and_for_good(self, engine: TorchEngine, tiny_model: LoadedModel) -> None:
        answers = Answers()
        engine.add(endless(tiny_model), answers.chunks.put)  # type: ignore[arg-type]
        answers.wait_for_tokens("endless", 3)
        engine.cancel("endless")
        engine.cancel("endless")
        engine.cancel("never heard of")
        answers.wait("endless")
        assert answers.finish("endless") == Finish.CANCELLED
        assert engine.load().running == 0
        again = ask(engine, request("endless", "The name is free again", max_tokens=3))
        assert again.finish("endless") == Finish.LENGTH

    def test_leaving_a_stream_cancels_it(self, engine: TorchEngine, tiny_model: LoadedModel) -> None:
        chunks = stream(engine, endless(tiny_model))  # type: ignore[arg-type]
        next(chunks)
        chunks.close()  # type: ignore[attr-defined]
        assert engine.load().running == 0

    def test_facts_are_told(self, engine: TorchEngine) -> None:
        said = [Message("user", "long " * 400), Message("assistant", "Yes."), Message("user", "Short")]
        last = ask(engine, request("a", said, max_tokens=1024)).last["a"]
        assert last.dropped_messages == 2
        assert 0 < last.prompt_tokens < 100

    def test_full(self, new_engine: NewEngine, tiny_model: LoadedModel) -> None:
        engine = new_engine(slots=1)
        engine.add(endless(tiny_model), lambda chunk: None)  # type: ignore[arg-type]
        with pytest.raises(EngineFull):
            engine.add(request("b", "Hello"), lambda chunk: None)
        assert engine.load().running == 1

    def test_closed(self, new_engine: NewEngine, tiny_model: LoadedModel) -> None:
        engine = new_engine()
        engine.add(endless(tiny_model), lambda chunk: None)  # type: ignore[arg-type]
        engine.close()
        assert not [one for one in threading.enumerate() if one.name == "model"]
        with pytest.raises(EngineError):
            engine.add(request("b", "Hello"), lambda chunk: None)


class TestPoison:
    """A bad request does not affect the others."""

    @pytest.fixture
    def neighbor(self, engine: TorchEngine, tiny_model: LoadedModel) -> object:
        answers = Answers()
        one = request("neighbor", "A quiet person", max_tokens=400)
        engine.add(one, answers.chunks.put)
        yield None
        answers.wait("neighbor")
        assert answers.text["neighbor"] == generated(tiny_model, one)
        assert engine.load().rebuilt == 0

    @pytest.mark.parametrize(
        "settings",
        [
            {"temperature": 1, "top_k": 1_000_000},
            {"temperature": 0.01, "top_k": 1},
            {"temperature": 2, "top_p": 1e-12},
            {"temperature": 1, "typical_p": 1e-9},
            {"max_tokens": 10**15},
            {"temperature": 1, "logit_bias": {str(number): -100 for number in range(300)}},
            {"stop": ["\ufffd", "\x01", "🎉"]},
            {"repetition_penalty": 3, "temperature": 2},
        ],
        ids=str,
    )
    def test_odd_settings_are_answered(self, neighbor: None, engine: TorchEngine, settings: dict[str, object]) -> None:
        answers = Answers()
        engine.add(request("odd", "Hi", **{"max_tokens": 30, **settings}), answers.chunks.put)
        answers.wait_for_tokens("odd", 20)
        engine.cancel("odd")
        assert "odd" not in answers.last or answers.finish("odd") != Finish.FAILED

    @pytest.mark.parametrize(
        ("text", "settings", "code"),
        [
            ("word " * 5000, {}, "too_long"),
            ("", {}, "empty"),
            ("Hi", {"logit_bias": {"999999": 1}}, "invalid"),
        ],
    )
    def test_what_can_not_be_answered_is_refused(
        self, neighbor: None, engine: TorchEngine, text: str, settings: dict[str, object], code: str
    ) -> None:
        with pytest.raises(Refused) as refused:
            engine.add(request("bad", text, **settings), lambda chunk: None)
        assert refused.value.code == code

    def test_the_beginning_of_another_model(self, neighbor: None, engine: TorchEngine) -> None:
        with pytest.raises(Refused) as refused:
            engine.add(request("bad", "Hi", Prefix("x", (999_999,))), lambda chunk: None)
        assert refused.value.code == "other_model"

    def test_lone_surrogates(self, neighbor: None, engine: TorchEngine) -> None:
        assert ask(engine, request("odd", "\ud83d half", max_tokens=3)).finish("odd") == Finish.LENGTH

    def test_settings_that_fail_inside_end_their_request_alone(
        self, neighbor: None, engine: TorchEngine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from inference.engine import processor

        monkeypatch.setattr(processor, "_filtered", None)
        answers = ask(engine, request("odd", "Hi", temperature=1, max_tokens=500))
        assert answers.finish("odd") == Finish.FAILED

    def test_who_takes_the_text_may_fail(self, neighbor: None, engine: TorchEngine) -> None:
        def broken(chunk: Chunk) -> None:
            raise RuntimeError("nobody is here")

        engine.add(request("odd", "Hi", max_tokens=3), broken)


class TestDeadLoop:
    """An error ends the library's thread. All requests continue in a new one."""

    def kill(self, engine: TorchEngine) -> None:
        engine._batch.add("poison", [10**6], 5, request("p", "x").sampling)

    def test_answers_go_on_where_they_were(self, engine: TorchEngine, tiny_model: LoadedModel) -> None:
        requests = [request(f"r{number}", f"Tell {number}", max_tokens=300) for number in range(6)]
        seeded = request("seeded", "Tell me", max_tokens=300, seed=5, **SAMPLED)
        undisturbed = ask(engine, seeded).text["seeded"]
        answers = Answers()
        for one in [*requests, seeded]:
            engine.add(one, answers.chunks.put)
        for tokens in (5, 60):
            answers.wait_for_tokens("r0", tokens)
            self.kill(engine)
        answers.wait(*(one.id for one in requests), "seeded")
        assert engine.load().rebuilt >= 1
        for one in requests:
            assert answers.text[one.id] == generated(tiny_model, one)
        assert answers.text["seeded"] == undisturbed

    def test_who_kills_it_again_and_again_is_given_up(
        self, engine: TorchEngine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        prompts = engine._prompts
        build = prompts.build

        def poisoned(*args: object) -> object:
            prompt = build(*args)  # type: ignore[arg-type]
            prompt.token_ids.append(10**6)
            return prompt

        monkeypatch.setattr(prompts, "build", poisoned)
        assert ask(engine, request("poison", "Hi")).finish("poison") == Finish.FAILED
        monkeypatch.undo()
        assert ask(engine, request("after", "Hi", max_tokens=3)).finish("after") == Finish.LENGTH
