"""English speech recognition with the model inside the pocketsphinx wheel: no download, modest
quality on clear speech, bounded memory on long files.
"""

from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from typing_extensions import override

from deployments.audio.audio_decoding import BYTES_PER_SECOND, SPEECH_RATE, speech_blocks
from deployments.audio.audio_progress import audio_facts, audio_progress
from deployments.model_engine import ModelEngine
from serve_app.core.audio.transcription import (
    Transcribe,
    Transcript,
    TranscriptionEvent,
    TranscriptionModel,
    TranscriptSegment,
    Word,
)
from serve_app.core.config import Model
from serve_app.core.errors import InvalidRequest, UnsupportedCapability
from serve_app.core.media import BlobStore
from serve_app.core.notices import Notice
from serve_app.core.options.audio import PocketsphinxOptions
from serve_app.core.text.languages import language_code
from serve_app.runtime.threads import in_thread

LONGEST_UTTERANCE_S = 10.0
"""The library transcribes an utterance in one call, in which nothing else of the process goes on:
ten seconds take it one and a half.
"""
QUIET_WITHIN_S, QUIET_S = 3.0, 0.05
FRAMES_PER_S = 100


class PocketsphinxTranscription(ModelEngine[PocketsphinxOptions], TranscriptionModel):
    """A TranscriptionModel."""

    def __init__(
        self,
        options: PocketsphinxOptions,
        model: Model,
        *,
        path: Path | None,
        blobs: BlobStore,
    ) -> None:
        super().__init__(options, model, path=path, blobs=blobs)
        import pocketsphinx

        settings = {"loglevel": "FATAL", **({"lm": str(path)} if path else {}), **options.extra}
        self._library = pocketsphinx
        # One for all: it takes 90 MB, and two never work at once, as the library keeps the GIL.
        self._decoder = pocketsphinx.Decoder(samprate=SPEECH_RATE, **settings)
        self._turn = Lock()

    @override
    async def transcribe(self, request: Transcribe) -> AsyncGenerator[TranscriptionEvent]:
        if request.mode == "translate":
            raise UnsupportedCapability(f"model {self.model.id!r} does not translate", param="mode")
        if request.language is not None and language_code(request.language) != "en":
            raise InvalidRequest(
                f"model {self.model.id!r} understands English ('en') only", param="language"
            )
        async with self.blobs.local_file(request.audio) as path:
            events = in_thread(lambda stop: self._transcribed(path, request, stop))
            try:
                async for event in events:
                    yield event
            finally:
                await events.aclose()

    def _transcribed(
        self, path: Path, request: Transcribe, stop: Callable[[], bool]
    ) -> Iterator[TranscriptionEvent]:
        segments: list[TranscriptSegment] = []
        total_s, choice = audio_facts(path, request.audio_track)
        splitter = UtteranceSplitter(self._library.Endpointer(sample_rate=SPEECH_RATE))
        blocks = speech_blocks(path, param="audio", track=request.audio_track)
        for start_s, audio in splitter.split(blocks, stop):
            with self._turn:
                segment = _segment(self._decoder, len(segments), start_s, audio)
            if segment is not None:
                segments.append(segment)
                yield segment
            yield audio_progress("transcribe", splitter.duration_s, total_s)
        yield Transcript(
            text=" ".join(segment.text for segment in segments),
            language="en",
            duration_s=splitter.duration_s,
            segments=tuple(segments),
            warnings=(*choice, *unused(request)),
        )


def unused(request: Transcribe) -> tuple[Notice, ...]:
    """What the request asks for that the library has no word for."""
    requested = {"prompt": request.prompt is not None, "temperature": request.temperature > 0}
    return tuple(
        Notice(field=name, text=f"has no effect on model {request.model!r}")
        for name, is_set in requested.items()
        if is_set
    )


class UtteranceSplitter:
    """Cuts an audio file at its pauses by the library's voice activity endpointer."""

    def __init__(self, endpointer: Any) -> None:
        self._endpointer = endpointer
        self._speech = bytearray()
        self._region_s: float | None = None
        self._start_s = 0.0
        self.duration_s = 0.0

    def split(
        self, blocks: Iterator[bytes], stop: Callable[[], bool]
    ) -> Iterator[tuple[float, bytes]]:
        """Start in seconds and samples of every utterance. One that goes on for too long is cut
        where its end is least loud.
        """
        size = int(self._endpointer.frame_bytes)
        held = b""
        for block in blocks:
            if stop():
                return
            held += block
            self.duration_s += len(block) / BYTES_PER_SECOND
            while len(held) > size:
                frame, held = held[:size], held[size:]
                self._transcribe(self._endpointer.process(frame))
                if self._is_complete():
                    yield self._cut()
        if held:
            self._transcribe(self._endpointer.end_stream(held))
        while self._speech:
            yield self._cut()

    def _transcribe(self, speech: bytes | None) -> None:
        if not speech:
            return
        region_s = float(self._endpointer.speech_start)
        # Speech that was cut for its length goes on without a start of its own.
        if region_s != self._region_s:
            self._region_s = self._start_s = region_s
        self._speech += speech

    def _is_complete(self) -> bool:
        has_ended = bool(self._speech) and not self._endpointer.in_speech
        return has_ended or self._is_too_long()

    def _is_too_long(self) -> bool:
        return len(self._speech) > LONGEST_UTTERANCE_S * BYTES_PER_SECOND

    def _cut(self) -> tuple[float, bytes]:
        size = _quietest(self._speech) if self._is_too_long() else len(self._speech)
        cut = self._start_s, bytes(self._speech[:size])
        self._start_s += size / BYTES_PER_SECOND
        del self._speech[:size]
        return cut


def _quietest(audio: bytes | bytearray) -> int:
    """The byte in the middle of what is least loud near the end."""
    window = round(QUIET_S * SPEECH_RATE)
    end = np.frombuffer(bytes(audio), "<i2")[-round(QUIET_WITHIN_S * SPEECH_RATE) :]
    loudness = [
        float(np.square(end[begin : begin + window].astype(np.float64)).mean())
        for begin in range(0, len(end) - window, window)
    ]
    middle = int(np.argmin(loudness)) * window + window // 2
    return len(audio) - (len(end) - middle) * 2


def _segment(decoder: Any, number: int, start_s: float, audio: bytes) -> TranscriptSegment | None:
    """One utterance recognised; None when nothing was understood."""
    # Else it would transcribe with the noise and the means of another recording.
    decoder.reinit_feat()
    decoder.start_utt()
    decoder.process_raw(audio, no_search=False, full_utt=True)
    decoder.end_utt()
    words = tuple(
        Word(
            word=piece.word.partition("(")[0],
            start=round(start_s + piece.start_frame / FRAMES_PER_S, 3),
            end=round(start_s + (piece.end_frame + 1) / FRAMES_PER_S, 3),
        )
        for piece in decoder.seg() or ()
        if not piece.word.startswith(("<", "["))
    )
    if not words:
        return None
    text = " ".join(word.word for word in words)
    return TranscriptSegment(
        id=number, start=words[0].start, end=words[-1].end, text=text, words=words
    )
