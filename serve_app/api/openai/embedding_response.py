"""Vectors on the wire, in the encoding asked for."""

import base64
import struct
from functools import partial
from typing import Any, Literal

from serve_app.api.answers import AnswerBody, AnswerOutput, Finished
from serve_app.api.json_answer import DeferredValue
from serve_app.core.quantization import BITS, Quantization, rounded
from serve_app.core.text.embeddings import Embed, Embeddings


class EmbeddingOutput(AnswerOutput):
    """How vectors are written."""

    encoding_format: Literal["float", "base64"] | None = None
    quantization: Quantization | None = None


async def embeddings_body(finished: Finished[Embed, Embeddings, EmbeddingOutput]) -> AnswerBody:
    """The list object of a job."""
    return embedding_list(finished.result, finished.operation.model, finished.output)


def embedding_list(result: Embeddings, model: str, output: EmbeddingOutput) -> dict[str, Any]:
    """The list object."""
    encoding_format, quantization = output.encoding_format, output.quantization
    bits = BITS[quantization] if quantization else None
    answer: dict[str, Any] = {
        "object": "list",
        "data": [
            {
                "object": "embedding",
                "index": i,
                "embedding": DeferredValue(
                    partial(_encoded, vector, encoding_format, bits), weight=len(vector) // 4
                ),
            }
            for i, vector in enumerate(result.vectors)
        ],
        "model": model,
        "usage": {"prompt_tokens": result.prompt_tokens, "total_tokens": result.prompt_tokens},
    }
    if quantization:
        answer["quantization"] = {"mode": quantization, "bits": bits}
    return answer


def _encoded(vector: bytes, encoding: str | None, bits: int | None) -> str | list[float]:
    """Vectors come as little-endian float32, which is what base64 carries."""
    if bits is None and encoding == "base64":
        return base64.b64encode(vector).decode()
    count = len(vector) // 4
    values = struct.unpack(f"<{count}f", vector)
    if bits is not None:
        values = rounded(values, bits)
    if encoding == "base64":
        return base64.b64encode(struct.pack(f"<{count}f", *values)).decode()
    return list(values)
