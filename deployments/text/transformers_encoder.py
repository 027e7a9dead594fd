"""Encoders and CLIP-like dual encoders of transformers, as plain blocking calls.

Imported only where torch is.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

from deployments.media.image_decoding import decoded_image
from deployments.text.sentence_pooling import SentencePooling, longest_sentence
from deployments.torch_device import device_of
from deployments.transformers_checkpoint import loading, loading_arguments, token_limit
from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable, ContextLengthExceeded, InvalidRequest
from serve_app.core.image.images import MAX_PIXELS
from serve_app.core.options.text import TransformersOptions

Vector = npt.NDArray[np.float32]


class TransformersEncoder:
    """One loaded model. Not thread-safe, as fast tokenizers are not."""

    def __init__(self, options: TransformersOptions, model: Model, path: Path | None) -> None:
        self._device = device_of(options)
        with loading(model, path) as directory:
            arguments = loading_arguments(options, self._device)
            self._tokenizer: Any = AutoTokenizer.from_pretrained(
                directory, trust_remote_code=options.trust_remote_code, local_files_only=True
            )
            loaded, report = AutoModel.from_pretrained(
                directory, output_loading_info=True, **arguments
            )
            self.sees_images = hasattr(loaded, "get_image_features")
            self._images: Any = self._image_processor(directory)
            self._pooling = SentencePooling(directory)
        _check_complete(model, report["missing_keys"])
        self.limit = token_limit(loaded, self._tokenizer, options)
        trained = longest_sentence(directory)
        if trained and options.context_length is None:
            self.limit = min(trained, self.limit or trained)
        if getattr(loaded, "encoder", None) is not None and hasattr(loaded, "decoder"):
            loaded = loaded.encoder
        self._model = loaded.to(self._device).eval()
        self._model.config.use_cache = False
        # SigLIP was trained on texts padded to its whole length, without a mask.
        self._pads_whole = str(loaded.config.model_type).startswith("siglip")

    def tokens(self, texts: Sequence[str | tuple[int, ...]]) -> list[list[int]]:
        """Token ids per text with the model's special tokens; given ids are taken as they are.

        Raises InvalidRequest and ContextLengthExceeded with `param` `texts[i]`.
        """
        return [self.tokens_of(text, f"texts[{i}]") for i, text in enumerate(texts)]

    def encode(self, batch: list[list[int]]) -> list[Vector]:
        """One vector of the native width per token list, not normalised."""
        tokens, mask = self._padded(batch)
        with torch.inference_mode():
            if self.sees_images:
                masks = {} if self._pads_whole else {"attention_mask": mask}
                output = self._model.get_text_features(input_ids=tokens, **masks)
                vectors = output.pooler_output.float()
            else:
                output = self._model(input_ids=tokens, attention_mask=mask)
                vectors = self._pooling(output.last_hidden_state, mask)
        return list(vectors.cpu().numpy())

    def encode_images(self, batch: list[Image.Image]) -> list[Vector]:
        """One vector of the native width per upright RGB image, not normalised."""
        pixels = self._images(images=batch, return_tensors="pt")["pixel_values"]
        with torch.inference_mode():
            output = self._model.get_image_features(
                pixel_values=pixels.to(self._device, self._model.dtype)
            )
        return list(output.pooler_output.float().cpu().numpy())

    def _image_processor(self, directory: Path) -> Any:
        if not self.sees_images:
            return None
        # The torchvision processors are not an option: it is no dependency.
        return AutoImageProcessor.from_pretrained(directory, local_files_only=True, backend="pil")

    def cut_tokens(self, text: str, length: int | None) -> list[int]:
        """Token ids of the beginning of a text: at most `length`, with the special ones."""
        cut = (
            {"truncation": False} if length is None else {"truncation": True, "max_length": length}
        )
        return list(self._tokenizer(text, verbose=False, **cut)["input_ids"])

    def tokens_of(self, text: str | tuple[int, ...], param: str) -> list[int]:
        """Those of one text; see `tokens`."""
        if isinstance(text, str):
            tokens = list(self._tokenizer(text, truncation=False, verbose=False)["input_ids"])
        else:
            tokens = self._checked(list(text), param)
        if not tokens:
            raise InvalidRequest("there is nothing to embed in an empty input", param=param)
        if self.limit is not None and len(tokens) > self.limit:
            raise ContextLengthExceeded(
                f"the input has {len(tokens)} tokens",
                remedy=f"the model reads {self.limit} at most",
                param=param,
            )
        return tokens

    def _checked(self, tokens: list[int], param: str) -> list[int]:
        size = self._model.get_input_embeddings().num_embeddings
        for token in tokens:
            if not 0 <= token < size:
                raise InvalidRequest(
                    f"token id {token} is not in the model's vocabulary of {size}", param=param
                )
        return tokens

    def _padded(self, batch: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        width = max(map(len, batch))
        if self._pads_whole and self.limit:
            width = max(width, self.limit)
        padding = self._tokenizer.pad_token_id or 0
        tokens = torch.full((len(batch), width), padding, dtype=torch.long)
        mask = torch.zeros((len(batch), width), dtype=torch.long)
        for row, ids in enumerate(batch):
            tokens[row, : len(ids)] = torch.tensor(ids)
            mask[row, : len(ids)] = 1
        return tokens.to(self._device), mask.to(self._device)


def _check_complete(model: Model, missing: Iterable[str]) -> None:
    """Poolers and decoders are not used; without anything else the vectors would be random."""
    lost = sorted(name for name in missing if not re.search(r"pooler|decoder", name))
    if lost:
        raise BackendUnavailable(
            f"model {model.id!r} has no weights for {lost[0]!r} and {len(lost) - 1} more",
            remedy="set its source to an embedding checkpoint",
        )


def opened_image(path: Path, param: str) -> Image.Image:
    """The upright RGB image in a file; see `decoded_image`."""
    return decoded_image(path, param=param, max_pixels=MAX_PIXELS).image


def packed(vector: Vector, dimensions: int) -> bytes:
    """The first `dimensions` numbers, of length 1, as little-endian float32."""
    head = vector[:dimensions].astype("<f4")
    return (head / max(float(np.linalg.norm(head)), 1e-12)).astype("<f4").tobytes()
