"""story: a text told as a narrated video."""

from collections.abc import (
    AsyncGenerator,
    Mapping,
    Sequence,
)
from typing import TypeVar

from pipelines.parallel import Attempt, attempted, gather_in_order
from pipelines.story_script import Script, write_script
from pipelines.utterances import Utterance, speak_line
from serve_app.core.audio.speech import ListVoices, Speak
from serve_app.core.error_fields import renamed_error_fields
from serve_app.core.errors import AppError
from serve_app.core.image.images import TextToImage
from serve_app.core.media import Blob, BlobStore
from serve_app.core.message import Message, Progress
from serve_app.core.notices import Notice
from serve_app.core.stages import Stages
from serve_app.core.video.assembly import AssembledVideo, AssembleVideo, VideoScene
from serve_app.core.video.generation import GenerateVideo
from serve_app.core.video.story import (
    NARRATION,
    SCRIPT,
    VIDEO,
    Scene,
    StoryEvent,
    StoryScene,
    StoryVideo,
    TellStory,
    animate_stage,
    image_stage,
)

T = TypeVar("T")
M = TypeVar("M", bound=Message)
STORY_VOICE = "af_sarah"
"""The narrator where nobody names one and the model has it."""


class Story:
    """What does not depend on one another runs at the same time."""

    operation = TellStory

    def __init__(self, stage: Stages, blobs: BlobStore) -> None:
        self._stage = stage
        self._blobs = blobs

    async def run(self, request: TellStory) -> AsyncGenerator[StoryEvent]:
        """The story. It fails when the script, or every image, does; everything else that fails is
        told in the result.
        """
        script = await self._stage(SCRIPT, lambda: self._script(request), Script)
        scenes = script.scenes
        (lines, audio_error), *generated = await gather_in_order(
            self._narration(request, scenes),
            *(self._image(request, i, scene) for i, scene in enumerate(scenes)),
        )
        images = _usable(generated)
        moving = [i for i in request.animated if images[i] is not None]
        clips = await gather_in_order(
            *(self._clip(request, i, scenes[i], images[i]) for i in moving)
        )
        story_scenes = _story_scenes(scenes, generated, dict(zip(moving, clips, strict=True)))
        video, video_error = await self._assembled(request, story_scenes, lines)
        yield StoryVideo(
            scenes=story_scenes,
            audio=video.audio if video else None,
            audio_error=_sentence(audio_error or (video_error if lines else None)),
            video=video.video if video else None,
            video_error=_sentence(video_error),
            size=request.size,
            duration_s=video.duration_s if video else None,
            seed=request.seed,
            warnings=(*script.warnings, *_failures(story_scenes, audio_error, video_error)),
        )

    async def _script(self, request: TellStory) -> Script:
        with renamed_error_fields({"messages": "story"}):
            return await write_script(self._stage.operations, request)

    async def _image(self, request: TellStory, index: int, scene: Scene) -> Attempt[Blob]:
        operation = TextToImage(
            model=request.image_model,
            prompt=scene.image,
            negative_prompt=request.negative_prompt,
            size=request.size,
            seed=request.seed + index,
            steps=request.steps,
            guidance_scale=request.guidance_scale,
            references=request.references,
        )
        name = image_stage(index)
        generated, error = await attempted(self._stage.run(name, operation))
        return (generated.images[0].image if generated else None), error

    async def _clip(
        self, request: TellStory, index: int, scene: Scene, image: Blob | None
    ) -> Attempt[Blob]:
        operation = GenerateVideo(
            model=request.video_model,
            mode="ti2v",
            prompt=scene.image,
            image=image,
            size=request.size,
            num_frames=request.num_frames,
            fps=request.fps,
            seed=request.seed + index,
        )
        name = animate_stage(index)
        made, error = await attempted(self._stage.run(name, operation))
        return (made.video if made else None), error

    async def _narration(
        self, request: TellStory, scenes: tuple[Scene, ...]
    ) -> tuple[tuple[Utterance, ...], AppError | None]:
        model = request.speech_model
        if model is None:
            return (), None
        lines, error = await attempted(
            self._stage(
                NARRATION,
                lambda: self._spoken(model, request.voice, scenes),
                tuple[Utterance, ...],
            )
        )
        return lines or (), error

    async def _spoken(
        self, model: str, voice: str | None, scenes: tuple[Scene, ...]
    ) -> tuple[Utterance, ...]:
        if voice is None:
            listed = await self._stage.outcome(NARRATION, ListVoices(model=model))
            known = {voice.name for voice in listed.voices}
            voice = STORY_VOICE if STORY_VOICE in known else None
        lines = []
        for number, scene in enumerate(scenes):
            operation = Speak(model=model, text=scene.line, voice=voice, format="wav")
            lines.append(await speak_line(self._stage.operations, self._blobs, operation))
            await self._stage.hold(lines[-1])
            progress = Progress(phase=NARRATION, current=number + 1, total=len(scenes))
            self._stage.report(NARRATION, progress)
        return tuple(lines)

    async def _assembled(
        self, request: TellStory, story_scenes: tuple[StoryScene, ...], lines: tuple[Utterance, ...]
    ) -> Attempt[AssembledVideo]:
        """Scenes without an image of their own are told over the one before, or the next."""
        shown = [scene.image for scene in story_scenes]
        stills = [_nearest(shown, i) for i in range(len(story_scenes))]
        scenes = tuple(
            VideoScene(
                image=stills[i],
                clip=scene.clip,
                narration=lines[i].audio if lines else None,
                narration_s=lines[i].duration_s if lines else 0.0,
            )
            for i, scene in enumerate(story_scenes)
        )
        operation = AssembleVideo(scenes=scenes, size=request.size, fps=request.fps)
        return await attempted(self._stage.run(VIDEO, operation))


def _usable(generated: Sequence[Attempt[Blob]]) -> list[Blob | None]:
    """The images; without any, the error of the first."""
    error = generated[0][1]
    if error is not None and all(image is None for image, _ in generated):
        raise error
    return [image for image, _ in generated]


def _nearest(images: Sequence[Blob | None], index: int) -> Blob:
    before = [image for image in images[: index + 1] if image is not None]
    after = [image for image in images[index:] if image is not None]
    return before[-1] if before else after[0]


def _story_scenes(
    scenes: Sequence[Scene], generated: Sequence[Attempt[Blob]], clips: Mapping[int, Attempt[Blob]]
) -> tuple[StoryScene, ...]:
    return tuple(
        StoryScene(
            scene=scene,
            image=generated[i][0],
            image_error=_sentence(generated[i][1]),
            clip=clips.get(i, (None, None))[0],
            clip_error=_sentence(clips.get(i, (None, None))[1]),
        )
        for i, scene in enumerate(scenes)
    )


def _failures(
    scenes: Sequence[StoryScene], audio_error: AppError | None, video_error: AppError | None
) -> list[Notice]:
    """Everything that went wrong, as sentences."""
    errors = [error for scene in scenes for error in (scene.image_error, scene.clip_error)]
    errors += [_sentence(audio_error), _sentence(video_error)]
    return [Notice(text=error) for error in errors if error]


def _sentence(error: AppError | None) -> str | None:
    return None if error is None else error.explanation
