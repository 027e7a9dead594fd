"""Words that stand for vectors which were learned apart from the model, by textual inversion.

In the tokens of a prompt such a vector has a negative number of its own: no vocabulary has to grow,
and the encoders of Stable Diffusion still find the end of a text as its highest number.

Imported only where torch is.
"""

import pickle
import re
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from serve_app.core.errors import AppError
from serve_app.core.notices import Notice

Locate = Callable[[str], Path]
SUFFIXES = (".safetensors", ".pt", ".bin")
PARTS = ("clip_l", "clip_g")
"""What files for SDXL call the vectors for its first and its second encoder."""
UNREADABLE = (SafetensorError, pickle.UnpicklingError, OSError, ValueError, RuntimeError, EOFError)


class LearnedWords:
    """Of one pipeline, by the names of its options. Files are read when they are first named."""

    def __init__(self, pipeline: Any, files: Mapping[str, str], locate: Locate) -> None:
        encoders = (getattr(pipeline, name, None) for name in ("text_encoder", "text_encoder_2"))
        self._encoders = [encoder for encoder in encoders if encoder is not None]
        self._files = files
        self._locate = locate
        self._names = {name.casefold(): name for name in files}
        self._pattern = _pattern(files)
        self._lock = threading.Lock()
        self._tokens: dict[str, list[int]] = {}
        self._vectors: list[list[torch.Tensor]] = []
        self._refused: dict[str, Notice] = {}

    def named_in(self, texts: Sequence[str]) -> tuple[str, ...]:
        """The names that stand in texts as words, in whatever case."""
        if self._pattern is None:
            return ()
        found = (self._name(word) for text in texts for word in self._pattern.findall(text))
        return tuple(dict.fromkeys(name for name in found if name is not None))

    def loaded(self, names: Sequence[str]) -> tuple[tuple[str, ...], tuple[Notice, ...]]:
        """Those of the names that are there from now on, and what has to be said of the others,
        which are words like all others. Blocks, and may download.
        """
        away: list[Notice] = []
        with self._lock:
            for name in names:
                if name not in self._tokens and name not in self._refused:
                    try:
                        self._load(name)
                    except AppError as error:
                        # Not for good: a hub may answer the next time.
                        problem = f"cannot be had: {error.message}"
                        away.append(Notice(text=f"the embedding {name!r} {problem}"))
        said = [self._refused[name] for name in names if name in self._refused]
        return tuple(name for name in names if name in self._tokens), (*said, *away)

    def pieces(self, text: str, names: Sequence[str]) -> Generator[str | list[int]]:
        """The text in stretches of words like all others and the tokens of those that are learned,
        of which only `names` count.
        """
        position = 0
        for match in self._pattern.finditer(text) if self._pattern and names else ():
            name = self._name(match[0])
            if name is not None and name in names:
                yield text[position : match.start()]
                yield self._tokens[name]
                position = match.end()
        yield text[position:]

    def _name(self, word: str) -> str | None:
        """The one that a word is; the pattern knows letters as equal that are two when folded."""
        return self._names.get(word.casefold())

    @contextmanager
    def known(self) -> Generator[None]:
        """The encoders know all that is loaded; as before when the block is left."""
        hooks = []
        for place, encoder in enumerate(self._encoders if self._vectors else ()):
            table = torch.stack([vectors[place] for vectors in self._vectors])
            embedding, lookup = encoder.get_input_embeddings(), _Lookup(table)
            hooks.append(embedding.register_forward_pre_hook(lookup.before))
            hooks.append(embedding.register_forward_hook(lookup.after))
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _load(self, name: str) -> None:
        try:
            file = _file_in(self._locate(self._files[name]))
            rows = vectors_of(_content(file), [self._width(each) for each in self._encoders])
            problem = "is for another kind of model"
        except UNREADABLE:
            rows, problem = None, "cannot be read"
        if rows is None:
            self._refused[name] = Notice(text=f"the embedding {name!r} {problem}")
            return
        first = len(self._vectors)
        self._vectors.extend(rows)
        self._tokens[name] = [-1 - number for number in range(first, len(self._vectors))]

    @staticmethod
    def _width(encoder: Any) -> int:
        return int(encoder.get_input_embeddings().weight.shape[1])


class _Lookup:
    """Stands around a table of embeddings."""

    def __init__(self, table: torch.Tensor) -> None:
        self._table = table
        self._asked: torch.Tensor | None = None

    def before(self, _: Any, arguments: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        """Numbers that the table has."""
        self._asked = arguments[0]
        return (arguments[0].clamp(min=0), *arguments[1:])

    def after(self, _: Any, __: Any, vectors: torch.Tensor) -> torch.Tensor:
        """The vectors that it has not."""
        assert self._asked is not None
        learned = self._asked < 0
        if learned.any():
            rows = self._table[(-1 - self._asked[learned]).to(self._table.device)]
            vectors[learned] = rows.to(vectors.device, vectors.dtype)
        return vectors


def vectors_of(
    content: Mapping[str, Any], widths: Sequence[int]
) -> list[list[torch.Tensor]] | None:
    """A list of vectors, of which each has one part for every encoder, of these widths; None for
    vectors that do not fit them. Reads the files of the web UI and of diffusers.
    """
    inner = content.get("string_to_param", content)
    if len(widths) > 1:
        tensors = [content.get(name) for name in PARTS]
    else:
        tensors = [inner.get("emb_params", next(iter(inner.values()), None))]
    found = [tensor for tensor in tensors if isinstance(tensor, torch.Tensor) and tensor.dim()]
    parts = [tensor.detach().float().reshape(-1, tensor.shape[-1]) for tensor in found]
    if [part.shape[1] for part in parts] != list(widths) or len({len(p) for p in parts}) != 1:
        return None
    return [list(vector) for vector in zip(*parts, strict=True)]


def _content(file: Path) -> Mapping[str, Any]:
    if file.suffix == ".safetensors":
        return load_file(file)
    # Nothing but tensors and plain values: a file can run no code.
    content = torch.load(file, map_location="cpu", weights_only=True)
    if not isinstance(content, Mapping):
        raise ValueError("not a mapping")
    return content


def _file_in(place: Path) -> Path:
    if place.is_file():
        return place
    files = sorted(file for file in place.iterdir() if file.suffix in SUFFIXES)
    if len(files) != 1:
        raise ValueError(f"{len(files)} files")
    return files[0]


def _pattern(names: Mapping[str, str]) -> re.Pattern[str] | None:
    if not names:
        return None
    longest_first = "|".join(map(re.escape, sorted(names, key=len, reverse=True)))
    return re.compile(rf"(?<!\w)(?:{longest_first})(?!\w)", re.IGNORECASE)
