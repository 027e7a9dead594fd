"""Images in words with transformers: BLIP, and what else `AutoModelForImageTextToText` loads."""

from collections.abc import AsyncGenerator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
import transformers
from PIL import Image
from typing_extensions import override

from deployments.media.image_decoding import decoded_image
from deployments.model_engine import WorkerEngine
from deployments.torch_device import device_of
from deployments.transformers_checkpoint import (
    UNLIMITED,
    check_complete,
    loading,
    loading_arguments,
)
from serve_app.core.config import Model
from serve_app.core.errors import ContextLengthExceeded, InvalidRequest, UnsupportedCapability
from serve_app.core.image.captioning import (
    DescribeImage,
    DescriptionEvent,
    ImageDescriber,
    ImageDescription,
)
from serve_app.core.media import BlobStore
from serve_app.core.message import Progress
from serve_app.core.notices import Notice
from serve_app.core.options.text import TransformersOptions
from serve_app.runtime.streams import closing
from serve_app.runtime.threads import pushed

Push = Callable[[DescriptionEvent], None]

START_TOKENS = 2
INSTRUCTION = "Describe this image in one sentence."
ANSWERERS = frozenset({"BlipForQuestionAnswering"})
PROMPTS: dict[str, tuple[str | None, str | None]] = {
    "blip-2": (None, "Question: {} Answer:"),
    "instructblip": (INSTRUCTION, "{}"),
    "paligemma": ("caption en\n", "answer en {}\n"),
    "florence2": ("<CAPTION>", None),
}
"""How each architecture is asked for a caption and for an answer, None where it is not; those with
a chat template are asked through it, and all others only caption.
"""


class TransformersCaptioning(WorkerEngine[TransformersOptions], ImageDescriber):
    """An ImageDescriber. Images are described one after the other in one thread, with the most
    likely words.
    """

    def __init__(
        self, options: TransformersOptions, model: Model, *, path: Path | None, blobs: BlobStore
    ) -> None:
        super().__init__(options, model, path=path, blobs=blobs)
        device = device_of(options)
        with loading(model, path) as directory:
            arguments = loading_arguments(options, device)
            config = transformers.AutoConfig.from_pretrained(str(directory), local_files_only=True)
            self._answers_only = bool(ANSWERERS & {*(config.architectures or ())})
            kind: Any = transformers.AutoModelForImageTextToText
            if self._answers_only:
                kind = transformers.BlipForQuestionAnswering
            network, report = kind.from_pretrained(
                str(directory), output_loading_info=True, **arguments
            )
            self._reader = CaptionProcessor(directory, config.model_type)
        check_complete(model, report["missing_keys"], kind="an image-text-to-text checkpoint")
        self._network: Any = network.to(device).eval()

    async def close(self) -> None:
        """Free the weights."""
        await super().close()
        self._network = None

    @override
    async def describe_image(self, request: DescribeImage) -> AsyncGenerator[DescriptionEvent]:
        if request.question is not None and not (self._answers_only or self._reader.answers):
            raise UnsupportedCapability(
                f"model {request.model!r} captions images and answers no questions",
                remedy=(
                    "use a model that does, such as Salesforce/blip-vqa-base or a chat model with "
                    "vision"
                ),
                param="question",
            )
        async with self.blobs.local_file(request.image) as path:
            events: AsyncGenerator[DescriptionEvent] = pushed(
                partial(self._describe, path, request), self.worker
            )
            async with closing(events):
                async for event in events:
                    yield event

    @torch.inference_mode()
    def _describe(
        self, path: Path, request: DescribeImage, push: Push, is_stopped: Callable[[], bool]
    ) -> None:
        """Blocks."""
        image = decoded_image(path, param="image", max_pixels=request.max_pixels)
        question = request.question
        if self._answers_only and question is None:
            question = "what is in the image?"
        inputs = self._reader.read(image.image, question, is_plain=self._answers_only)
        inputs = inputs.to(self._network.device, self._network.dtype)
        tokens = min(request.max_tokens, self._room(inputs))
        watch = TokenProgress(tokens, push, is_stopped)
        (ids,) = self._network.generate(
            **inputs,
            max_new_tokens=tokens,
            do_sample=False,
            num_beams=1,
            stopping_criteria=transformers.StoppingCriteriaList([watch]),
        )
        text = self._reader.text(ids, inputs.get("input_ids"))
        cut = Notice(field="text", text=f"cut off after {tokens} tokens")
        warnings = (*image.warnings, *([cut] if watch.is_at_end else []))
        push(ImageDescription(text=text, warnings=warnings))

    def _room(self, inputs: Any) -> int:
        """How many tokens fit beside the prompt. ContextLengthExceeded when none does."""
        text = self._network.config.get_text_config()
        limit = getattr(text, "max_position_embeddings", None) or UNLIMITED
        used = inputs["input_ids"].shape[1] if "input_ids" in inputs else START_TOKENS
        if used >= limit:
            raise ContextLengthExceeded(
                f"the question has {used} tokens with the image, and the model reads {limit}",
                param="question",
            )
        return int(limit - used)


class TokenProgress(transformers.StoppingCriteria):
    """Tells of every token, and ends the text when nobody waits for it."""

    def __init__(self, total: int, push: Push, is_stopped: Callable[[], bool]) -> None:
        self._total = total
        self._push = push
        self._is_stopped = is_stopped
        self._count = 0

    @property
    def is_at_end(self) -> bool:
        """Whether as many tokens were made as are allowed."""
        return self._count >= self._total

    def __call__(self, ids: torch.Tensor, _: Any, **__: Any) -> torch.Tensor:
        """Called after every token."""
        self._count += 1
        self._push(Progress(phase="describe", current=self._count, total=self._total))
        return torch.full((len(ids),), self._is_stopped(), device=ids.device)


class CaptionProcessor:
    """The checkpoint's own processor: images and questions in, words out."""

    def __init__(self, directory: Path, model_type: str) -> None:
        place = {"pretrained_model_name_or_path": str(directory), "local_files_only": True}
        self._processor: Any = transformers.AutoProcessor.from_pretrained(**place)
        self._tokenizer: Any = getattr(self._processor, "tokenizer", None)
        self._images: Any = getattr(self._processor, "image_processor", None)
        if self._tokenizer is None:
            self._tokenizer = transformers.AutoTokenizer.from_pretrained(**place)
            self._images = transformers.AutoImageProcessor.from_pretrained(**place)
        self._has_template = getattr(self._processor, "chat_template", None) is not None
        self._caption, self._question = PROMPTS.get(model_type, (None, None))

    @property
    def answers(self) -> bool:
        """Whether it can be asked more than a caption."""
        return self._has_template or self._question is not None

    def read(self, image: Image.Image, question: str | None, *, is_plain: bool) -> Any:
        """The inputs of `generate`; a question `is_plain` where the model takes nothing else."""
        prompt = question if is_plain else self._prompt(question)
        if prompt is None:
            return self._images(images=image, return_tensors="pt")
        try:
            return self._processor(images=image, text=prompt, return_tensors="pt")
        except ValueError as error:
            # A question may hold the mark that stands for an image.
            raise InvalidRequest(
                "the model's processor cannot read the question", param="question"
            ) from error

    def text(self, ids: torch.Tensor, prompt: torch.Tensor | None) -> str:
        """What was said: some models repeat the prompt before it."""
        if prompt is not None and torch.equal(ids[: prompt.shape[1]], prompt[0]):
            ids = ids[prompt.shape[1] :]
        return str(self._tokenizer.decode(ids, skip_special_tokens=True)).strip()

    def _prompt(self, question: str | None) -> str | None:
        if not self._has_template:
            form = self._caption if question is None else self._question
            # Not `format`: questions have braces of their own.
            return form if form is None else form.replace("{}", question or "")
        parts = [{"type": "image"}, {"type": "text", "text": question or INSTRUCTION}]
        turns = [{"role": "user", "content": parts}]
        return str(self._processor.apply_chat_template(turns, add_generation_prompt=True))
