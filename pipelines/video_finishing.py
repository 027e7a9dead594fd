"""The finishing steps of a video, each a stage; what fails leaves the video as it was."""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

from pipelines.utterances import speak_line
from pipelines.video_background import background_levels, generate_background
from pipelines.video_speech import SpokenLine, VideoWords, spoken_transcript, translated_transcript
from pipelines.video_steps import VideoSteps
from serve_app.core.audio.audio_generation import GeneratedAudio
from serve_app.core.audio.transcription import Transcript, TranscriptSegment
from serve_app.core.errors import InvalidRequest
from serve_app.core.image.depth import ConvertToStereo, StereoVideo
from serve_app.core.image.upscaling import UpscaledVideo, UpscaleVideo
from serve_app.core.media import Blob, BlobStore
from serve_app.core.message import Progress
from serve_app.core.notices import Notice
from serve_app.core.stages import Stages
from serve_app.core.video.dubbing import DubbedVideo
from serve_app.core.video.finishing import (
    AUDIO,
    BURN,
    DUB,
    INTERPOLATE,
    LINE_GAP_S,
    MAKE_AUDIO,
    SPEAK,
    STEREO,
    SUBTITLE,
    UPSCALE,
    VideoFinish,
)
from serve_app.core.video.generation import GeneratedVideo
from serve_app.core.video.interpolation import InterpolatedVideo, InterpolateVideo
from serve_app.core.video.processing import (
    BurnSubtitles,
    PlacedAudio,
    ReplaceAudio,
    VideoWithAudio,
)
from serve_app.core.video.subtitles import srt
from serve_app.core.video.subtitling import Subtitles

SUBTITLES_MIME = "application/x-subrip"


@dataclass(frozen=True)
class FinishedVideo:
    """A video, its subtitles as SubRip where they were asked for, and what went wrong."""

    video: GeneratedVideo
    subtitles: Blob | None
    warnings: tuple[Notice, ...]


class VideoFinishing:
    """The steps of one video, to be done once. `named` makes the names of its stages of those of
    the steps.
    """

    def __init__(
        self,
        stage: Stages,
        blobs: BlobStore,
        plan: VideoFinish,
        *,
        named: Callable[[str], str] = str,
    ) -> None:
        self._stage = stage
        self._blobs = blobs
        self._plan = plan
        self._words = VideoWords(stage, blobs)
        self._steps = VideoSteps(stage, plan, named)

    async def finished(self, video: GeneratedVideo) -> FinishedVideo:
        """The video after every step that could be done."""
        video = await self._with_more_frames(video)
        video = await self._with_larger_frames(video)
        video, transcript = await self._with_audio(video)
        video, transcript = await self._dubbed(video, transcript)
        video, subtitles = await self._subtitled(video, transcript)
        # Last, so that what is burned into the image is in its place in both views.
        video = await self._in_stereo(video)
        return FinishedVideo(video, subtitles, tuple(dict.fromkeys(self._steps.warnings)))

    async def _with_more_frames(self, video: GeneratedVideo) -> GeneratedVideo:
        requested = self._plan.frames
        if requested is None:
            return video
        operation = InterpolateVideo(
            model=requested.model, video=video.video, fps_multiplier=requested.multiplier
        )
        made = await self._steps.run(INTERPOLATE, operation)
        return video if made is None else self._changed(video, made)

    async def _with_larger_frames(self, video: GeneratedVideo) -> GeneratedVideo:
        requested = self._plan.size
        if requested is None:
            return video
        operation = UpscaleVideo(
            model=requested.model,
            video=video.video,
            factor=requested.factor,
            allows_resize=requested.allows_resize,
        )
        made = await self._steps.run(UPSCALE, operation)
        return video if made is None else self._changed(video, made)

    def _changed(
        self, video: GeneratedVideo, made: InterpolatedVideo | UpscaledVideo | StereoVideo
    ) -> GeneratedVideo:
        self._steps.warnings += made.warnings
        names = ("video", "size", "fps", "num_frames", "duration_s")
        return video.model_copy(update={name: getattr(made, name) for name in names})

    async def _with_audio(self, video: GeneratedVideo) -> tuple[GeneratedVideo, Transcript | None]:
        """The video with its audio, and what is said in it where that is known."""
        plan = self._plan
        lines: tuple[SpokenLine, ...] = ()
        if plan.lines:
            field = plan.lines[0].field
            lines = (
                await self._steps.do(SPEAK, self._spoken, tuple[SpokenLine, ...], field=field) or ()
            )
        made = await self._background(video)
        if not lines and plan.audio is None and made is None:
            return video, None
        mixed = await self._steps.do(
            AUDIO,
            lambda name: self._mixed(name, video, lines, made),
            VideoWithAudio,
            field=self._audio_field(lines),
        )
        if mixed is None:
            return video, None
        transcript, losses = spoken_transcript(lines, video.duration_s)
        self._steps.warnings += (*mixed.warnings, *losses)
        return video.model_copy(update={"video": mixed.video}), transcript

    async def _spoken(self, name: str) -> tuple[SpokenLine, ...]:
        """The lines as they are heard, each at its second."""
        spoken: list[SpokenLine] = []
        next_s = 0.0
        for line in self._plan.lines:
            utterance = await speak_line(self._stage.operations, self._blobs, line.speech)
            await self._stage.hold(utterance)
            start_s = next_s if line.start_s is None else line.start_s
            next_s = start_s + utterance.duration_s + LINE_GAP_S
            spoken.append(
                SpokenLine(
                    line=line,
                    audio=utterance.audio,
                    start_s=start_s,
                    end_s=start_s + utterance.duration_s,
                    warnings=utterance.warnings,
                )
            )
            done = Progress(phase=name, current=len(spoken), total=len(self._plan.lines))
            self._stage.report(name, done)
        return tuple(spoken)

    async def _background(self, video: GeneratedVideo) -> GeneratedAudio | None:
        requested = self._plan.background
        if requested is None:
            return None
        made = await self._steps.do(
            MAKE_AUDIO,
            lambda name: generate_background(self._stage, name, requested, video),
            GeneratedAudio,
        )
        self._steps.warnings += () if made is None else made.warnings
        return made

    def _audio_field(self, lines: tuple[SpokenLine, ...]) -> str:
        """What asked for what is heard."""
        if lines and self._plan.audio is None:
            return lines[0].line.field
        return self._plan.field(AUDIO)

    async def _mixed(
        self,
        name: str,
        video: GeneratedVideo,
        lines: tuple[SpokenLine, ...],
        made: GeneratedAudio | None,
    ) -> VideoWithAudio:
        keeps_own = self._plan.keeps_audio
        try:
            recordings = self._placed(video, lines, made, keeps_own=keeps_own)
            replacement = ReplaceAudio(video=video.video, recordings=recordings)
            return await self._stage.outcome(name, replacement)
        except InvalidRequest as error:
            # A video that was made of a silent one has no audio to be kept.
            if not keeps_own or error.param != "recordings[0]":
                raise
        recordings = self._placed(video, lines, made, keeps_own=False)
        replacement = ReplaceAudio(video=video.video, recordings=recordings)
        return await self._stage.outcome(name, replacement)

    def _placed(
        self,
        video: GeneratedVideo,
        lines: tuple[SpokenLine, ...],
        made: GeneratedAudio | None,
        *,
        keeps_own: bool,
    ) -> tuple[PlacedAudio, ...]:
        """Everything that is heard, the video's own audio first."""
        whole = [video.video] if keeps_own else []
        whole += [] if self._plan.audio is None else [self._plan.audio]
        recordings = [PlacedAudio(audio=audio, start_s=0.0) for audio in whole]
        recordings += [PlacedAudio(audio=line.audio, start_s=line.start_s) for line in lines]
        if made is not None:
            spoken = [(line.start_s, line.end_s) for line in lines]
            levels = background_levels(video.duration_s, spoken, is_under_all=bool(whole))
            recordings.append(PlacedAudio(audio=made.audio, start_s=0.0, levels=levels))
        return tuple(recordings)

    async def _dubbed(
        self, video: GeneratedVideo, transcript: Transcript | None
    ) -> tuple[GeneratedVideo, Transcript | None]:
        requested = self._plan.dubbing
        if requested is None:
            return video, transcript
        made = await self._steps.do(
            DUB,
            lambda name: self._words.dubbed(name, requested, video.video, transcript),
            DubbedVideo,
        )
        if made is None:
            return video, transcript
        self._steps.warnings += made.warnings
        transcript = translated_transcript(made, requested.target_language, video.duration_s)
        return video.model_copy(update={"video": made.video}), transcript

    async def _subtitled(
        self, video: GeneratedVideo, transcript: Transcript | None
    ) -> tuple[GeneratedVideo, Blob | None]:
        requested = self._plan.subtitles
        if requested is None:
            return video, None
        writes = self._plan.writes_subtitles
        made = await self._steps.do(
            SUBTITLE,
            lambda name: self._words.subtitles(name, requested, video.video, transcript),
            Subtitles,
        )
        if made is None:
            return video, None
        self._steps.warnings += made.warnings
        file = await self._stored(srt(made.cues)) if writes else None
        return await self._burned(video, made.cues), file

    async def _burned(
        self, video: GeneratedVideo, cues: tuple[TranscriptSegment, ...]
    ) -> GeneratedVideo:
        requested = self._plan.subtitles
        if requested is None or not self._plan.burns_subtitles:
            return video
        operation = BurnSubtitles(video=video.video, cues=cues, style=requested.style)
        made = await self._steps.run(BURN, operation)
        if made is None:
            return video
        self._steps.warnings += made.warnings
        return video.model_copy(update={"video": made.video})

    async def _in_stereo(self, video: GeneratedVideo) -> GeneratedVideo:
        requested = self._plan.stereo
        if requested is None:
            return video
        operation = ConvertToStereo(
            model=requested.model, video=video.video, method=requested.method
        )
        made = await self._steps.run(STEREO, operation)
        return video if made is None else self._changed(video, made)

    async def _stored(self, text: str) -> Blob:
        async def data() -> AsyncGenerator[bytes]:
            yield text.encode()

        file = await self._blobs.write(data(), mime=SUBTITLES_MIME)
        await self._stage.hold(file)
        return file
