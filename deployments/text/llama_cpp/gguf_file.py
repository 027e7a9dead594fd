"""What a GGUF file says of itself, read without llama.cpp: its errors name no cause.

The format is https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3.
"""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from serve_app.core.errors import BackendUnavailable

MAGIC = b"GGUF"
VERSIONS = (2, 3)
STRING, ARRAY = 8, 9
NUMBERS = {
    0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q",
    12: "<d",
}  # fmt: skip
MOST_ENTRIES = 100_000
"""Of metadata and of tensors; the largest models have some thousands."""
LONGEST_TEXT = 50_000_000
LISTS = ("tokenizer.ggml.tokens",)
"""Arrays whose values are kept; of others only the length is."""


@dataclass(frozen=True)
class GgufFile:
    """Metadata by key; `size` is in bytes."""

    path: Path
    metadata: dict[str, Any]
    size: int

    @property
    def architecture(self) -> str:
        """The name under which llama.cpp knows it."""
        return str(self.metadata.get("general.architecture", "unknown"))

    def own(self, key: str) -> Any:
        """Of the keys that begin with the architecture."""
        return self.metadata.get(f"{self.architecture}.{key}")

    @property
    def context_length(self) -> int | None:
        """Tokens that the model was trained for."""
        length = self.own("context_length")
        return length if isinstance(length, int) and length > 0 else None

    @property
    def chat_template(self) -> str | None:
        """In Jinja."""
        template = self.metadata.get("tokenizer.chat_template")
        return template if isinstance(template, str) else None

    @property
    def tokens(self) -> frozenset[str]:
        """The vocabulary."""
        return frozenset(self._tokens)

    @property
    def vocabulary(self) -> int:
        """How many tokens there are."""
        return len(self._tokens)

    @property
    def first_token(self) -> int:
        """What a text begins with that has no other beginning."""
        for kind in ("bos", "eos"):
            number = self.metadata.get(f"tokenizer.ggml.{kind}_token_id")
            if isinstance(number, int):
                return number
        return 0

    @property
    def _tokens(self) -> list[str]:
        tokens: list[str] = self.metadata.get("tokenizer.ggml.tokens", [])
        return tokens

    def token(self, kind: str) -> str:
        """The text of the token that is `bos`, say; empty where there is none."""
        number = self.metadata.get(f"tokenizer.ggml.{kind}_token_id")
        if not isinstance(number, int) or not 0 <= number < self.vocabulary:
            return ""
        return self._tokens[number]


def read_gguf(path: Path) -> GgufFile:
    """BackendUnavailable, which names the file, for what is no GGUF file or was cut off."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            return GgufFile(path, _metadata(file, path, size), size)
    except (OSError, struct.error, UnicodeDecodeError) as error:
        raise _broken(path, "it is cut off or damaged") from error


def _metadata(file: BinaryIO, path: Path, size: int) -> dict[str, Any]:
    if file.read(4) != MAGIC:
        raise _broken(path, "it is no GGUF file")
    version = _number(file, "<I")
    if version not in VERSIONS:
        raise _broken(path, f"version {version} of GGUF is not known")
    tensors, entries = _number(file, "<Q"), _number(file, "<Q")
    if tensors > MOST_ENTRIES or entries > MOST_ENTRIES:
        raise _broken(path, "it is damaged")
    metadata = {}
    for _ in range(entries):
        key = _text(file)
        metadata[key] = _value(file, _number(file, "<I"), is_kept=key in LISTS)
    starts = [_tensor_start(file) for _ in range(tensors)]
    # Every tensor has a byte at least behind its beginning.
    if starts and file.tell() + max(starts) >= size:
        raise _broken(path, f"it is cut off at {size:,} bytes")
    return metadata


def _tensor_start(file: BinaryIO) -> int:
    _text(file)
    for _ in range(_number(file, "<I")):
        _number(file, "<Q")
    _number(file, "<I")
    return int(_number(file, "<Q"))


def _value(file: BinaryIO, kind: int, *, is_kept: bool) -> Any:
    if kind == STRING:
        return _text(file)
    if kind != ARRAY:
        return _number(file, _form(kind))
    inner, count = _number(file, "<I"), _number(file, "<Q")
    if inner == STRING:
        texts = (_text(file) for _ in range(count))
        return list(texts) if is_kept else sum(1 for _ in texts)
    file.seek(struct.calcsize(_form(inner)) * count, 1)
    return count


def _form(kind: int) -> str:
    if kind not in NUMBERS:
        raise struct.error(f"unknown type {kind}")
    return NUMBERS[kind]


def _number(file: BinaryIO, form: str) -> Any:
    return struct.unpack(form, file.read(struct.calcsize(form)))[0]


def _text(file: BinaryIO) -> str:
    length = _number(file, "<Q")
    content = file.read(length) if length <= LONGEST_TEXT else b""
    if len(content) < length:
        raise struct.error("a text is cut off")
    return content.decode("utf-8", "replace")


def _broken(path: Path, reason: str) -> BackendUnavailable:
    return BackendUnavailable(
        f"{path.name!r} cannot be loaded: {reason}", remedy="fetch the file again"
    )
