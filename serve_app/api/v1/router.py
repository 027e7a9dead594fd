"""Every route of the native dialect, and what each answers."""

from starlette.routing import BaseRoute

from serve_app.api.answers import Answers
from serve_app.api.v1 import models
from serve_app.api.v1.parts import PARTS, answers_of, routes_of
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.config import AppConfig

routes: list[BaseRoute] = [route for part in (models, *PARTS) for route in routes_of(part)]


def answers_over(config: AppConfig, blobs: FsspecBlobStore) -> Answers:
    """What the routes answer for jobs, in any process."""
    answers = [answer for part in PARTS for answer in answers_of(part)]
    return Answers(answers, root=config.server.public_url or "", blobs=blobs)
