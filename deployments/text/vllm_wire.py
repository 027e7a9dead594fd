"""Core requests as the fields of vLLM's OpenAI requests. Pure: knows vLLM's names, not vLLM.

Every sampling field is sent, because what is left out vLLM fills from the checkpoint's
generation_config.
"""

from collections.abc import Mapping
from typing import Any

from serve_app.core.errors import InvalidRequest, UnsupportedCapability
from serve_app.core.media import Blob
from serve_app.core.text.chat import (
    AudioPart,
    Chat,
    ChatMessage,
    Complete,
    ImagePart,
    Part,
    Prompt,
    Sampling,
    TextFormat,
    TextPart,
    Tool,
    ToolCall,
    ToolChoice,
)
from serve_app.core.text.json_schema import references, rerooted

AUDIO_FORMATS = {"audio/mpeg": "mp3", "audio/flac": "flac", "audio/ogg": "ogg"}


def media_of(request: Chat) -> list[Blob]:
    """The blobs whose base64 text `chat_fields` needs."""
    parts = [part for message in request.messages for part in message.content]
    images = [part.image for part in parts if isinstance(part, ImagePart)]
    return images + [part.audio for part in parts if isinstance(part, AudioPart)]


def chat_fields(request: Chat, media: Mapping[str, str]) -> dict[str, Any]:
    """The fields of a ChatCompletionRequest. `media` maps a blob's sha256 to its base64 text."""
    sampling = request.sampling
    fields = {
        "model": request.model,
        "messages": [_message(message, media) for message in request.messages],
        **_sampling(sampling),
        "max_completion_tokens": _at_least_one(sampling.max_tokens),
        **_form(request.response_format),
        # Templates differ in the name; one that they do not know they ignore.
        "chat_template_kwargs": {
            "enable_thinking": request.thinking,
            "thinking": request.thinking,
        },
    }
    if sampling.logprobs is not None:
        fields |= {"logprobs": True, "top_logprobs": sampling.logprobs}
    if request.reasoning_effort not in (None, "none"):
        fields["reasoning_effort"] = request.reasoning_effort
    if request.tools and request.tool_choice.mode != "none":
        is_any = request.tool_choice.mode == "required"
        tools = _with_own_definitions(request.tools) if is_any else request.tools
        fields["tools"] = [_tool(tool) for tool in tools]
        fields["tool_choice"] = _tool_choice(request.tool_choice)
        fields["parallel_tool_calls"] = request.parallel_tool_calls
    return fields


def complete_fields(request: Complete) -> dict[str, Any]:
    """The fields of a CompletionRequest.

    A `best_of` above `n` asks for that many choices, with the logprobs to rank them by. Raises
    UnsupportedCapability for `suffix`, which vLLM has not.
    """
    if request.suffix:
        raise UnsupportedCapability(
            "vLLM does not support infilling", remedy="leave the suffix out", param="suffix"
        )
    sampling = request.sampling
    if ranks(request):
        more = {"n": request.best_of, "logprobs": sampling.logprobs or 0}
        sampling = sampling.model_copy(update=more)
    is_free = request.response_format.type == "text"
    return {
        "model": request.model,
        "prompt": _prompts(request.prompts),
        **({} if is_free else _form(request.response_format)),
        **_sampling(sampling),
        "max_tokens": _at_least_one(sampling.max_tokens),
        "logprobs": sampling.logprobs,
        "echo": request.echo,
    }


def _at_least_one(tokens: int | None) -> int | None:
    return None if tokens is None else max(1, tokens)


def ranks(request: Complete) -> bool:
    """Whether more candidates are sampled than returned."""
    return request.best_of is not None and request.best_of > request.sampling.n


def tool_parser_of(template: str) -> str | None:
    """The vLLM tool parser for the way in which a chat template writes calls, if it is known."""
    for mark, parser in (
        ("<tool_call>\n<function=", "qwen3_coder"),
        ("<tool_call>", "hermes"),
        ("[TOOL_CALLS]", "mistral"),
        ("<|python_tag|>", "llama3_json"),
    ):
        if mark in template.replace("\\n", "\n"):
            return parser
    return None


def reasoning_parser_of(template: str) -> str | None:
    """The vLLM reasoning parser for a chat template that knows `<think>`."""
    if "<think>" not in template:
        return None
    return "qwen3" if "enable_thinking" in template else "deepseek_r1"


def _sampling(sampling: Sampling) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k or 0,
        "min_p": sampling.min_p or 0.0,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
        "repetition_penalty": sampling.repeat_penalty,
        "seed": sampling.seed,
        "stop": list(sampling.stop),
        "n": sampling.n,
    }
    if sampling.logit_bias:
        fields["logit_bias"] = {str(token): bias for token, bias in sampling.logit_bias.items()}
    if sampling.logprobs is not None:
        fields["return_token_ids"] = True
    if sampling.ignore_eos:
        fields["ignore_eos"] = True
    return fields


def _message(message: ChatMessage, media: Mapping[str, str]) -> dict[str, Any]:
    fields: dict[str, Any] = {"role": message.role, "content": _content(message, media)}
    if message.name is not None:
        fields["name"] = message.name
    if message.tool_calls:
        fields["tool_calls"] = [_call(call) for call in message.tool_calls]
    if message.tool_call_id is not None:
        fields["tool_call_id"] = message.tool_call_id
    return fields


def _content(message: ChatMessage, media: Mapping[str, str]) -> Any:
    """Plain text where it is only that, because some templates take no parts."""
    if message.tool_calls and not message.content:
        return None
    if all(isinstance(part, TextPart) for part in message.content):
        return message.text
    return [_part(part, media) for part in message.content]


def _part(part: Part, media: Mapping[str, str]) -> dict[str, Any]:
    match part:
        case TextPart():
            return {"type": "text", "text": part.text}
        case ImagePart(image=image):
            url = f"data:{image.mime};base64,{media[image.sha256]}"
            return {"type": "image_url", "image_url": {"url": url}}
        case AudioPart(audio=audio):
            recording = {
                "data": media[audio.sha256],
                "format": AUDIO_FORMATS.get(audio.mime, "wav"),
            }
            return {"type": "input_audio", "input_audio": recording}


def _call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}


def _tool(tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.parameters is not None:
        function["parameters"] = tool.parameters
    if tool.strict:
        function["strict"] = True
    return {"type": "function", "function": function}


def _with_own_definitions(tools: tuple[Tool, ...]) -> tuple[Tool, ...]:
    """For a call to any of them vLLM makes one schema out of all, with their `$defs` together at
    its root. What refers to elsewhere, or to a name that means something else to another tool, gets
    its whole schema put there under a name of its own.
    """
    known: dict[str, Any] = {}
    made = []
    for number, tool in enumerate(tools):
        schema = tool.parameters or {}
        own = schema.get("$defs")
        named = own if isinstance(own, dict) else {}
        is_alone = all(known.get(name, each) == each for name, each in named.items())
        if is_alone and all(target.startswith("#/$defs/") for target in references(schema)):
            known |= named
        else:
            name = f"tool-{number}"
            pointer = f"#/$defs/{name}"
            whole = {name: rerooted(schema, pointer)}
            schema = {"type": "object", "$ref": pointer, "$defs": whole}
            tool = tool.model_copy(update={"parameters": schema})
        made.append(tool)
    return tuple(made)


def _tool_choice(choice: ToolChoice) -> Any:
    if choice.mode == "function":
        return {"type": "function", "function": {"name": choice.name}}
    return choice.mode


def _form(text: TextFormat) -> dict[str, Any]:
    """A grammar is no format to OpenAI; vLLM reads llama.cpp's."""
    if text.type == "grammar":
        return {"structured_outputs": {"grammar": text.grammar}}
    return {"response_format": _response_format(text)}


def _response_format(text: TextFormat) -> dict[str, Any]:
    if text.type != "json_schema":
        return {"type": text.type}
    schema = {"name": "answer", "schema": text.json_schema or {}, "strict": True}
    return {"type": "json_schema", "json_schema": schema}


def _prompts(prompts: tuple[Prompt, ...]) -> Any:
    if any(isinstance(p, tuple) and not all(isinstance(i, int) for i in p) for p in prompts):
        raise UnsupportedCapability(
            "vLLM takes prompts of text or of token ids, not of both", param="prompt"
        )
    texts = [prompt for prompt in prompts if isinstance(prompt, str)]
    tokens = [list(prompt) for prompt in prompts if not isinstance(prompt, str)]
    if texts and tokens:
        raise InvalidRequest("prompts are all text or all token ids, not both", param="prompt")
    return texts or tokens
