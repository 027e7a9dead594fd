"""What a family says of the models it holds."""

from collections.abc import Iterable
from typing import Literal

from serve_app.core.image.depth import DepthMethod
from serve_app.core.image.samplers import ImageFacts
from serve_app.core.message import Message
from serve_app.core.text.translation import TranslationFacts
from serve_app.core.video.generation import VideoFacts

LoadState = Literal["unloaded", "downloading", "loading", "ready", "failed"]


class ModelStatus(Message):
    """Where a model is on its way to memory. Bytes count the download; `cause` says why it failed
    and what would help. `context_length` is in tokens, once known. `memory_mb` is what
    loading it took of its device; `last_used` is a unix second. `video` is what a video model can
    make, `image_facts` what an image model can run, `depth_method` what kind of depth model it is,
    `translation` the languages of one that translates, once known.
    """

    id: str
    state: LoadState
    bytes_done: int | None = None
    bytes_total: int | None = None
    eta_s: float | None = None
    cause: str | None = None
    context_length: int | None = None
    memory_mb: float | None = None
    video: VideoFacts | None = None
    translation: TranslationFacts | None = None
    depth_method: DepthMethod | None = None
    image_facts: ImageFacts | None = None
    requests: int = 0
    loads: int = 0
    last_used: float | None = None

    def with_facts_of(self, before: "ModelStatus") -> "ModelStatus":
        """The same, with what an earlier status knew of the model: that does not change when the
        model leaves memory.
        """
        lost = {name: getattr(before, name) for name in FACTS if getattr(self, name) is None}
        return self.model_copy(update=lost)


FACTS = ("context_length", "video", "translation", "depth_method", "image_facts")

STATES: tuple[LoadState, ...] = ("unloaded", "failed", "downloading", "loading", "ready")
"""From the farthest from memory to the nearest."""


def over_replicas(statuses: Iterable[ModelStatus]) -> tuple[ModelStatus, ...]:
    """One status of each model, of what several replicas say of it: the nearest to memory, with
    the requests and loads of all.
    """
    found: dict[str, ModelStatus] = {}
    for status in statuses:
        other = found.get(status.id)
        found[status.id] = status if other is None else _joined(other, status)
    return tuple(found.values())


def _joined(one: ModelStatus, other: ModelStatus) -> ModelStatus:
    nearest = max(one, other, key=lambda status: STATES.index(status.state))
    used = [status.last_used for status in (one, other) if status.last_used is not None]
    sums = {"requests": one.requests + other.requests, "loads": one.loads + other.loads}
    return nearest.model_copy(update=sums | {"last_used": max(used, default=None)})
