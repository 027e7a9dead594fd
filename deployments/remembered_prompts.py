"""What text encoders made of the last prompts, so that the same prompt is read once."""

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

CAPACITY = 16
"""Per encoder; a reading takes 0.2 to 10 MB."""

Forward = Callable[..., Any]


class RememberedPrompts:
    """Stands before the `forward` of every text encoder of a diffusers pipeline. For one thread.

    Which arguments an encoder is given differs between pipelines; that it maps the same tokens to
    the same numbers does not, so readings are kept here and not at the pipelines' prompts.
    """

    def __init__(self, components: dict[str, Any]) -> None:
        self._kept: dict[str, OrderedDict[Any, Any]] = {}
        self._hits = 0
        self._misses = 0
        for name, module in components.items():
            if name.startswith("text_encoder") and isinstance(module, torch.nn.Module):
                self._kept[name] = OrderedDict()
                module.forward = partial(self._read, name, module.forward)

    def begin(self) -> None:
        """Count anew."""
        self._hits = self._misses = 0

    @property
    def was_hit(self) -> bool:
        """Whether, since `begin`, nothing had to be read that had not been read before."""
        return self._hits > 0 and self._misses == 0

    def _read(self, name: str, forward: Forward, *arguments: Any, **named: Any) -> Any:
        kept = self._kept[name]
        key = (*map(_key, arguments), *((k, _key(v)) for k, v in sorted(named.items())))
        if key in kept:
            self._hits += 1
            kept.move_to_end(key)
            return kept[key]
        self._misses += 1
        kept[key] = result = forward(*arguments, **named)
        if len(kept) > CAPACITY:
            kept.popitem(last=False)
        return result


def _key(value: Any) -> Any:
    if not isinstance(value, torch.Tensor):
        return repr(value)
    data = value.detach().cpu().flatten().contiguous().view(torch.uint8)
    return tuple(value.shape), str(value.dtype), data.numpy().tobytes()
