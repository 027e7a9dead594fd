"""From tokens to text: incremental decoding, and stop strings that never show."""

import re
from functools import cache
from typing import Any

REPLACEMENT = "\ufffd"
BYTE_PIECE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


def token_bytes(tokenizer: Any, token: int) -> bytes:
    """A token's bytes, also where they are only part of a character: byte-level tokenizers have a
    letter for every byte, those with byte fallback write it in hexadecimal digits.
    """
    text = str(tokenizer.decode([token], skip_special_tokens=False))
    piece = tokenizer.convert_ids_to_tokens(token)
    if REPLACEMENT not in text or not isinstance(piece, str):
        return text.encode("utf-8", "replace")
    if match := BYTE_PIECE.fullmatch(piece):
        return bytes.fromhex(match[1])
    letters = _letters()
    if all(letter in letters for letter in piece):
        return bytes(letters[letter] for letter in piece)
    return text.encode("utf-8", "replace")


@cache
def _letters() -> dict[str, int]:
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    return {letter: byte for byte, letter in bytes_to_unicode().items()}


class Detokenizer:
    """Turns tokens into text one by one; a character split over tokens waits for its rest.

    Decoding always starts some tokens back, because many tokenizers place spaces by context.
    """

    def __init__(self, tokenizer: Any, hidden: frozenset[int]) -> None:
        self._tokenizer = tokenizer
        self._hidden = hidden
        self._ids: list[int] = []
        self._begin = 0
        self._done = 0

    def push(self, token: int) -> str:
        """The text that became certain with this token."""
        if token in self._hidden:
            return ""
        self._ids.append(token)
        before = self._decode(self._ids[self._begin : self._done])
        after = self._decode(self._ids[self._begin :])
        if after.endswith(REPLACEMENT) or len(after) <= len(before):
            return ""
        self._begin, self._done = self._done, len(self._ids)
        return after[len(before) :]

    def finish(self) -> str:
        """What is left, with a mark for an unfinished character."""
        before = self._decode(self._ids[self._begin : self._done])
        return self._decode(self._ids[self._begin :])[len(before) :]

    def _decode(self, ids: list[int]) -> str:
        return str(
            self._tokenizer.decode(
                ids, skip_special_tokens=False, clean_up_tokenization_spaces=False
            )
        )


class StopStrings:
    """Passes text on up to the first stop string. Text that may begin one is held back."""

    def __init__(self, stop: tuple[str, ...]) -> None:
        self._stop = stop
        self._held = ""
        self.word: str | None = None
        """The stop string that was found."""

    @property
    def has_stopped(self) -> bool:
        """Whether nothing more is text."""
        return self.word is not None

    def push(self, text: str) -> str:
        """The text that is certain not to be part of a stop string."""
        if self.has_stopped:
            return ""
        held = self._held + text
        ends = [(place, word) for word in self._stop if (place := held.find(word)) >= 0]
        if ends:
            place, self.word = min(ends)
            self._held = ""
            return held[:place]
        keep = partial_suffix(held, self._stop)
        self._held = held[len(held) - keep :]
        return held[: len(held) - keep]

    def finish(self) -> str:
        """What was held back and turned out to be text."""
        held, self._held = self._held, ""
        return held


def partial_suffix(text: str, words: tuple[str, ...]) -> int:
    """How many characters at the end of `text` may begin one of `words`."""
    longest = 0
    for word in words:
        for size in range(min(len(word) - 1, len(text)), longest, -1):
            if text.endswith(word[:size]):
                longest = size
                break
    return longest
