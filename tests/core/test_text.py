"""What may be stored of the text that people submit."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oasst.core.errors import Invalid
from oasst.core.languages import BY_CODE
from oasst.core.text import clean_language_tag, clean_name, clean_pool_tag, clean_text


def refusal(value: object, limit: int = 100) -> Invalid:
    with pytest.raises(Invalid) as caught:
        clean_text(value, limit=limit)
    return caught.value


class TestCleanText:
    def test_it_works(self) -> None:
        assert clean_text("  Hello\r\nworld\r\t!\n\n", limit=100) == "Hello\nworld\n\t!"

    def test_letters_are_composed(self) -> None:
        assert clean_text("e\u0301", limit=1) == "é"

    @pytest.mark.parametrize(
        "blank", ["", "  \n\t ", "\u200b\u200d", "\u3164", "\u2800\ufe0f", "\u2066\u2069", "\u00a0"]
    )
    def test_blank(self, blank: str) -> None:
        assert refusal(blank).code == "blank"

    def test_length_counts_code_points_after_composing(self) -> None:
        assert clean_text("é" * 100, limit=100)
        assert clean_text("e\u0301" * 100, limit=100) == "é" * 100
        assert clean_text("😀" * 100 + "   ", limit=100) == "😀" * 100
        error = refusal("é" * 101)
        assert (error.code, error.details["length"], error.details["limit"]) == ("too_long", 101, 100)

    @pytest.mark.parametrize("control", ["\x00", "\x07", "\x1b", "\x0b", "\x7f", "\x9b", "\u202e", "\u202d"])
    def test_controls_are_refused(self, control: str) -> None:
        error = refusal(f"ab{control}c")
        assert error.code == "control_characters"
        assert error.field == "text"

    def test_a_control_at_the_end_is_not_just_trimmed(self) -> None:
        assert refusal("text\x1f").code == "control_characters"

    def test_the_cause_is_named(self) -> None:
        assert "U+0007" in refusal("a\x07b").message

    def test_right_to_left_writers_may_use_their_marks(self) -> None:
        assert clean_text("שלום \u2067abc\u2069 \u200f!", limit=100) == "שלום \u2067abc\u2069 \u200f!"

    def test_invisible_letters_are_refused_but_flags_are_not(self) -> None:
        wales = "\U0001f3f4\U000e0067\U000e0062\U000e0077\U000e006c\U000e0073\U000e007f"
        assert clean_text(wales, limit=100) == wales
        assert refusal("hi" + "".join(chr(0xE0000 + ord(c)) for c in "ignore")).code == "control_characters"

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
        assert once == once.strip() != ""
        once.encode()


# What the people who run the site are called: in other alphabets, in digits and signs, and as a word among others.
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
