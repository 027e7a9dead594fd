"""llama.cpp's routes about tokens and prompts."""

from typing import Annotated

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import Field

from serve_app.api.call import Call, CallDep, dialect_errors
from serve_app.api.json_answer import json_response
from serve_app.api.openai.chat_body import ChatBody
from serve_app.api.velesio.errors import ERRORS
from serve_app.api.velesio.model_names import wanted_model
from serve_app.api.velesio.prompt_formats import format_name
from serve_app.api.wire_object import WireObject
from serve_app.api.wire_types import Flag, ModelName, Text, TokenId
from serve_app.core.errors import NotFound
from serve_app.core.operation import Operation, R
from serve_app.core.text.tokens import (
    Detokenize,
    ReadPromptFormat,
    RenderPrompt,
    Tokenize,
)

router = APIRouter(tags=["tokens"], responses=ERRORS)
MAX_TOKENS = 2_000_000


class TokenizeBody(WireObject):
    """A text; with `add_special`, the tokens around it are counted too."""

    content: Text
    add_special: Flag = False
    model: ModelName | None = None


class DetokenizeBody(WireObject):
    """Token ids."""

    tokens: Annotated[list[TokenId], Field(max_length=MAX_TOKENS)]
    model: ModelName | None = None


@router.post("/tokenize")
async def tokenize(body: TokenizeBody, call: CallDep) -> Response:
    """Cut a text into the model's tokens."""
    model = model_id(call, body.model, Tokenize)
    operation = Tokenize(model=model, text=body.content, adds_specials=body.add_special)
    return json_response({"tokens": (await answer(call, operation)).ids})


@router.post("/detokenize")
async def detokenize(body: DetokenizeBody, call: CallDep) -> Response:
    """Join tokens to their text."""
    model = model_id(call, body.model, Detokenize)
    operation = Detokenize(model=model, ids=tuple(body.tokens))
    return json_response({"content": (await answer(call, operation)).text})


@router.post("/apply-template")
async def apply_template(body: ChatBody, call: CallDep) -> Response:
    """Write a conversation as the model reads it."""
    context = call.context
    with dialect_errors(call.dialect, RenderPrompt.name):
        found = context.catalog.find("chat", wanted_model(body.model))
        chat = await body.to_chat(found, context.catalog, context.intake)
    operation = RenderPrompt(
        model=chat.model,
        messages=chat.messages,
        tools=chat.tools,
        thinking=chat.thinking,
        reasoning_effort=chat.reasoning_effort,
    )
    return json_response({"prompt": (await answer(call, operation)).text})


@router.get("/template")
@router.post("/template")
async def template(call: CallDep) -> Response:
    """Name the format of prompts that is nearest to the default model's, as LLM for Unity does."""
    model = model_id(call, None, ReadPromptFormat)
    read = await answer(call, ReadPromptFormat(model=model))
    return json_response({"template": format_name(read.template or "", model)})


@router.get("/props")
@router.post("/props")
async def props(call: CallDep) -> Response:
    """Read the context length, the chat template and the number of slots of the default model."""
    with dialect_errors(call.dialect, ReadPromptFormat.name):
        found = call.context.catalog.find("chat", None)
    read = await answer(call, ReadPromptFormat(model=found.id))
    return json_response(
        {
            "default_generation_settings": {"n_ctx": read.context_length or 0},
            "chat_template": read.template or "",
            "total_slots": found.family.placement.max_ongoing_requests,
        }
    )


@router.get("/slots")
@router.post("/slots")
async def slots() -> Response:
    """Always refused: prompts are kept by the engine, and saved nowhere."""
    raise NotFound("slots cannot be listed, saved or restored on this server")


def model_id(call: Call, name: str | None, kind: type[Operation[R]]) -> str:
    """The id of the text model that a request names."""
    with dialect_errors(call.dialect, kind.name):
        return call.context.catalog.find("chat", wanted_model(name)).id


async def answer(call: Call, operation: Operation[R]) -> R:
    """What the operation results in; its errors name this dialect's fields."""
    with dialect_errors(call.dialect, operation.name):
        return await call.context.catalog.answer(operation)
