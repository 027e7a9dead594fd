"""Audio through Rubber Band, which moves pitch and tempo apart from each other and keeps formants:
the `rubberband` filter of the ffmpeg that imageio-ffmpeg brings, as a child process.
"""

import contextlib
import logging
import subprocess
import tempfile
import threading
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from io import BufferedReader
from typing import IO, cast

from serve_app.core.errors import BackendUnavailable, InternalError

logger = logging.getLogger(__name__)

READ_BYTES = 1 << 16
SMALLEST, LARGEST = 0.05, 20.0
"""Factors beyond make no audio that anybody would know again."""
FACTORS_ARE_ONE = 1e-3
LOUDEST = 0.95
CLEAREST = "pitchq=consistency:window=short:transients=smooth"
"""Of fourteen settings the one after which a small recogniser understood most words (25 of 63 in
moves by three semitones to an octave; 13 with `pitchq=quality` alone).
"""


@dataclass(frozen=True)
class Reshaping:
    """`pitch` is the factor of all frequencies but the formants', `duration` that of the time;
    `gains_db` are points of a spectral envelope, in Hz and decibels, that is put on top.
    """

    pitch: float = 1.0
    duration: float = 1.0
    gains_db: tuple[tuple[float, float], ...] = ()

    def filters(self) -> str:
        """The filter graph in ffmpeg's words."""
        pitch = min(LARGEST, max(SMALLEST, self.pitch))
        chain = []
        if max(abs(pitch - 1), abs(self.duration - 1)) > FACTORS_ARE_ONE:
            chain.append(
                f"rubberband=pitch={pitch:.6f}:tempo={1 / self.duration:.6f}"
                f":formant=preserved:{CLEAREST}"
            )
        if self.gains_db:
            points = ";".join(f"entry({hz:.1f},{gain:.2f})" for hz, gain in self.gains_db)
            # The filter's delay becomes a time before zero, which is cut off.
            chain.append(f"firequalizer=gain_entry='{points}':zero_phase=1,atrim=start=0")
            chain.append(f"alimiter=limit={LOUDEST}:level=false:latency=1")
        return ",".join(chain) or "anull"


def ffmpeg_path() -> str:
    """The program. BackendUnavailable when it is not installed."""
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError) as error:
        raise BackendUnavailable(
            "imageio-ffmpeg is not installed",
            remedy="install the local extra: pip install 'polyphony[local]'",
            provider="rubberband",
        ) from error


def reshaped(
    blocks: Iterator[bytes],
    wanted: Reshaping,
    *,
    rate: int,
    out_rate: int,
    stop: Callable[[], bool],
) -> Generator[bytes]:
    """Signed 16-bit mono samples in and out, as they come, in bounded memory. Closing the iterator
    kills the child; `stop` ends it without an error. What iterating `blocks` raises is raised.
    """
    with tempfile.TemporaryFile() as complaints:
        child = subprocess.Popen(
            _command(wanted, rate, out_rate),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
        )
        feeder = Feeder(blocks, cast("IO[bytes]", child.stdin), stop)
        audio = cast("BufferedReader", child.stdout)
        has_ended = False
        try:
            while not stop() and (data := audio.read1(READ_BYTES)):
                yield data
            has_ended = not stop()
        finally:
            if not has_ended:
                child.kill()
            feeder.join()
            child.wait()
            audio.close()
        if has_ended:
            feeder.raise_error()
            _check(child.returncode, complaints)


class Feeder:
    """Writes blocks into a pipe in a thread of its own, and closes both."""

    def __init__(self, blocks: Iterator[bytes], pipe: IO[bytes], stop: Callable[[], bool]) -> None:
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, args=(blocks, pipe, stop), daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Wait until nothing is fed any more, which is soon once the reading end is gone."""
        self._thread.join()

    def raise_error(self) -> None:
        """What the blocks raised, if they did."""
        if self._error is not None:
            raise self._error

    def _run(self, blocks: Iterator[bytes], pipe: IO[bytes], stop: Callable[[], bool]) -> None:
        try:
            for block in blocks:
                if stop():
                    break
                pipe.write(block)
        except BrokenPipeError:
            pass
        except Exception as error:
            self._error = error
        finally:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
            if isinstance(blocks, Generator):
                blocks.close()


def _command(wanted: Reshaping, rate: int, out_rate: int) -> list[str]:
    raw = ["-f", "s16le", "-ac", "1"]
    source = [*raw, "-ar", str(rate), "-i", "pipe:0"]
    target = ["-af", wanted.filters(), *raw, "-ar", str(out_rate), "pipe:1"]
    return [ffmpeg_path(), "-v", "error", "-filter_threads", "1", *source, *target]


def _check(status: int, complaints: IO[bytes]) -> None:
    """InternalError for a child that failed; why is in the log."""
    if status == 0:
        return
    complaints.seek(0)
    logger.error("ffmpeg failed: %s", complaints.read(4000).decode("utf-8", "replace"))
    raise InternalError("ffmpeg failed", remedy="the server's log says why", provider="ffmpeg")
