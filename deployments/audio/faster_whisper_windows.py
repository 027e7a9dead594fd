"""Whisper over one window of audio after the other, each with what the ones before have shown."""

from collections.abc import Iterator
from typing import Any

from deployments.audio.speech_windows import SpeechWindow, quiet_clips
from serve_app.core.audio.transcription import Transcribe, TranscriptSegment, Word
from serve_app.core.options.audio import FasterWhisperOptions

CHUNK_S = 30.0
"""What the model transcribes at once."""
SHORTEST_WINDOW_S = 240.0
"""The end of a window costs as much as a chunk that is full, so that it must not come often."""
SILENT_PEAK = 0.0005
"""Below it a window is silent; a model would hallucinate words."""
NO_SPEECH_PROB, UNSURE_LOGPROB = 0.6, -1.0
"""The thresholds of the paper (Radford et al., 2022, section 4.5) for words that nobody said."""
RESET_TEMPERATURE = 0.5
TEMPERATURES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
PROMPT_TOKENS = 223


def window_s(options: FasterWhisperOptions) -> float:
    """The longest window, in seconds. Voice detection and spectra take 2 MB per second of it."""
    return max(SHORTEST_WINDOW_S, 2 * options.batch_size * CHUNK_S)


class TranscriptionRun:
    """One request. `language` is None until it is known: the first window with speech decides."""

    def __init__(
        self, whisper: Any, options: FasterWhisperOptions, request: Transcribe, language: str | None
    ) -> None:
        self.language = language
        self._whisper = whisper
        self._options = options
        self._request = request
        self._prompt: str | list[int] | None = request.prompt

    def transcribe(self, window: SpeechWindow, first_id: int) -> Iterator[TranscriptSegment]:
        """The window's segments as they come, with times of the whole audio."""
        if window.peak < SILENT_PEAK:
            return
        items, language = self._items(window)
        tokens: list[int] = []
        number = first_id
        for item in items:
            if not item.text.strip() or _is_imagined(item):
                continue
            self.language = self.language or language
            is_trusted = (item.temperature or 0.0) <= RESET_TEMPERATURE
            tokens = [*tokens, *item.tokens] if is_trusted else []
            yield _segment(item, number, window.start_s)
            number += 1
        if self._options.batch_size == 1 and number > first_id:
            self._prompt = tokens[-PROMPT_TOKENS:] or None

    def _items(self, window: SpeechWindow) -> tuple[Iterator[Any], str]:
        """The library's segments and the language that they are in."""
        temperature = self._request.temperature
        shared: dict[str, Any] = {
            "language": self.language,
            "task": self._request.mode,
            "beam_size": self._options.beam_size,
            "initial_prompt": self._prompt,
            "word_timestamps": True,
            "vad_filter": self._options.vad,
        }
        if self._options.batch_size == 1:
            shared["temperature"] = temperature or list(TEMPERATURES)
            items, info = self._whisper.transcribe(window.samples, **shared)
            return items, info.language
        from faster_whisper import BatchedInferencePipeline

        # Without its own look for voices the library takes one chunk only.
        clips = None if self._options.vad else quiet_clips(window.samples, longest_s=CHUNK_S)
        # Made anew each time: it keeps the end of the last word of the audio that it is at.
        items, info = BatchedInferencePipeline(self._whisper).transcribe(
            window.samples,
            temperature=temperature,
            batch_size=self._options.batch_size,
            clip_timestamps=clips,
            **shared,
        )
        return items, info.language


def _is_imagined(item: Any) -> bool:
    """As the library decides where it does not batch."""
    return bool(item.no_speech_prob > NO_SPEECH_PROB and item.avg_logprob < UNSURE_LOGPROB)


def _segment(item: Any, number: int, start_s: float) -> TranscriptSegment:
    words = tuple(
        Word(
            word=word.word.strip(),
            start=round(start_s + float(word.start), 3),
            end=round(start_s + float(word.end), 3),
        )
        for word in item.words or ()
    )
    return TranscriptSegment(
        id=number,
        start=round(start_s + float(item.start), 3),
        end=round(start_s + float(item.end), 3),
        text=item.text.strip(),
        words=words,
        avg_logprob=float(item.avg_logprob),
        no_speech_prob=float(item.no_speech_prob),
        compression_ratio=float(item.compression_ratio),
        temperature=float(item.temperature or 0.0),
    )
