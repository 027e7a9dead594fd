"""MusicGen's windows: how long they are, and the codes of one of them, seen as they are generated.

Imported only where torch is.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import Any, Self

import torch
import transformers

from serve_app.core.errors import BackendUnavailable

FADE_FRAMES = 2
"""The codec hears no end of a window's frames when it makes audio of them; the next one's does."""


class WindowStopped(Exception):
    """Nobody waits for the audio any more."""


@dataclass(frozen=True)
class MusicgenWindows:
    """What the checkpoint makes at once. A frame is `hop` samples; `books` is how many codes a
    frame has per channel, each generated one step after the one before. A window has at most
    `longest` frames, of which `kept` are given to the next one.
    """

    sample_rate: int
    hop: int
    channels: int
    books: int
    longest: int
    kept: int

    @classmethod
    def of(cls, model: Any) -> Self:
        """Of a loaded checkpoint, trained for sounds as long as its generation settings say."""
        decoder, codec = model.config.decoder, model.config.audio_encoder
        books = decoder.num_codebooks // decoder.audio_channels
        limit = model.generation_config.max_length or decoder.max_position_embeddings
        longest = min(limit, decoder.max_position_embeddings) - books
        if longest < 3 * FADE_FRAMES:
            raise BackendUnavailable(
                f"the checkpoint's generation settings allow {limit} tokens, too few for audio",
                remedy="set max_length in its generation_config.json, 1500 for MusicGen's own",
            )
        return cls(
            sample_rate=codec.sampling_rate,
            hop=codec.hop_length,
            channels=decoder.audio_channels,
            books=books,
            longest=longest,
            kept=longest // 3,
        )

    @property
    def fade(self) -> int:
        """In samples, between windows."""
        return FADE_FRAMES * self.hop

    def frames(self, duration_s: float) -> int:
        """As many as so many seconds take; at least as many as there are codes."""
        return max(self.books, ceil(duration_s * self.sample_rate / self.hop))

    def length(self, frames: int) -> int:
        """The tokens of a sequence that so many frames are read from, the first one included."""
        return frames + self.books


class CodeCollector(transformers.StoppingCriteria):
    """Collects the codes of a window while they are generated; MusicGen hands nothing to streamers.
    `given` frames come from the window before. `tell` is told how many new frames there are; with
    `stop` generation ends by WindowStopped.
    """

    def __init__(
        self,
        windows: MusicgenWindows,
        given: torch.Tensor | None,
        tell: Callable[[int], None],
        stop: Callable[[], bool],
    ) -> None:
        self._windows = windows
        self._given = given
        self._known = 0 if given is None else given.shape[1]
        self._tell = tell
        self._stop = stop
        self._sequence: torch.Tensor | None = None

    def __call__(
        self,
        input_ids: torch.Tensor,
        scores: Any,  # noqa: ARG002 - the library's signature
        **_: Any,
    ) -> Any:
        """After every step, of which each generates one code for every book."""
        if self._stop():
            raise WindowStopped
        self._sequence = input_ids
        self._tell(max(0, input_ids.shape[1] - self._known - self._windows.books))
        return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)

    def frames(self) -> torch.Tensor:
        """The codes of all frames, (codes, frames), moved back to where they belong in time."""
        assert self._sequence is not None
        steps = self._sequence[:, 1 + self._known :]
        count = steps.shape[1] - self._windows.books + 1
        delays = [row // self._windows.channels for row in range(len(steps))]
        rows = [steps[row, delay : delay + count] for row, delay in enumerate(delays)]
        new = torch.stack(rows)
        return new if self._given is None else torch.cat([self._given, new], dim=1)
