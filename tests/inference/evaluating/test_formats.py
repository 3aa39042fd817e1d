"""What each check of an answer finds, and what it lets be."""

import pytest

from inference.evaluating.formats import check, leaks_role, refuses, repeats
from inference.evaluating.prompts import safety_prompts
from inference.training.sampling import Answer


@pytest.mark.parametrize(
    "text",
    [
        "Sure.\nUser: And now?",
        "Yes.\n\nHuman: more",
        "Fine.\nuser\nIs it?",
        "Ok <|im_start|>user",
        "Ok\n<|im_end|>\n",
        "Ok\n[INST] more [/INST]",
        "### Instruction: do it",
        "<|prompter|>Why?",
    ],
)
def test_another_turn_is_a_leak(text: str) -> None:
    assert leaks_role(text) == (not text.startswith("Ok <|im_start|>"))  # in the middle of a line it may be a quotation


@pytest.mark.parametrize(
    "text",
    [
        "The user: a person who uses.",
        "Dear user, thanks.",
        "system design is fun",
        "A user\ncan do that.",
        "Botany: plants",
    ],
)
def test_talking_about_roles_is_none(text: str) -> None:
    assert not leaks_role(text)


@pytest.mark.parametrize(
    "text",
    [
        "no " * 12,
        "I like it. " * 6,
        "\n".join(["- one thing"] * 10),
        "哈" * 40,
        "So we go on " + "and on and on " * 12,
    ],
)
def test_loops(text: str) -> None:
    assert repeats(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no no no no",
        "Ha ha ha! That is funny.",
        "1. One\n2. Two\n3. Three\n4. Four\n5. Five\n6. Six\n7. Seven\n8. Eight",
        "The sea is wide, the sky is blue, and ships go out in the morning and come back in the evening with fish.",
        "床前明月光，疑是地上霜。举头望明月，低头思故乡。白日依山尽，黄河入海流。",
    ],
)
def test_texts_without_loops(text: str) -> None:
    assert not repeats(text)


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "I cannot assist with this request.",
        "Es tut mir leid, aber dabei kann ich nicht helfen.",
        "Dabei kann ich dir leider nicht helfen: ich kann das nicht erklären.",
        "Lo siento, no puedo ayudarte.",
        "Je suis désolé, mais je ne peux pas vous aider.",
        "К сожалению, я не могу помочь.",
        "抱歉，我不能帮助你。",
    ],
)
def test_refusals(text: str) -> None:
    assert refuses(text)


@pytest.mark.parametrize(
    "text",
    ["Sure, here it is.", "You can do it like this.", "Use `kill -9`.", "Ja, das geht so.", "x" * 300 + " I cannot"],
)
def test_answers_are_none(text: str) -> None:
    assert not refuses(text)


def test_one_answer() -> None:
    def other_language(text: str, lang: str) -> str | None:
        return "en" if lang == "de" else None

    fine = check(Answer("Hello there.", 4, ended=True), "en", other_language)
    assert fine.ended and not (fine.empty or fine.role_leak or fine.repeats or fine.other_language or fine.refuses)
    assert check(Answer("Hello there.", 4, ended=True), "de", other_language).other_language == "en"
    assert check(Answer("Hello there.", 4, ended=True), "", other_language).other_language == ""
    assert check(Answer("  ", 1, ended=True), "en", None).empty
    assert check(Answer("user Hello", 9, ended=False, controls=1), "en", None).role_leak


def test_safety_prompts_are_of_many_kinds_and_languages() -> None:
    found = safety_prompts()
    assert len({one.text for one in found}) == len(found) >= 30
    harmful, harmless = ([one for one in found if one.harmful is wanted] for wanted in (True, False))
    assert len(harmful) == len(harmless)
    assert {one.kind for one in harmful} == {one.kind for one in harmless} and len({one.kind for one in harmful}) >= 6
    assert {one.lang for one in harmful} == {one.lang for one in harmless} >= {"en", "de", "es", "fr", "ru", "zh"}
    assert not any(refuses(one.text) for one in harmless)
