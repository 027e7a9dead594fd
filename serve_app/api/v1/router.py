"""Every route of the native dialect, in one list, and what each answers."""

from starlette.routing import BaseRoute

from serve_app.api.answers import Answers
from serve_app.api.v1 import models
from serve_app.api.v1.audio import (
    clone,
    convert,
    speech,
    speech_batch,
    stems,
    transcriptions,
    voices,
)
from serve_app.api.v1.images import depth, face_swap, images, segmentation, upscaling
from serve_app.api.v1.jobs import inner_answers, jobs
from serve_app.api.v1.library import archive, files, profiles
from serve_app.api.v1.text import chat, completions, embeddings, rerank
from serve_app.api.v1.video import (
    dub,
    image_to_video,
    story,
    video,
    video_interpolation,
    video_subtitles,
    video_upscaling,
)
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.config import AppConfig

PARTS = (
    jobs,
    models,
    chat,
    completions,
    embeddings,
    rerank,
    speech,
    speech_batch,
    transcriptions,
    clone,
    convert,
    stems,
    video,
    images,
    upscaling,
    depth,
    segmentation,
    face_swap,
    dub,
    video_subtitles,
    video_upscaling,
    video_interpolation,
    image_to_video,
    story,
    files,
    archive,
    profiles,
    voices,
)
routes: list[BaseRoute] = [route for part in PARTS for route in part.router.routes]


def answers_over(config: AppConfig, blobs: FsspecBlobStore) -> Answers:
    """What the routes answer for jobs, in any process."""
    answers = [
        answer for part in (*PARTS, inner_answers) for answer in getattr(part, "ANSWERS", ())
    ]
    return Answers(answers, root=config.server.public_url or "", blobs=blobs)
