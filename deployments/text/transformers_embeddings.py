"""Embeddings by transformers encoders."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from deployments.model_engine import WorkerEngine
from serve_app.core.config import Model
from serve_app.core.errors import InvalidRequest, UnsupportedCapability
from serve_app.core.media import Blob, BlobStore
from serve_app.core.options.text import TransformersOptions
from serve_app.core.text.embeddings import Embed, Embeddings

if TYPE_CHECKING:
    from PIL.Image import Image

    from deployments.micro_batches import MicroBatches
    from deployments.text.transformers_encoder import Vector

IMAGES_AT_ONCE = 8


class TransformersEmbeddings(WorkerEngine[TransformersOptions]):
    """One encoder. Its tokenizer and model run in one thread, concurrent requests in one batch."""

    def __init__(
        self,
        options: TransformersOptions,
        model: Model,
        *,
        path: Path | None,
        blobs: BlobStore,
    ) -> None:
        super().__init__(options, model, path=path, blobs=blobs)
        from deployments.text.transformers_encoder import (
            TransformersEncoder,
            opened_image,
            packed,
        )

        self._encoder = TransformersEncoder(options, model, path)
        self._opened_image, self._packed = opened_image, packed
        self._texts: MicroBatches[list[int], Vector] = self.micro_batches(
            self._encoder.encode, size=len, max_size=options.max_batch_tokens
        )
        self._images: MicroBatches[Image, Vector] = self.micro_batches(
            self._encoder.encode_images, size=lambda _: 1, max_size=IMAGES_AT_ONCE
        )
        self.context_length = self._encoder.limit
        self._width = len(self._encoder.encode(self._encoder.tokens(["width"]))[0])

    async def embed(self, request: Embed) -> Embeddings:
        """Vectors of the texts, then of the images; errors in texts are found before any work
        begins.
        """
        dimensions = self._dimensions(request)
        if request.images and not self._encoder.sees_images:
            raise UnsupportedCapability(f"model {self.model.id!r} embeds text only", param="images")
        tokens = await self.in_worker(lambda: self._encoder.tokens(request.texts))
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
                f"{request.dimensions} dimensions are more than the {self._width} "
                f"of model {self.model.id!r}",
                param="dimensions",
            )
        return request.dimensions or self._width

    async def _image(self, blob: Blob, number: int) -> "Image":
        async with self.blobs.local_file(blob) as file:
            return await asyncio.to_thread(self._opened_image, file, f"images[{number}]")
