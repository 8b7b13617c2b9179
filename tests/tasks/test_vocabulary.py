"""The vocabulary: text to token ids and back, union, and its errors."""

import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tasks import InvalidValueError, Vocabulary

SMALL = Vocabulary(("a", "b", "=", "[EOS]", "[copy]"))


def test_id_is_the_place_in_tokens() -> None:
    assert SMALL.index == {"a": 0, "b": 1, "=": 2, "[EOS]": 3, "[copy]": 4}
    assert SMALL.eos == 3
    assert len(SMALL) == 5


def test_contains_tokens_and_nothing_else() -> None:
    assert "a" in SMALL
    assert "[copy]" in SMALL
    assert "copy" not in SMALL
    assert "" not in SMALL


def test_encode_reads_a_bracketed_name_as_one_token() -> None:
    tokens = SMALL.encode("[copy]ab=ab[EOS]")
    assert tokens.tolist() == [4, 0, 1, 2, 0, 1, 3]
    assert tokens.dtype == torch.int64


def test_split_shows_one_string_per_position() -> None:
    assert SMALL.split([4, 0, 3]) == ("[copy]", "a", "[EOS]")
    assert SMALL.split(torch.tensor([4, 0, 3])) == ("[copy]", "a", "[EOS]")


def test_empty_text_has_no_tokens() -> None:
    assert SMALL.encode("").tolist() == []
    assert SMALL.decode([]) == ""


@given(st.lists(st.sampled_from(SMALL.tokens)))
def test_decode_inverts_encode(pieces: list[str]) -> None:
    text = "".join(pieces)
    assert SMALL.decode(SMALL.encode(text)) == text
    assert SMALL.split(SMALL.ids(pieces)) == tuple(pieces)
    assert SMALL.encode(text).tolist() == SMALL.ids(pieces).tolist()


def test_newline_and_space_are_characters() -> None:
    vocabulary = Vocabulary((" ", "\n", "[EOS]"))
    assert vocabulary.encode("\n [EOS]").tolist() == [1, 0, 2]


def test_union_appends_what_is_new_in_order() -> None:
    other = Vocabulary(("z", "a", "[EOS]", "[shift]"))
    assert SMALL.union(other).tokens == ("a", "b", "=", "[EOS]", "[copy]", "z", "[shift]")
    assert SMALL.union(SMALL) == SMALL


@pytest.mark.parametrize("token", ["", "ab", "[", "]", "[]", "[a", "[a[b]]"])
def test_malformed_token_is_refused(token: str) -> None:
    text = f"token {token!r} is neither one character nor a name in square brackets; write it as '[name]'"
    with pytest.raises(InvalidValueError, match=f"^{re.escape(text)}$"):
        Vocabulary(("a", token, "[EOS]"))


def test_repeated_token_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="^token 'b' stands twice in the vocabulary; each may stand once$"):
        Vocabulary(("a", "b", "b", "[EOS]"))


def test_missing_eos_is_refused() -> None:
    text = "the vocabulary lacks '[EOS]', which ends every answer; add it"
    with pytest.raises(InvalidValueError, match=f"^{re.escape(text)}$"):
        Vocabulary(("a", "b"))


@pytest.mark.parametrize(("text", "piece"), [("axb", "x"), ("[shift]a", "[shift]"), ("a[", "["), ("[copy", "[")])
def test_unknown_token_is_refused(text: str, piece: str) -> None:
    message = f"{piece!r} is not in the vocabulary; allowed are a b = [EOS] [copy]"
    with pytest.raises(InvalidValueError, match=f"^{re.escape(message)}$"):
        SMALL.encode(text)


def test_many_tokens_are_not_all_named() -> None:
    many = Vocabulary(("[EOS]", *(f"[{number}]" for number in range(1500))))
    with pytest.raises(InvalidValueError, match=r"allowed are \[EOS\] \[0\] .* \[198\] and 1,301 more$"):
        many.encode("x")


@pytest.mark.parametrize("place", [-1, 5])
def test_unknown_id_is_refused(place: int) -> None:
    with pytest.raises(InvalidValueError, match=f"^token id {place} is outside the vocabulary; allowed are 0 to 4$"):
        SMALL.decode([0, place])
