"""Who speaks when, by GE2E: small, and free of torch."""

from collections.abc import AsyncGenerator
from pathlib import Path

from typing_extensions import override

from deployments.audio.ge2e import Ge2e, UnfitVoiceEncoder
from deployments.audio.speaker_diarization import diarized
from deployments.model_engine import ModelEngine
from serve_app.core.audio.diarization import DiarizationEvent, Diarize, Diarizer
from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable
from serve_app.core.media import BlobStore
from serve_app.core.options.audio import Ge2eOptions
from serve_app.runtime.streams import closing
from serve_app.runtime.threads import in_thread

FILE = "ge2e.safetensors"


class Ge2eDiarization(ModelEngine[Ge2eOptions], Diarizer):
    """A Diarizer. A speaker who changes without a pause is noticed two seconds late at most."""

    requires = ("av", "scipy")

    def __init__(
        self,
        options: Ge2eOptions,
        model: Model,
        *,
        path: Path | None,
        blobs: BlobStore,
    ) -> None:
        super().__init__(options, model, path=path, blobs=blobs)
        self._voices = _loaded(model, path)

    async def close(self) -> None:
        """Let go of the weights."""
        self.__dict__.pop("_voices", None)

    @override
    async def diarize(self, request: Diarize) -> AsyncGenerator[DiarizationEvent]:
        vectors_of, similarity = self._voices.vectors, self.options.similarity
        async with self.blobs.local_file(request.audio) as path:
            events = in_thread(lambda stop: diarized(path, request, vectors_of, similarity, stop))
            async with closing(events):
                async for event in events:
                    yield event


def _loaded(model: Model, path: Path | None) -> Ge2e:
    try:
        if path is None:
            raise UnfitVoiceEncoder("it has no source")
        return Ge2e(path if path.is_file() else path / FILE)
    except UnfitVoiceEncoder as error:
        raise BackendUnavailable(
            f"model {model.id!r} is no GE2E voice encoder: {error}",
            remedy=f"its source must be a directory with {FILE}",
            provider="ge2e",
        ) from error
