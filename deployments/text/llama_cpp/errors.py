"""llama.cpp's errors as ours: only what the caller can act on is said, the rest is in the log."""

import logging
from typing import Any

from serve_app.core.errors import (
    AppError,
    BackendUnavailable,
    ContextLengthExceeded,
    InternalError,
    InvalidRequest,
)

logger = logging.getLogger(__name__)

PROVIDER = "llama.cpp"


def error_of(error: dict[str, Any], *, param: str, grammar_param: str | None = None) -> AppError:
    """`param` is the field that the prompt came in, and `grammar_param` the one that a grammar
    did, if there was one.
    """
    message = str(error.get("message"))
    if error.get("type") == "exceed_context_size_error":
        return ContextLengthExceeded(
            f"the prompt has {error.get('n_prompt_tokens')} tokens",
            remedy=f"the context holds {error.get('n_ctx')}",
            param=param,
        )
    if "too large to process" in message:
        return ContextLengthExceeded("the text is too long for the model", param=param)
    if error.get("code") == 400:
        if grammar_param is not None and "sampler" in message:
            return InvalidRequest(
                "the grammar cannot be followed", remedy="correct it", param=grammar_param
            )
        return InvalidRequest(message[:1].lower() + message[1:], param=param)
    logger.error("llama.cpp: %s", message)
    if error.get("code") == 503:
        return BackendUnavailable("the model is being loaded", remedy="try again", retry_after_s=1)
    return InternalError("the engine failed", remedy="the server's log says why", provider=PROVIDER)
