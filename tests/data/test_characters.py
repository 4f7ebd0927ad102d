"""The character dictionary of 002: START first, END last, targets shifted by one."""

from __future__ import annotations

import string
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peephole.data.characters import CharacterDictionary
from peephole.errors import DataError


def test_dictionary_of_002_has_52_letters_and_66_indices() -> None:
    """52 letters, 12 other signs, START and END."""
    others = "\n !$',-.:;?3"
    dictionary = CharacterDictionary.of([string.ascii_letters, others])
    assert len(dictionary) == 66
    assert dictionary.start == 0
    assert dictionary.end == 65
    assert dictionary.encode("\n ").tolist() == [1, 2]  # 2 for space, as the paper has it


@given(text=st.text(min_size=1))
def test_targets_are_the_inputs_shifted_by_one(text: str) -> None:
    dictionary = CharacterDictionary.of([text])
    inputs, targets = dictionary.training_pair(text)
    assert inputs[0] == dictionary.start
    assert targets[-1] == dictionary.end
    np.testing.assert_array_equal(inputs[1:], targets[:-1])


@given(text=st.text(min_size=1))
def test_decoding_gives_the_text_back(text: str) -> None:
    dictionary = CharacterDictionary.of([text])
    assert dictionary.decode(dictionary.training_pair(text)[0]) == text


def test_tiny_shakespeare_has_52_letters_and_13_other_signs(shared_data: Path) -> None:
    text = (shared_data / "tinyshakespeare" / "input.txt").read_text(encoding="utf-8")
    dictionary = CharacterDictionary.of([text])
    assert sum(character.isalpha() for character in dictionary.characters) == 52
    assert len(dictionary) == 65 + 2


def test_unknown_character_is_named_with_its_place() -> None:
    with pytest.raises(DataError, match=r"unknown character 'c' at place 2 of the text \(1 such in all\)"):
        CharacterDictionary.of(["ab"]).encode("abc")


def test_empty_texts_are_refused() -> None:
    with pytest.raises(DataError, match="hold no character"):
        CharacterDictionary.of(["", ""])


def test_index_outside_is_refused() -> None:
    with pytest.raises(DataError, match=r"index must be in 0\.\.3 \(got 4\)"):
        CharacterDictionary.of(["ab"]).decode([1, 4])
