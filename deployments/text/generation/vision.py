"""Images for image-text-to-text checkpoints, through the checkpoint's own processor."""

import asyncio
from typing import Any

from PIL import Image

from deployments.media.image_decoding import decoded_image
from deployments.text.generation.checkpoint import TextCheckpoint
from serve_app.core.errors import InvalidRequest
from serve_app.core.image.images import MAX_PIXELS
from serve_app.core.media import BlobStore
from serve_app.core.text.chat import Chat, ImagePart


class VisionInputs:
    """Turns a conversation with images into the inputs of the first pass."""

    def __init__(self, checkpoint: TextCheckpoint, blobs: BlobStore) -> None:
        self._checkpoint = checkpoint
        self._blobs = blobs

    async def read(self, request: Chat, text: str) -> tuple[list[int], dict[str, Any]]:
        """Token ids with the images' places in them, and the images' tensors."""
        images = []
        for m, message in enumerate(request.messages):
            for p, part in enumerate(message.content):
                if isinstance(part, ImagePart):
                    images.append(await self._open(part, f"messages[{m}].content[{p}]"))
        return await asyncio.to_thread(self._process, text, images)

    async def _open(self, part: ImagePart, where: str) -> Image.Image:
        async with self._blobs.local_file(part.image) as path:
            image = await asyncio.to_thread(decoded_image, path, param=where, max_pixels=MAX_PIXELS)
            return image.image

    def _process(self, text: str, images: list[Image.Image]) -> tuple[list[int], dict[str, Any]]:
        processor = self._checkpoint.processor
        assert processor is not None
        try:
            inputs = processor(text=[text], images=images, return_tensors="pt")
        except (ValueError, LookupError) as error:
            # A text may hold the mark that stands for an image.
            raise InvalidRequest(
                "the model's processor cannot read the messages",
                remedy="leave out placeholders for images",
                param="messages",
            ) from error
        inputs = inputs.to(self._checkpoint.model.device)
        ids = inputs.pop("input_ids")[0].tolist()
        inputs.pop("attention_mask", None)
        return ids, dict(inputs)
