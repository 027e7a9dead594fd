"""video-dub: the words of a video spoken in another language."""

from collections.abc import AsyncGenerator, Sequence

from pipelines.parallel import Attempt, attempted, gather_in_order
from pipelines.silence import check_speech, has_words
from pipelines.translation import check_languages, translate_segments
from pipelines.utterances import fit_to_slot
from serve_app.core.audio.speech import REFERENCE_S, CloneSpeech, Speak
from serve_app.core.audio.stems import SeparateStems, Stems
from serve_app.core.audio.transcription import Transcribe, Transcript, TranscriptSegment
from serve_app.core.error_fields import renamed_error_fields
from serve_app.core.media import Blob, BlobStore
from serve_app.core.message import Progress
from serve_app.core.notices import Notice, as_notices
from serve_app.core.stages import Stages, result_of
from serve_app.core.video.dubbing import (
    BURN,
    EXTRACT,
    REPLACE,
    SEPARATE,
    SPEAK,
    TRANSCRIBE,
    TRANSLATE,
    DubbedSegment,
    DubbedVideo,
    DubVideo,
    DubVideoEvent,
)
from serve_app.core.video.processing import (
    BurnSubtitles,
    ExtractAudio,
    PlacedAudio,
    ReplaceAudio,
)
from serve_app.core.video.subtitles import cues

INAUDIBLE_OVERLAP_S = 0.1
SPOKEN = {"language": "target_language", "reference": "video", "text": None}
"""What the fields of a line are in the request for the dub; nobody has sent its text."""


class VideoDub:
    """Each utterance is spoken where its original began."""

    operation = DubVideo

    def __init__(self, stage: Stages, blobs: BlobStore) -> None:
        self._blobs = blobs
        self._stage = stage

    async def run(self, request: DubVideo) -> AsyncGenerator[DubVideoEvent]:
        """The dubbed video. Without separated stems the background is left out, with a warning."""
        await check_languages(
            self._stage,
            model=request.translation_model,
            source=request.source_language,
            target=request.target_language,
        )
        extraction = ExtractAudio(video=request.video, audio_track=request.audio_track)
        extracted = await self._stage.run(EXTRACT, extraction)
        audio = extracted.audio
        transcript, (background, lost) = await gather_in_order(
            self._transcribed(request, audio), self._background(request)
        )
        source = transcript.language or request.source_language
        texts, untranslated = await self._stage(
            TRANSLATE,
            lambda: self._translated(request, source, transcript.segments),
            tuple[list[str], list[Notice]],
        )
        lines, voice_warnings = await self._stage(
            SPEAK,
            lambda: self._spoken(request, audio, transcript, texts),
            tuple[tuple[PlacedAudio, ...], tuple[Notice, ...]],
        )
        placed = (*([] if background is None else [background]), *lines)
        replacement = ReplaceAudio(video=request.video, recordings=placed)
        spoken = await self._stage.run(REPLACE, replacement)
        video, missing = await self._burned(request, spoken.video, transcript.segments, texts)
        known = (*extracted.warnings, *transcript.warnings, *lost)
        warnings = (*known, *untranslated, *voice_warnings, *spoken.warnings, *missing)
        yield DubbedVideo(
            video=video,
            segments=tuple(
                DubbedSegment(start=s.start, end=s.end, source_text=s.text, text=text)
                for s, text in zip(transcript.segments, texts, strict=True)
            ),
            source_language=source,
            warnings=tuple(dict.fromkeys(as_notices(warnings))),
        )

    async def _transcribed(self, request: DubVideo, audio: Blob) -> Transcript:
        if request.transcript is not None:
            return request.transcript
        operation = Transcribe(
            model=request.transcription_model, audio=audio, language=request.source_language
        )
        return await self._stage(TRANSCRIBE, lambda: self._transcript(operation), Transcript)

    async def _transcript(self, operation: Transcribe) -> Transcript:
        events = self._stage.operations(operation)
        with renamed_error_fields({"audio": "video"}):
            transcript = await result_of(self._stage, TRANSCRIBE, events, Transcript)
        check_speech(transcript)
        return transcript

    async def _background(self, request: DubVideo) -> tuple[PlacedAudio | None, tuple[Notice, ...]]:
        """The video's audio without its voices, and warnings."""
        if request.stems_model is None:
            return None, ()
        operation = SeparateStems(
            model=request.stems_model,
            audio=request.video,
            allows_fallback=True,
            audio_track=request.audio_track,
        )
        made, error = await self._separated(operation)
        if made is None:
            why = error.explanation if error else "no stems were returned"
            said = f"the background audio of the video is left out; {why}"
            return None, (Notice(text=said),)
        (stem,) = [stem for stem in made.stems if stem.name == "instrumental"]
        warnings = made.warnings
        if made.quality == "best-effort":
            said = (
                "the background was separated by signal processing; traces of the original voice "
                "may remain"
            )
            warnings += (Notice(text=said),)
        return PlacedAudio(audio=stem.audio, start_s=0.0), warnings

    async def _separated(self, operation: SeparateStems) -> Attempt[Stems]:
        return await attempted(self._stage.run(SEPARATE, operation))

    async def _translated(
        self, request: DubVideo, source: str | None, segments: Sequence[TranscriptSegment]
    ) -> tuple[list[str], list[Notice]]:
        return await translate_segments(
            self._stage,
            segments,
            model=request.translation_model,
            source=source,
            target=request.target_language,
            purpose="spoken",
        )

    async def _spoken(
        self, request: DubVideo, audio: Blob, transcript: Transcript, texts: Sequence[str]
    ) -> tuple[tuple[PlacedAudio, ...], tuple[Notice, ...]]:
        segments = transcript.segments
        ends_s = [*(segment.start for segment in segments[1:]), transcript.duration_s]
        reference = await self._reference(audio, segments) if request.clones_voice else None
        await self._stage.hold(reference)
        placed: list[PlacedAudio] = []
        warnings: list[Notice] = []
        too_long: list[str] = []
        for count, (segment, text) in enumerate(zip(segments, texts, strict=True), 1):
            if not has_words(text):
                continue
            operation = _speech(request, text, reference)
            slot_s = segment.end - segment.start
            with renamed_error_fields(SPOKEN):
                line = await fit_to_slot(self._stage.operations, self._blobs, operation, slot_s)
            await self._stage.hold(line)
            placed.append(PlacedAudio(audio=line.audio, start_s=segment.start))
            warnings += line.warnings
            if segment.start + line.duration_s > ends_s[count - 1] + INAUDIBLE_OVERLAP_S:
                too_long.append(str(count - 1))
            self._report(SPEAK, count, len(segments))
        if too_long:
            said = (
                f"segment {', '.join(too_long)}: too long for its time even when spoken faster; "
                "it overlaps what follows or is cut at the end"
            )
            warnings.append(Notice(text=said))
        return tuple(placed), tuple(dict.fromkeys(warnings))

    async def _reference(self, audio: Blob, segments: Sequence[TranscriptSegment]) -> Blob:
        """What the voice is cloned from: the longest utterance, and what follows it."""
        longest = max(segments, key=lambda segment: segment.end - segment.start)
        extraction = ExtractAudio(
            video=audio, start_s=longest.start, end_s=longest.start + REFERENCE_S
        )
        return (await self._stage.outcome(SPEAK, extraction)).audio

    async def _burned(
        self,
        request: DubVideo,
        video: Blob,
        segments: Sequence[TranscriptSegment],
        texts: Sequence[str],
    ) -> tuple[Blob, tuple[Notice, ...]]:
        if not request.burns_subtitles:
            return video, ()
        translated = [
            TranscriptSegment(id=s.id, start=s.start, end=s.end, text=text)
            for s, text in zip(segments, texts, strict=True)
        ]
        operation = BurnSubtitles(video=video, cues=cues(translated, "subtitle"))
        made = await self._stage.run(BURN, operation)
        return made.video, made.warnings

    def _report(self, stage: str, count: int, total: int) -> None:
        self._stage.report(stage, Progress(phase=stage, current=count, total=total))


def _speech(request: DubVideo, text: str, reference: Blob | None) -> Speak | CloneSpeech:
    language = request.target_language
    if reference is None:
        return Speak(
            model=request.speech_model,
            text=text,
            voice=request.voice,
            language=language,
            format="wav",
        )
    return CloneSpeech(
        model=request.speech_model, text=text, reference=reference, language=language
    )
