"""Embeddings by transformers encoders."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from deployments.text.micro_batches import MicroBatches
from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable, InvalidRequest, UnsupportedCapability
from serve_app.core.media import Blob, BlobStore
from serve_app.core.options.text import TransformersOptions
from serve_app.core.text.embeddings import Embed, Embeddings

if TYPE_CHECKING:
    from PIL.Image import Image

    from deployments.text.transformers_encoder import Vector

T = TypeVar("T")
IMAGES_AT_ONCE = 8


class TransformersEmbeddings:
    """One encoder. Its tokenizer and model run in one thread, concurrent requests in one batch."""

    def __init__(
        self,
        options: TransformersOptions,
        model: Model,
        *,
        path: Path | None,
        blobs: BlobStore,
    ) -> None:
        try:
            from deployments.text.transformers_encoder import (
                TransformersEncoder,
                opened_image,
                packed,
            )
        except ImportError as error:
            raise BackendUnavailable(
                f"the transformers engine needs {error.name!r}; install the local extra: "
                "pip install 'polyphony[local]'"
            ) from error
        self._encoder = TransformersEncoder(options, model, path)
        self._opened_image, self._packed = opened_image, packed
        self._model_id = model.id
        self._blobs = blobs
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="encoder")
        self._texts: MicroBatches[list[int], Vector] = MicroBatches(
            self._worker, self._encoder.encode, size=len, max_size=options.max_batch_tokens
        )
        self._images: MicroBatches[Image, Vector] = MicroBatches(
            self._worker, self._encoder.encode_images, size=lambda _: 1, max_size=IMAGES_AT_ONCE
        )
        self.context_length = self._encoder.limit
        self._width = len(self._encoder.encode(self._encoder.tokens(["width"]))[0])

    async def start(self) -> None:
        """Nothing is bound to the event loop."""

    async def close(self) -> None:
        """Stop the thread and refuse what waits for it."""
        self._texts.close()
        self._images.close()
        self._worker.shutdown(wait=False)

    async def embed(self, request: Embed) -> Embeddings:
        """Vectors of the texts, then of the images; errors in texts are found before any work
        begins.
        """
        dimensions = self._dimensions(request)
        if request.images and not self._encoder.sees_images:
            raise UnsupportedCapability(f"model {self._model_id!r} embeds text only", param="image")
        tokens = await self._in_worker(lambda: self._encoder.tokens(request.texts))
        vectors = await self._texts.results(tokens) if tokens else []
        for first in range(0, len(request.images), IMAGES_AT_ONCE):
            # Never all at once: a small file can be an image of 200 MB.
            some = request.images[first : first + IMAGES_AT_ONCE]
            images = [await self._image(blob, i) for i, blob in enumerate(some, first)]
            vectors += await self._images.results(images)
        return Embeddings(
            vectors=tuple(self._packed(vector, dimensions) for vector in vectors),
            dimensions=dimensions,
            prompt_tokens=sum(map(len, tokens)),
        )

    def _dimensions(self, request: Embed) -> int:
        if request.dimensions is not None and request.dimensions > self._width:
            raise InvalidRequest(
                f"dimensions {request.dimensions} is more than the {self._width} "
                f"of model {self._model_id!r}",
                param="dimensions",
            )
        return request.dimensions or self._width

    async def _image(self, blob: Blob, number: int) -> "Image":
        async with self._blobs.local_file(blob) as file:
            return await asyncio.to_thread(self._opened_image, file, f"image[{number}]")

    async def _in_worker(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._worker, work)
