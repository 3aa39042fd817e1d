"""The rules for texts that people submit."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oasst.core.errors import Invalid
from oasst.core.text.languages import BY_CODE
from oasst.core.text.validation import (
    clean_language_tag,
    clean_line,
    clean_name,
    clean_optional,
    clean_pool_tag,
    clean_reason,
    clean_text,
    is_blank,
)


def refusal(value: object, limit: int = 100) -> Invalid:
    with pytest.raises(Invalid) as caught:
        clean_text(value, limit=limit)
    return caught.value


class TestCleanText:
    def test_it_works(self) -> None:
        assert clean_text("\nHello\r\nworld\r\t!\n\n", limit=100) == "Hello\nworld\n\t!"

    @pytest.mark.parametrize(
        ("typed", "stored"),
        [
            ("    x = 1\n    y = 2", "    x = 1\n    y = 2"),
            ("\tif x:\n\t\treturn\n", "\tif x:\n\t\treturn"),
            ("  \n\t\n   O Captain!\n      my Captain!  \n \n", "   O Captain!\n      my Captain!"),
            ("\u3000\u3000\u5f88\u4e45\u4ee5\u524d", "\u3000\u3000\u5f88\u4e45\u4ee5\u524d"),
            ("\ufeff  first\n  second", "  first\n  second"),
            ("\u200b\n\ufeff\n a \u200b\n\ufeff", " a"),
        ],
    )
    def test_blank_lines_go_and_indentation_stays(self, typed: str, stored: str) -> None:
        assert clean_text(typed, limit=100) == stored

    @pytest.mark.parametrize("ending", ["\r\n", "\r", "\x0b", "\x0c", "\x85", "\u2028", "\u2029"])
    def test_every_line_break_is_one(self, ending: str) -> None:
        assert clean_text(f"one{ending}two", limit=100) == "one\ntwo"

    def test_indentation_counts(self) -> None:
        assert refusal("    x", limit=4).details["length"] == 5

    def test_letters_are_composed(self) -> None:
        assert clean_text("e\u0301", limit=1) == "é"

    @pytest.mark.parametrize(
        "blank",
        [
            *("", "  \n\t ", "\u200b\u200d", "\u3164", "\u2800\ufe0f", "\u2066\u2069", "\u00a0", "\u200b"),
            *(
                "\u2060\n\ufeff",
                "\u2065" * 3,
                "\ufff0",
                "\ufff8",
                "\u180f",
                "\u17b5",
                "\U000e0100",
                "\U0001bca0",
                "\U0001d173",
            ),
        ],
    )
    def test_blank(self, blank: str) -> None:
        assert refusal(blank).code == "blank"
        assert is_blank(blank)
        with pytest.raises(Invalid, match="Nothing is written here yet"):
            clean_line(blank, limit=10, field="title")

    def test_length_counts_code_points_after_composing(self) -> None:
        assert clean_text("é" * 100, limit=100)
        assert clean_text("e\u0301" * 100, limit=100) == "é" * 100
        assert clean_text("😀" * 100 + "   ", limit=100) == "😀" * 100
        error = refusal("é" * 101)
        assert (error.code, error.details["length"], error.details["limit"]) == ("too_long", 101, 100)
        assert refusal("😀" * 2014, limit=2000).message == "This is 2,014 characters; 14 too many (at most 2,000 fit)."

    @pytest.mark.parametrize("control", ["\x00", "\x07", "\x1b", "\x1c", "\x7f", "\x9b", "\u202e", "\u202d"])
    def test_controls_are_refused(self, control: str) -> None:
        error = refusal(f"ab{control}c")
        assert error.code == "control_characters"
        assert error.field == "text"

    def test_a_control_at_the_end_is_not_just_trimmed(self) -> None:
        assert refusal("text\x1f").code == "control_characters"

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("a bell\x07 rings", "a control character: U+0007 (bell), character 7."),
            ("one\r\ntwo\n\n  th\x9bree", "a control character: U+009B, line 4, character 5."),
            ("a\u202eb", "makes it read backwards: U+202E (right-to-left override), character 2."),
            ("ab\nc\U000e0061", "readers cannot see: U+E0061 (tag latin small letter a), line 2, character 2."),
            ("x\ny\ud800", "a broken character (line 2, character 2)."),
            ("ab" + "\u0301" * 31, "accents stand on one letter (character 2)."),
        ],
    )
    def test_the_cause_and_its_place_are_named(self, text: str, expected: str) -> None:
        assert expected in refusal(text).message

    def test_right_to_left_writers_may_use_their_marks(self) -> None:
        assert clean_text("שלום \u2067abc\u2069 \u200f!", limit=100) == "שלום \u2067abc\u2069 \u200f!"

    def test_invisible_letters_are_refused_but_flags_are_not(self) -> None:
        wales = "\U0001f3f4\U000e0067\U000e0062\U000e0077\U000e006c\U000e0073\U000e007f"
        assert clean_text(wales, limit=100) == wales
        assert refusal("hi" + "".join(chr(0xE0000 + ord(c)) for c in "ignore")).code == "control_characters"
        for hidden in ("\U000e0080", "\U000e00ff", "\U000e01f0", "\U000e0fff"):
            assert refusal(f"hi{hidden}").code == refusal(hidden).code == "control_characters"
        assert clean_text("\u845b\U000e0100", limit=100) == "\u845b\U000e0100", "how the name is written"

    @pytest.mark.parametrize("value", [None, 3, b"bytes", ["a"]])
    def test_not_text(self, value: object) -> None:
        assert refusal(value).code == "not_text"

    def test_half_a_surrogate_pair(self) -> None:
        assert refusal("a\ud800b").code == "not_text"

    def test_stacked_accents(self) -> None:
        assert clean_text("a" + "\u0301\u0327" * 10, limit=100)
        assert refusal("a" + "\u0301\u0327" * 20).code == "control_characters"

    @given(st.text())
    def test_cleaning_twice_changes_nothing(self, text: str) -> None:
        try:
            once = clean_text(text, limit=1000)
        except Invalid as error:
            assert error.code in ("blank", "too_long", "control_characters", "not_text")
            return
        assert clean_text(once, limit=1000) == once
        assert unicodedata.is_normalized("NFC", once)
        assert once == once.rstrip() != ""
        assert once.split("\n")[0].strip()
        once.encode()


class TestCleanLine:
    def test_one_line_whatever_was_pasted(self) -> None:
        assert clean_line("  My\n  new \u2028 chat ", limit=11, field="title") == "My new chat"

    def test_what_is_left_is_counted(self) -> None:
        with pytest.raises(Invalid, match=r"This is 11 characters; 1 too many \(at most 10 fit\)"):
            clean_line("My   new   chat", limit=10, field="title")


class TestCleanReason:
    def test_too_many_words_are_counted(self) -> None:
        with pytest.raises(Invalid, match=r"in up to 500 characters. This is 503 characters; 3 too many") as caught:
            clean_reason("x" * 503)
        assert caught.value.code == "reason"


# Names of the people who run the site: in other alphabets, with digits and signs, and as one of several words.
POSES = [
    *(
        "\u0410dmin",
        "m\u03bfderator",
        "\u1d00\u1d05\u1d0d\u026a\u0274",
        "adm1n",
        "\U0001f150\U0001f153min",
        "\u24d0dmin",
    ),
    *("Adm!n", "@dmin", "adrnin", "M0derator", "r00t", "0asst", "5ystem", "ad\u0301min", "DeIeted User", "\u0455taff"),
    *(
        "Admin Team",
        "The Administrator",
        "Moderators",
        "A dmin Team",
        "A\u034fdmin X",
        "Ann (staff)",
        "Open Assistant Bot",
    ),
    *("admin!", "Ann|admin", "_admin_", "Mod Ann", "System: Ann"),
]


class TestCleanRemark:
    def test_it_may_be_missing_and_is_never_cut(self) -> None:
        assert [clean_optional(text, limit=3) for text in ("", " \n", "\u200b", " ab\r\n")] == ["", "", "", " ab"]
        assert clean_optional(" a\nb ", limit=3, clean=clean_line) == "a b"
        with pytest.raises(Invalid) as refusal:
            clean_optional("abcd", limit=3, field="note")
        assert (refusal.value.code, refusal.value.field) == ("too_long", "note")


class TestCleanName:
    def test_it_works(self) -> None:
        assert clean_name("  Ada   Lovelace ") == "Ada Lovelace"

    @pytest.mark.parametrize(
        ("name", "code"),
        [
            ("", "blank"),
            ("a" * 41, "too_long"),
            ("two\nlines", "control_characters"),
            ("a\u2067b", "control_characters"),
            ("Admin", "reserved"),
            ("A.d.m-i n", "reserved"),
            ("\uff4d\uff4fderator", "reserved"),
            ("Deleted User", "reserved"),
            *((name, "reserved") for name in POSES),
        ],
    )
    def test_refused(self, name: str, code: str) -> None:
        with pytest.raises(Invalid) as caught:
            clean_name(name)
        assert caught.value.code == code
        assert caught.value.field == "display_name"

    @pytest.mark.parametrize(
        "name", ["Adminah", "Moderata", "Joan Root", "Modest M.", "Systema", "R007", "\u041f\u0430\u0443\u043b\u0430"]
    )
    def test_a_name_may_hold_a_role_word(self, name: str) -> None:
        assert clean_name(name) == name


class TestCleanLanguageTag:
    @pytest.mark.parametrize(
        ("tag", "clean"),
        [
            ("EN", "en"),
            ("pt-br", "pt-BR"),
            ("zh-hant", "zh-Hant"),
            ("ZH-HANT-tw", "zh-Hant-TW"),
            ("es-419", "es-419"),
            ("de-ch-1901", "de-CH-1901"),
            ("sl-rozaj-biske", "sl-rozaj-biske"),
            ("en-u-CA-buddhist", "en-u-ca-buddhist"),
            ("en-x-AB", "en-x-ab"),
            ("yue", "yue"),
        ],
    )
    def test_usual_case(self, tag: str, clean: str) -> None:
        assert clean_language_tag(tag) == clean
        assert clean_language_tag(clean) == clean

    @pytest.mark.parametrize(
        "tag",
        [
            *("", "e", "english", "pt_BR", "en-", "-en", "en--us", "en us", "en\n", "ｅｎ", "en-" + "a" * 30),
            *(None, 5, "x-private"),
        ],
    )
    def test_refused(self, tag: object) -> None:
        with pytest.raises(Invalid) as caught:
            clean_language_tag(tag)
        assert (caught.value.code, caught.value.field) == ("language", "lang")

    @pytest.mark.parametrize(
        ("tag", "clean"), [("PT-br", "pt-BR"), ("Chemistry", "chemistry"), ("x-MED", "x-med"), ("a" * 32, "a" * 32)]
    )
    def test_pools_have_any_name(self, tag: str, clean: str) -> None:
        assert clean_pool_tag(tag) == clean
        assert clean_pool_tag(clean) == clean

    @pytest.mark.parametrize("tag", ["", "-", "en-", "en--us", "pt_BR", "en us", "en\n", "ｅｎ", "a" * 33, None, 5])
    def test_what_is_no_name_of_a_pool(self, tag: object) -> None:
        with pytest.raises(Invalid) as caught:
            clean_pool_tag(tag)
        assert caught.value.code == "language"

    def test_the_menu_holds_clean_tags(self) -> None:
        assert all(clean_language_tag(code) == code for code in BY_CODE)
