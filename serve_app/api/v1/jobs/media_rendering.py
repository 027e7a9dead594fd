"""Results made of files as the bodies of the calls that asked for them."""

from functools import partial
from itertools import zip_longest
from typing import Any

from serve_app.api.json_answer import StoredBase64
from serve_app.api.v1.video.pipeline_rendering import (
    animation_steps,
    dub_steps,
    story_steps,
    subtitle_item,
)
from serve_app.blobs.store import FsspecBlobStore, filename
from serve_app.core.audio.audio_generation import GeneratedAudio
from serve_app.core.audio.stems import Stems
from serve_app.core.audio.voice_conversion import ConvertedVoice
from serve_app.core.image.depth import DepthMap
from serve_app.core.image.face_swap import SwappedFaces
from serve_app.core.image.images import Images
from serve_app.core.image.segmentation import Segment, Segments
from serve_app.core.image.upscaling import UpscaledImage, UpscaledVideo
from serve_app.core.jobs import Job
from serve_app.core.media import Blob, MediaResult
from serve_app.core.operations import SpokenAudio
from serve_app.core.video.dubbing import DubbedVideo
from serve_app.core.video.generation import GeneratedVideo
from serve_app.core.video.image_to_video import AnimatedPrompt
from serve_app.core.video.interpolation import InterpolatedVideo
from serve_app.core.video.production import Videos
from serve_app.core.video.story import ToldStory
from serve_app.core.video.subtitling import Subtitles


class MediaRendering:
    """Writes envelopes. `root` stands before file URLs: the public URL, or nothing."""

    def __init__(self, root: str, blobs: FsspecBlobStore) -> None:
        self._root = root
        self._blobs = blobs

    async def body(self, job: Job, result: MediaResult) -> dict[str, Any]:
        """The synchronous body of the job's call."""
        match result:
            case SpokenAudio():
                return await self._spoken(job, result)
            case Images():
                return await self._drawn(job, result)
            case UpscaledImage():
                return await self._upscaled(job, result)
            case DepthMap():
                item = await self._item(job, result.depth, job.output.get("response_format", "url"))
                return _envelope(job, [item], result.warnings)
            case Segments():
                return await self._segmented(job, result)
            case SwappedFaces():
                key = job.output.get("response_format", "url")
                swapped = {"faces_swapped": result.faces_swapped}
                item = await self._item(job, result.media, key) | swapped
                return _envelope(job, [item], result.warnings) | swapped
            case Stems():
                return await self._separated(job, result)
            case ConvertedVoice() | GeneratedAudio():
                key = job.output.get("response_format", "url")
                return _envelope(job, [await self._item(job, result.audio, key)], result.warnings)
            case Videos():
                return await self._videoed(job, result)
            case UpscaledVideo() | InterpolatedVideo():
                key = job.output.get("response_format", "url")
                item = await self._item(job, result.video, key) | _video(result)
                return _envelope(job, [item | {"engine": result.engine}], result.warnings)
            case DubbedVideo():
                return await self._dubbed(job, result)
            case Subtitles():
                made = result.video
                key = job.output.get("response_format", "url")
                item = subtitle_item(result, job.output.get("format", "srt"))
                item |= {} if made is None else await self._item(job, made, key)
                return _envelope(job, [item], result.warnings)
            case AnimatedPrompt():
                key = job.output.get("response_format", "url")
                video = await self._item(job, result.video.video, key)
                image = await self._link(job, result.image.image)
                return _envelope(job, [], result.warnings) | animation_steps(video, image)
            case ToldStory():
                steps = await story_steps(result, partial(self._link, job))
                return _envelope(job, [], result.warnings) | steps
        raise TypeError(f"{job.operation_name} cannot have a {type(result).__name__}")

    async def _spoken(self, job: Job, audio: SpokenAudio) -> dict[str, Any]:
        key = job.output.get("response_format", "url")
        if key == "json":
            return {"audio": await self._base64(audio.audio), "format": "mp3"}
        item = await self._item(job, audio.audio, key if key.startswith("b64_") else "url")
        return _envelope(job, [item], audio.warnings)

    async def _drawn(self, job: Job, images: Images) -> dict[str, Any]:
        key = job.output.get("response_format", "url")
        items = [
            await self._item(job, made.image, key) | {"seed": made.seed} for made in images.images
        ]
        return _envelope(job, items, images.warnings) | {
            "prompt_cache_hit": images.prompt_cache_hit
        }

    async def _upscaled(self, job: Job, upscaled: UpscaledImage) -> dict[str, Any]:
        item = await self._item(job, upscaled.image, job.output.get("response_format", "url"))
        item |= upscaled.size.model_dump() | {"engine": upscaled.engine}
        return _envelope(job, [item], upscaled.warnings)

    async def _segmented(self, job: Job, segments: Segments) -> dict[str, Any]:
        key = job.output.get("response_format", "url")
        items = [
            await self._item(job, segment.image, key) | _found(segment)
            for segment in segments.segments
        ]
        return _envelope(job, items, segments.warnings) | {
            "engine": segments.engine,
            "quality": segments.quality,
        }

    async def _separated(self, job: Job, stems: Stems) -> dict[str, Any]:
        key, trained = job.output.get("response_format", "url"), job.output.get("trained_engine")
        items = [
            await self._item(job, stem.audio, key) | {"name": stem.name, "role": stem.role}
            for stem in stems.stems
        ]
        return _envelope(job, items, stems.warnings) | {
            "stem_mode": stems.stem_mode,
            "backend": {
                "engine": stems.engine,
                "model": stems.model,
                "quality": stems.quality,
                "dependency": stems.dependency,
                "ml_backend_available": trained is not None,
                "preferred_engine": trained,
            },
            "limitations": list(stems.limitations),
        }

    async def _videoed(self, job: Job, videos: Videos) -> dict[str, Any]:
        key = job.output.get("response_format", "url")
        items = [
            await self._item(job, video.video, key)
            | _video(video)
            | {"seed": video.seed}
            | ({"subtitles_url": await self._link(job, subtitles)} if subtitles else {})
            for video, subtitles in zip_longest(videos.videos, videos.subtitles)
        ]
        return _envelope(job, items, videos.warnings)

    async def _dubbed(self, job: Job, dubbed: DubbedVideo) -> dict[str, Any]:
        item = await self._item(job, dubbed.video, job.output.get("response_format", "url"))
        warnings = (*job.output.get("warnings", ()), *dubbed.warnings)
        if job.output.get("is_item"):
            segments = [segment.model_dump() for segment in dubbed.segments]
            return _envelope(job, [item | {"segments": segments}], warnings)
        return _envelope(job, [item], warnings) | dub_steps(dubbed, item)

    async def _item(self, job: Job, blob: Blob, key: str) -> dict[str, Any]:
        """One item of an envelope, with exactly one of `url` and a base64 key."""
        if key != "url":
            return {key: await self._base64(blob)}
        name = job.files.get(blob.sha256) or filename(blob)
        return {"url": f"{self._root}/v1/files/{name}"}

    async def _link(self, job: Job, blob: Blob) -> str | StoredBase64 | None:
        """The URL of a file, or a data URL where base64 was asked for."""
        if job.output.get("response_format", "url") == "url":
            return str((await self._item(job, blob, "url"))["url"])
        return await self._base64(blob, prefix=f"data:{blob.mime};base64,")

    async def _base64(self, blob: Blob, *, prefix: str = "") -> StoredBase64 | None:
        """None for a file that was deleted from the archive, which the job outlives."""
        if not await self._blobs.has(blob):
            return None
        return StoredBase64(self._blobs, blob, prefix=prefix)


def _video(video: GeneratedVideo | UpscaledVideo | InterpolatedVideo) -> dict[str, Any]:
    return video.size.model_dump() | {
        "fps": video.fps,
        "num_frames": video.num_frames,
        "duration": video.duration_s,
    }


def _found(segment: Segment) -> dict[str, Any]:
    """What is known of a segment; masks need no role."""
    known: dict[str, Any] = {} if segment.role == "mask" else {"role": segment.role}
    if segment.box is not None:
        known |= {"box": list(segment.box), "score": segment.score, "area": segment.area}
    return known if segment.label is None else known | {"label": segment.label}


def _envelope(
    job: Job, items: list[dict[str, Any]], warnings: tuple[str, ...] = ()
) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "created": int(job.finished_at or job.created_at),
        "data": items,
    }
    return answer | {"warnings": list(warnings)} if warnings else answer
