"""The finishing steps of a film, each a stage; what fails leaves the film as it was."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from pipelines.film_background import background_levels, made_background
from pipelines.film_parts import FilmParts
from pipelines.film_words import FilmWords, SpokenLine, in_translation, said
from pipelines.parallel import tried
from pipelines.utterances import uttered
from serve_app.core.depth import ConvertToStereo, StereoVideo
from serve_app.core.errors import InvalidRequest
from serve_app.core.film_finish import (
    BURN,
    DUB,
    INTERPOLATE,
    LINE_GAP_S,
    MAKE_SOUND,
    SOUND,
    SPEAK,
    STEREO,
    SUBTITLE,
    UPSCALE,
    FilmFinish,
)
from serve_app.core.interpolation import InterpolatedVideo, InterpolateVideo
from serve_app.core.media import Blob
from serve_app.core.media_processing import (
    BurnSubtitles,
    PlacedAudio,
    ReplaceAudio,
    SubtitledVideo,
    VideoWithSound,
)
from serve_app.core.message import Progress
from serve_app.core.sound import GeneratedSound
from serve_app.core.stages import Stage, result_of
from serve_app.core.subtitles import srt
from serve_app.core.transcription import Segment, Transcript
from serve_app.core.upscaling import UpscaledVideo, UpscaleVideo
from serve_app.core.video import GeneratedVideo

T = TypeVar("T")
SUBTITLES_MIME = "application/x-subrip"
FIELDS = {
    INTERPOLATE: "interpolate_output",
    UPSCALE: "upscale_output",
    MAKE_SOUND: "add_audio",
    DUB: "dub_video",
    BURN: "burn_subtitles",
    STEREO: "convert_to_3d",
}
"""What a step is called in requests."""


@dataclass(frozen=True)
class FinishedFilm:
    """A film, its subtitles as SubRip where they were asked for, and what went wrong."""

    film: GeneratedVideo
    subtitles: Blob | None
    warnings: tuple[str, ...]


class FilmFinishing:
    """The steps of one film, to be done once. `named` makes the names of its stages of those of the
    steps.
    """

    def __init__(
        self,
        parts: FilmParts,
        stage: Stage,
        plan: FilmFinish,
        *,
        named: Callable[[str], str] = str,
    ) -> None:
        self._parts = parts
        self._stage = stage
        self._plan = plan
        self._named = named
        self._words = FilmWords(parts, stage)
        self._warnings: list[str] = []

    async def finished(self, film: GeneratedVideo) -> FinishedFilm:
        """The film after every step that could be done."""
        film = await self._with_more_frames(film)
        film = await self._with_larger_frames(film)
        film, heard = await self._with_sound(film)
        film, heard = await self._dubbed(film, heard)
        film, subtitles = await self._subtitled(film, heard)
        # Last, so that what is drawn into the picture is seen by each eye in its place.
        film = await self._for_two_eyes(film)
        return FinishedFilm(film, subtitles, tuple(dict.fromkeys(self._warnings)))

    async def _with_more_frames(self, film: GeneratedVideo) -> GeneratedVideo:
        asked = self._plan.frames
        if asked is None:
            return film
        operation = InterpolateVideo(
            model=asked.model, video=film.video, fps_multiplier=asked.multiplier
        )
        events = self._parts.interpolation.interpolate
        made = await self._step(
            INTERPOLATE,
            lambda name: result_of(self._stage, name, events(operation), InterpolatedVideo),
        )
        return film if made is None else self._changed(film, made)

    async def _with_larger_frames(self, film: GeneratedVideo) -> GeneratedVideo:
        asked = self._plan.size
        if asked is None:
            return film
        operation = UpscaleVideo(
            model=asked.model,
            video=film.video,
            factor=asked.factor,
            allows_resize=asked.allows_resize,
        )
        events = self._parts.upscaling.upscale_video
        made = await self._step(
            UPSCALE, lambda name: result_of(self._stage, name, events(operation), UpscaledVideo)
        )
        return film if made is None else self._changed(film, made)

    def _changed(
        self, film: GeneratedVideo, made: InterpolatedVideo | UpscaledVideo | StereoVideo
    ) -> GeneratedVideo:
        self._warnings += made.warnings
        names = ("video", "size", "fps", "num_frames", "duration_s")
        return film.model_copy(update={name: getattr(made, name) for name in names})

    async def _with_sound(self, film: GeneratedVideo) -> tuple[GeneratedVideo, Transcript | None]:
        """The film with its sound, and what is said in it where that is known."""
        plan = self._plan
        lines: tuple[SpokenLine, ...] = ()
        if plan.lines:
            field = plan.lines[0].field
            lines = await self._step(SPEAK, self._spoken, field=field) or ()
        made = await self._background(film)
        if not lines and plan.audio is None and made is None:
            return film, None
        mixed = await self._step(
            SOUND, lambda _: self._mixed(film, lines, made), field=self._sound_field(lines)
        )
        if mixed is None:
            return film, None
        heard, unheard = said(lines, film.duration_s)
        self._warnings += (*mixed.warnings, *unheard)
        return film.model_copy(update={"video": mixed.video}), heard

    async def _spoken(self, name: str) -> tuple[SpokenLine, ...]:
        """The lines as they are heard, each at its second."""
        spoken: list[SpokenLine] = []
        next_s = 0.0
        for line in self._plan.lines:
            utterance = await uttered(self._parts.speech, self._parts.blobs, line.speech)
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

    async def _background(self, film: GeneratedVideo) -> GeneratedSound | None:
        asked = self._plan.background
        if asked is None:
            return None
        made = await self._step(
            MAKE_SOUND, lambda name: made_background(self._parts, self._stage, name, asked, film)
        )
        self._warnings += () if made is None else made.warnings
        return made

    def _sound_field(self, lines: tuple[SpokenLine, ...]) -> str:
        """Who asked for what is heard."""
        if self._plan.audio is not None:
            return "audio_file"
        return lines[0].line.field if lines else "add_audio"

    async def _mixed(
        self, film: GeneratedVideo, lines: tuple[SpokenLine, ...], made: GeneratedSound | None
    ) -> VideoWithSound:
        replace = self._parts.media.replace_audio
        keeps_own = self._plan.keeps_sound
        try:
            sounds = self._placed(film, lines, made, keeps_own=keeps_own)
            return await replace(ReplaceAudio(video=film.video, sounds=sounds))
        except InvalidRequest as error:
            # A film that was made of a silent one has no sound to be kept.
            if not keeps_own or error.param != "sounds[0]":
                raise
        sounds = self._placed(film, lines, made, keeps_own=False)
        return await replace(ReplaceAudio(video=film.video, sounds=sounds))

    def _placed(
        self,
        film: GeneratedVideo,
        lines: tuple[SpokenLine, ...],
        made: GeneratedSound | None,
        *,
        keeps_own: bool,
    ) -> tuple[PlacedAudio, ...]:
        """Everything that is heard, the film's own sound first."""
        whole = [film.video] if keeps_own else []
        whole += [] if self._plan.audio is None else [self._plan.audio]
        sounds = [PlacedAudio(audio=audio, start_s=0.0) for audio in whole]
        sounds += [PlacedAudio(audio=line.audio, start_s=line.start_s) for line in lines]
        if made is not None:
            spoken = [(line.start_s, line.end_s) for line in lines]
            levels = background_levels(film.duration_s, spoken, is_under_all=bool(whole))
            sounds.append(PlacedAudio(audio=made.audio, start_s=0.0, levels=levels))
        return tuple(sounds)

    async def _dubbed(
        self, film: GeneratedVideo, heard: Transcript | None
    ) -> tuple[GeneratedVideo, Transcript | None]:
        asked = self._plan.dubbing
        if asked is None:
            return film, heard
        made = await self._step(
            DUB, lambda name: self._words.dubbed(name, asked, film.video, heard)
        )
        if made is None:
            return film, heard
        self._warnings += made.warnings
        heard = in_translation(made, asked.target_language, film.duration_s)
        return film.model_copy(update={"video": made.video}), heard

    async def _subtitled(
        self, film: GeneratedVideo, heard: Transcript | None
    ) -> tuple[GeneratedVideo, Blob | None]:
        asked = self._plan.subtitles
        if asked is None:
            return film, None
        writes = self._plan.writes_subtitles
        made = await self._step(
            SUBTITLE,
            lambda name: self._words.subtitles(name, asked, film.video, heard),
            field="generate_subtitles" if writes else "burn_subtitles",
        )
        if made is None:
            return film, None
        self._warnings += made.warnings
        file = await self._stored(srt(made.cues)) if writes else None
        return await self._burned(film, made.cues), file

    async def _burned(self, film: GeneratedVideo, cues: tuple[Segment, ...]) -> GeneratedVideo:
        asked = self._plan.subtitles
        if asked is None or not self._plan.burns_subtitles:
            return film
        operation = BurnSubtitles(video=film.video, cues=cues, style=asked.style)
        events = self._parts.media.burn_subtitles
        made = await self._step(
            BURN, lambda name: result_of(self._stage, name, events(operation), SubtitledVideo)
        )
        if made is None:
            return film
        self._warnings += made.warnings
        return film.model_copy(update={"video": made.video})

    async def _for_two_eyes(self, film: GeneratedVideo) -> GeneratedVideo:
        asked = self._plan.stereo
        if asked is None:
            return film
        operation = ConvertToStereo(model=asked.model, video=film.video, method=asked.method)
        events = self._parts.depth.convert_to_stereo
        made = await self._step(
            STEREO, lambda name: result_of(self._stage, name, events(operation), StereoVideo)
        )
        return film if made is None else self._changed(film, made)

    async def _step(
        self, step: str, work: Callable[[str], Awaitable[T]], *, field: str | None = None
    ) -> T | None:
        """What a step makes; without it, the warnings say why."""
        name = self._named(step)
        made, error = await tried(self._stage(name, lambda: work(name)))
        if error is not None:
            self._warnings.append(f"{field or FIELDS[step]}: left out; {error.message}")
        return made

    async def _stored(self, text: str) -> Blob:
        async def data() -> AsyncGenerator[bytes]:
            yield text.encode()

        file = await self._parts.blobs.write(data(), mime=SUBTITLES_MIME)
        await self._stage.hold(file)
        return file
