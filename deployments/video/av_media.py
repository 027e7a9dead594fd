"""Cutting and joining media with PyAV: audio out of a video, new audio into it."""

import asyncio
import tempfile
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from typing_extensions import override

from deployments.audio.audio_decoding import SPEECH_RATE, speech_blocks
from deployments.audio.audio_encoding import wav_header
from deployments.audio.audio_progress import audio_facts
from deployments.file_making import file_events
from deployments.model_engine import ModelEngine
from serve_app.core.audio.audio_processing import AUDIO_FILE_MIME, ProcessAudio, ProcessedAudio
from serve_app.core.errors import Cancelled
from serve_app.core.image.image_processing import IMAGE_FILE_MIME, ProcessedImage, ProcessImage
from serve_app.core.image.processing_steps import WatermarkStep
from serve_app.core.media import Blob
from serve_app.core.message import Progress
from serve_app.core.notices import Notice
from serve_app.core.options.video import AvOptions
from serve_app.core.video.assembly import AssembledVideo, AssembleVideo, VideoScene
from serve_app.core.video.processing import (
    BurnSubtitles,
    ExtractAudio,
    ExtractedAudio,
    MediaProcessor,
    ReplaceAudio,
    SubtitledVideo,
    VideoWithAudio,
)
from serve_app.core.video.video_processing import (
    VIDEO_FILE_MIME,
    ProcessedVideo,
    ProcessVideo,
)
from serve_app.runtime.streams import closing
from serve_app.runtime.threads import in_thread

if TYPE_CHECKING:
    from deployments.video.video_assembly import SceneFiles

T = TypeVar("T")
SAMPLE_BYTES = 2


class AvMedia(ModelEngine[AvOptions], MediaProcessor):
    """A MediaProcessor."""

    requires = ("av",)

    @override
    async def extract_audio(self, request: ExtractAudio) -> ExtractedAudio:
        with tempfile.TemporaryDirectory(prefix="media-") as folder:
            target = Path(folder) / "audio.wav"
            async with self.blobs.local_file(request.video) as source:
                warnings = await in_cancellable_thread(
                    lambda stop: _extract(source, request, target, stop)
                )
            audio = await self.blobs.write_file(target, mime="audio/wav")
        return ExtractedAudio(audio=audio, warnings=warnings)

    @override
    async def replace_audio(self, request: ReplaceAudio) -> VideoWithAudio:
        from deployments.video.av_remux import Remux
        from deployments.video.plain_image import is_plain, losses, write_plain
        from deployments.video.whole_video import check_whole
        from serve_app.core.time_line import length_s

        with tempfile.TemporaryDirectory(prefix="media-") as folder:
            target = Path(folder) / "video.mp4"
            async with AsyncExitStack() as stack:
                source = await stack.enter_async_context(self.blobs.local_file(request.video))
                recordings = [
                    (s.start_s, await stack.enter_async_context(self.blobs.local_file(s.audio)))
                    for s in request.recordings
                ]
                levels = [
                    [(level.at_s, level.gain) for level in s.levels] for s in request.recordings
                ]
                plain = Path(folder) / "plain.mp4"

                def work(stop: Callable[[], bool]) -> tuple[Notice, ...]:
                    check_whole(source, param="video")
                    image, lasts_s = source, 0.0
                    if not is_plain(source):
                        write_plain(source, plain, stop)
                        image, lasts_s = plain, length_s(source)
                    Remux(image, recordings, target, levels=levels, lasts_s=lasts_s).run(stop)
                    return losses(source)

                warnings = await in_cancellable_thread(work)
            video = await self.blobs.write_file(target, mime="video/mp4")
        return VideoWithAudio(video=video, warnings=warnings)

    @override
    async def assemble_video(self, request: AssembleVideo) -> AssembledVideo:
        from deployments.video import video_assembly

        with tempfile.TemporaryDirectory(prefix="media-") as folder:
            silent, target, audio = (Path(folder) / n for n in ("cut.mp4", "all.mp4", "audio.wav"))
            async with AsyncExitStack() as stack:
                scenes = [await self._files(scene, stack) for scene in request.scenes]

                def work(stop: Callable[[], bool]) -> video_assembly.AssemblyTimes:
                    cut = video_assembly.cut_image(scenes, request.size, request.fps, silent, stop)
                    if any(scene.narration for scene in scenes):
                        video_assembly.add_narration(silent, scenes, cut, target, stop)
                        video_assembly.write_narration(scenes, cut, audio, stop)
                    return cut

                cut = await in_cancellable_thread(work)
            has_audio = audio.exists()
            return AssembledVideo(
                video=await self.blobs.write_file(
                    target if has_audio else silent, mime="video/mp4"
                ),
                audio=await self.blobs.write_file(audio, mime="audio/wav") if has_audio else None,
                size=cut.size,
                fps=cut.fps,
                num_frames=cut.num_frames,
                duration_s=cut.duration_s,
                starts_s=cut.starts_s,
            )

    @override
    async def burn_subtitles(
        self, request: BurnSubtitles
    ) -> AsyncGenerator[Progress | SubtitledVideo]:
        from deployments.video.subtitle_burning import burned

        warnings: list[Notice] = []
        with tempfile.TemporaryDirectory(prefix="media-") as folder:
            target = Path(folder) / "video.mp4"
            async with self.blobs.local_file(request.video) as source:
                work = in_thread(
                    lambda stop: burned(
                        source,
                        request.cues,
                        target,
                        style=request.style,
                        track=request.audio_track,
                        stop=stop,
                    )
                )
                async with closing(work):
                    async for item in work:
                        if isinstance(item, Progress):
                            yield item
                        else:
                            warnings.append(item)
            video = await self.blobs.write_file(target, mime="video/mp4")
        yield SubtitledVideo(video=video, warnings=tuple(warnings))

    @override
    def process_image(self, request: ProcessImage) -> AsyncGenerator[Progress | ProcessedImage]:
        from deployments.media.image_processing import processed_image

        marks = [step.image for step in request.steps if isinstance(step, WatermarkStep)]
        return file_events(
            self.blobs,
            [request.image, *marks],
            lambda paths, target, stop: processed_image(paths, target, request, stop),
            mime=IMAGE_FILE_MIME[request.format],
            result=lambda blob, made: ProcessedImage(
                image=blob, size=made.size, format=request.format, warnings=made.warnings
            ),
        )

    @override
    def process_audio(self, request: ProcessAudio) -> AsyncGenerator[Progress | ProcessedAudio]:
        from deployments.video.audio_processing import processed_audio

        return file_events(
            self.blobs,
            [request.audio],
            lambda paths, target, stop: processed_audio(paths, target, request, stop),
            mime=AUDIO_FILE_MIME[request.format],
            result=lambda blob, made: ProcessedAudio(
                audio=blob, format=request.format, **dict(made)
            ),
        )

    @override
    def process_video(self, request: ProcessVideo) -> AsyncGenerator[Progress | ProcessedVideo]:
        from deployments.video.video_processing import VideoPass

        marks = [step.image for step in request.steps if isinstance(step, WatermarkStep)]
        encoder = self.options.encoder
        return file_events(
            self.blobs,
            [request.video, *marks],
            lambda paths, target, stop: VideoPass(
                paths, target, request, stop, encoder=encoder
            ).run(),
            mime=VIDEO_FILE_MIME[request.format],
            result=lambda blob, made: ProcessedVideo(
                video=blob, format=request.format, **dict(made)
            ),
        )

    async def _files(self, scene: VideoScene, stack: AsyncExitStack) -> "SceneFiles":
        from deployments.video.video_assembly import SceneFiles

        async def local(blob: Blob | None) -> Path | None:
            if blob is None:
                return None
            return await stack.enter_async_context(self.blobs.local_file(blob))

        return SceneFiles(
            image=await stack.enter_async_context(self.blobs.local_file(scene.image)),
            clip=await local(scene.clip),
            narration=await local(scene.narration),
            narration_s=scene.narration_s,
        )


async def in_cancellable_thread(work: Callable[[Callable[[], bool]], T]) -> T:
    """Run `work` in a thread; cancelling tells it to stop and waits until it has."""
    stop = threading.Event()
    running = asyncio.ensure_future(asyncio.to_thread(work, stop.is_set))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait((running,))
        if not running.cancelled():
            running.exception()
        raise


def _extract(
    source: Path, request: ExtractAudio, target: Path, stop: Callable[[], bool]
) -> tuple[Notice, ...]:
    """16 kHz mono WAV; the header is written again when the length is known. Gives warnings."""
    from deployments.video.video_decoding import check_length
    from deployments.video.whole_video import check_whole

    check_length(source, param="video")
    check_whole(source, param="video")
    begin = round(request.start_s * SPEECH_RATE) * SAMPLE_BYTES
    end = None if request.end_s is None else round(request.end_s * SPEECH_RATE) * SAMPLE_BYTES
    position = size = 0
    warnings = audio_facts(source, request.audio_track).warnings
    with target.open("wb") as file:
        file.write(wav_header(SPEECH_RATE, 0))
        for block in speech_blocks(source, param="video", track=request.audio_track):
            if stop():
                raise Cancelled("the work was cancelled")
            if end is not None and position >= end:
                break
            part = block[max(0, begin - position) : None if end is None else end - position]
            size += file.write(part)
            position += len(block)
        file.seek(0)
        file.write(wav_header(SPEECH_RATE, size))
    return warnings
