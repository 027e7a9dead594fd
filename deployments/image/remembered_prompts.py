"""What text encoders made of the last prompts, so that the same prompt is read once."""

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

CAPACITY = 32
"""Prompts per encoder; a reading takes 0.2 to 10 MB."""

Forward = Callable[..., Any]


class RememberedPrompts:
    """Stands before the `forward` of every text encoder of a diffusers pipeline. For one thread.

    Which arguments an encoder is given differs between pipelines; that it maps the same tokens to
    the same numbers does not, so readings are kept here and not at the pipelines' prompts. Of a
    batch each row is kept for itself.
    """

    def __init__(self, components: dict[str, Any]) -> None:
        self._kept: dict[str, OrderedDict[Any, Any]] = {}
        self._variant: object = None
        self._was_read = False
        self._missed: set[int] = set()
        for name, module in components.items():
            if name.startswith("text_encoder") and isinstance(module, torch.nn.Module):
                self._kept[name] = OrderedDict()
                module.forward = partial(self._read, name, module.forward)

    def begin(self, variant: object = None) -> None:
        """Count anew. Where the encoders' weights are changed, `variant` tells how."""
        self._variant = variant
        self._was_read = False
        self._missed = set()

    def was_hit(self, row: int) -> bool:
        """Whether, since `begin`, nothing of this row had to be read that was not read before."""
        return self._was_read and row not in self._missed

    def _read(self, name: str, forward: Forward, *arguments: Any, **named: Any) -> Any:
        self._was_read = True
        count = _row_count(arguments, named)
        keys = [self._key(_row((arguments, named), row, count)) for row in range(count)]
        kept = self._kept[name]
        missing = [row for row, key in enumerate(keys) if key not in kept]
        self._missed.update(missing)
        if missing:
            rows = [_row((arguments, named), row, count) for row in missing]
            given, options = _joined(rows) if len(rows) < count else (arguments, named)
            result = forward(*given, **options)
            for place, row in enumerate(missing):
                kept[keys[row]] = _row(result, place, len(missing))
        for key in keys:
            kept.move_to_end(key)
        readings = [kept[key] for key in keys]
        while len(kept) > CAPACITY:
            kept.popitem(last=False)
        return _joined(readings)

    def _key(self, row: Any) -> Any:
        return self._variant, _key(row)


def _row_count(arguments: tuple[Any, ...], named: dict[str, Any]) -> int:
    """The rows of the token ids, which are the first tensor."""
    for value in (*arguments, *named.values()):
        if isinstance(value, torch.Tensor) and value.dim() > 1:
            return len(value)
    return 1


def _row(value: Any, row: int, count: int) -> Any:
    """One row of every tensor in there that has so many; what cannot be told apart becomes None."""
    if isinstance(value, torch.Tensor):
        return value[row : row + 1].clone() if value.dim() and len(value) == count else value
    if isinstance(value, dict):
        return _like(value, {name: _row(part, row, count) for name, part in value.items()})
    if isinstance(value, tuple | list):
        return tuple(_row(part, row, count) for part in value)
    return value if isinstance(value, bool | int | float | str | torch.dtype) else None


def _joined(rows: list[Any]) -> Any:
    """Rows as one batch again."""
    first = rows[0]
    if len(rows) == 1:
        return first
    if isinstance(first, torch.Tensor):
        return torch.cat(rows) if first.dim() else first
    if isinstance(first, dict):
        return _like(first, {name: _joined([row[name] for row in rows]) for name in first})
    if isinstance(first, tuple):
        return tuple(_joined(list(parts)) for parts in zip(*rows, strict=True))
    return first


def _like(original: dict[str, Any], values: dict[str, Any]) -> Any:
    """Encoders answer with dictionaries of their own classes."""
    return values if type(original) is dict else type(original)(**values)


def _key(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        data = value.detach().cpu().flatten().contiguous().view(torch.uint8)
        return tuple(value.shape), str(value.dtype), data.numpy().tobytes()
    if isinstance(value, dict):
        return tuple((name, _key(part)) for name, part in sorted(value.items()))
    if isinstance(value, tuple):
        return tuple(map(_key, value))
    return repr(value)
