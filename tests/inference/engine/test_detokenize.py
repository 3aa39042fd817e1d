"""Text comes in whole characters, and together equals the text decoded at once."""

from hypothesis import given, settings
from hypothesis import strategies as st

from inference.engine.detokenize import Detokenizer
from inference.engine.loading import LoadedModel


class Bytes:
    """Each id is one byte, the worst case for characters."""

    def decode(self, token_ids: list[int]) -> str:
        return bytes(token_ids).decode("utf-8", "replace")


@given(st.text())
def test_every_piece_is_whole(text: str) -> None:
    text = text.encode("utf-8", "replace").decode()
    detokenizer = Detokenizer(Bytes())
    pieces = [detokenizer.feed([byte]) for byte in text.encode()]
    if "\ufffd" not in text:
        assert all("\ufffd" not in piece for piece in pieces)
        assert [piece for piece in pieces if piece] == list(text)
    assert ("".join(pieces) + detokenizer.end()).rstrip("\ufffd") == text.rstrip("\ufffd")


def test_half_a_character_at_the_end_is_left_out() -> None:
    detokenizer = Detokenizer(Bytes())
    assert detokenizer.feed(list("é".encode()[:1])) == ""
    assert detokenizer.end() == ""


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 300), max_size=60))
def test_random_ids_of_a_real_tokenizer(tiny_model: LoadedModel, token_ids: list[int]) -> None:
    tokenizer = tiny_model.tokenizer
    detokenizer = Detokenizer(tokenizer)
    text = "".join(detokenizer.feed([one]) for one in token_ids) + detokenizer.end()
    assert text.rstrip("\ufffd") == tokenizer.decode(token_ids).rstrip("\ufffd")
