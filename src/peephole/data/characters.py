"""A dictionary of characters with START and END, and the training pair that it makes of a text (002 §5.6.1).

START is index 0, END the last index, and the sorted characters stand between. A network that learns to write is fed
START and the text, and is to give the text and END: the targets are the inputs shifted by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from peephole.errors import DataError

Indices = np.ndarray[tuple[int], np.dtype[np.int64]]


@dataclass(frozen=True)
class CharacterDictionary:
    """Characters and their indices.

    Attributes:
        characters: the known characters, sorted and without repeats; index 1 is the first of them.
    """

    characters: str

    @classmethod
    def of(cls, texts: Iterable[str]) -> CharacterDictionary:
        """The dictionary of every character that occurs in the texts.

        Raises:
            DataError: where there is none.
        """
        characters = "".join(sorted(set[str]().union(*texts)))
        if not characters:
            raise DataError("CharacterDictionary: the texts hold no character (got nothing but empty ones)")
        return cls(characters)

    @property
    def start(self) -> int:
        """Index of START, 0."""
        return 0

    @property
    def end(self) -> int:
        """Index of END, the last one."""
        return len(self.characters) + 1

    def __len__(self) -> int:
        """Indices in all, START and END among them."""
        return len(self.characters) + 2

    @cached_property
    def _index(self) -> dict[str, int]:
        return {character: index for index, character in enumerate(self.characters, start=1)}

    def encode(self, text: str) -> Indices:
        """The indices of a text, ``[len(text)]``, without START and END.

        Raises:
            DataError: for a character that the dictionary does not hold.
        """
        unknown = [(place, character) for place, character in enumerate(text) if character not in self._index]
        if unknown:
            place, character = unknown[0]
            raise DataError(
                f"CharacterDictionary: unknown character {character!r} at place {place} of the text "
                f"({len(unknown)} such in all); build the dictionary from texts that hold it"
            )
        return np.array([self._index[character] for character in text], dtype=np.int64)

    def decode(self, indices: Sequence[int] | Indices) -> str:
        """The text behind the indices; START and END are left out.

        Raises:
            DataError: for an index outside the dictionary.
        """
        outside = [int(index) for index in indices if not 0 <= index <= self.end]
        if outside:
            raise DataError(f"CharacterDictionary: index must be in 0..{self.end} (got {outside[0]})")
        return "".join(self.characters[index - 1] for index in indices if 0 < index < self.end)

    def training_pair(self, text: str) -> tuple[Indices, Indices]:
        """Input and target, ``[len(text) + 1]`` each: START and the text, the text and END (002 Table 5.2)."""
        codes = self.encode(text)
        return np.concatenate([[self.start], codes]), np.concatenate([codes, [self.end]])
