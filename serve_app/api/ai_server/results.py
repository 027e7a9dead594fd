"""What jobs have made, as this dialect tells it."""

import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from serve_app.api.ai_server.artifact_links import ServiceOutput, artifact_path
from serve_app.api.answers import Answer, AnswerBody, Finished, Tell
from serve_app.core.audio.audio_processing import ProcessAudio, ProcessedAudio
from serve_app.core.audio.speech import Speak, SpokenAudio
from serve_app.core.audio.transcription import Transcribe, Transcript
from serve_app.core.image.captioning import DescribeImage, ImageDescription
from serve_app.core.image.image_processing import ProcessedImage, ProcessImage
from serve_app.core.image.images import Images, ImageToImage, Inpaint, TextToImage
from serve_app.core.image.upscaling import UpscaledImage, UpscaleImage
from serve_app.core.jobs import Job
from serve_app.core.media import Blob, MediaResult
from serve_app.core.message import Message
from serve_app.core.notices import Notice
from serve_app.core.video.video_processing import ProcessedVideo, ProcessVideo

DAY_S, HOUR_S, MINUTE_S = 86_400, 3600, 60


class MadeFile(NamedTuple):
    """A file of a result; `extension` where it is asked for by a name, `provider` what made it."""

    blob: Blob
    extension: str | None = None
    provider: str | None = None


def made_files(result: Message | None) -> list[MadeFile]:
    """The files of a result, in their order."""
    match result:
        case Images():
            return [MadeFile(made.image) for made in result.images]
        case UpscaledImage():
            return [MadeFile(result.image, provider=result.engine)]
        case ProcessedImage():
            return [MadeFile(result.image, result.format)]
        case ProcessedVideo():
            return [MadeFile(result.video, result.format)]
        case ProcessedAudio():
            return [MadeFile(result.audio, result.format)]
        case SpokenAudio():
            return [MadeFile(result.audio)]
    return []


def made_texts(result: Message | None) -> list[str]:
    """The texts of a result: of a transcript first the words, then the segments as JSON."""
    match result:
        case ImageDescription():
            return [result.text]
        case Transcript():
            segments = [
                {"start": each.start, "end": each.end, "text": each.text}
                for each in result.segments
            ]
            return [result.text, json.dumps(segments, ensure_ascii=False)]
    return []


def file_objects(job: Job, output: ServiceOutput, root: str) -> Iterator[dict[str, Any]]:
    """`url`, `fileName` and `provider` of each file."""
    made_at = job.finished_at or job.created_at
    for made in made_files(job.result):
        path = artifact_path(made.blob, made_at=made_at, key=output.key, extension=made.extension)
        name = path.rpartition("/")[2]
        if output.stem is not None:
            name = f"{output.stem}.{name.rpartition('.')[2]}"
        provider = {} if made.provider is None else {"provider": made.provider}
        yield {"url": f"{root or output.base}{path}", "fileName": name} | provider


def text_objects(job: Job) -> list[dict[str, str]]:
    """`text` of each text."""
    return [{"text": text} for text in made_texts(job.result)]


def duration_of(job: Job) -> dict[str, str]:
    """`duration`, of a job that has ended."""
    if job.started_at is None or job.finished_at is None:
        return {}
    return {"duration": xsd_duration(job.finished_at - job.started_at)}


def warnings_of(
    result: Message | None, more: Iterable[Notice] | None, tell: Tell
) -> dict[str, list[str]]:
    """`warnings`: what could not be done as it was asked for. Nothing where there is none."""
    own: Iterable[Notice] = ()
    if isinstance(result, MediaResult | ImageDescription | Transcript):
        own = result.warnings
    texts = tell([*(more or ()), *own])
    return {"warnings": texts} if texts else {}


def xsd_duration(seconds: float) -> str:
    """`PT1.234S`, as XML Schema writes a duration."""
    milliseconds = max(0, round(seconds * 1000))
    whole, rest = divmod(milliseconds, 1000)
    days, whole = divmod(whole, DAY_S)
    hours, whole = divmod(whole, HOUR_S)
    minutes, whole = divmod(whole, MINUTE_S)
    second = f"{whole}.{rest:03d}".rstrip("0") if rest else str(whole)
    parts = [f"{hours}H" if hours else "", f"{minutes}M" if minutes else ""]
    parts.append(f"{second}S" if whole or rest else "")
    time = "".join(parts)
    date = f"P{days}D" if days else "P"
    return date + (f"T{time}" if time else "" if days else "T0S")


async def artifact_body(finished: Finished[Message, Message, ServiceOutput]) -> AnswerBody:
    """ArtifactGenerationResponse."""
    objects = file_objects(finished.job, finished.output, finished.files.root)
    return {"results": [*objects]} | duration_of(finished.job) | _warnings(finished)


async def text_body(finished: Finished[Message, Message, ServiceOutput]) -> AnswerBody:
    """TextGenerationResponse."""
    return {"results": text_objects(finished.job)} | duration_of(finished.job) | _warnings(finished)


def _warnings(finished: Finished[Message, Message, ServiceOutput]) -> dict[str, list[str]]:
    return warnings_of(finished.result, finished.output.notices, finished.tell)


ANSWERS = (
    Answer(TextToImage, ServiceOutput, artifact_body),
    Answer(ImageToImage, ServiceOutput, artifact_body),
    Answer(Inpaint, ServiceOutput, artifact_body),
    Answer(UpscaleImage, ServiceOutput, artifact_body),
    Answer(Speak, ServiceOutput, artifact_body),
    Answer(ProcessImage, ServiceOutput, artifact_body),
    Answer(ProcessVideo, ServiceOutput, artifact_body),
    Answer(ProcessAudio, ServiceOutput, artifact_body),
    Answer(DescribeImage, ServiceOutput, text_body),
    Answer(Transcribe, ServiceOutput, text_body),
)
