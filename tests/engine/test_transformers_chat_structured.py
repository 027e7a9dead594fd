import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deployments.text.generation.prompt import Prompts
from deployments.text.generation.tool_format import instructions
from deployments.text.starter import ensure_starter
from deployments.text.starter_tokenizer import trained_tokenizer
from deployments.text.transformers_chat import TransformersChat
from serve_app.core.errors import InvalidRequest
from serve_app.core.text.chat import (
    ChatMessage,
    Sampling,
    TextFormat,
    TextPart,
    Tool,
    ToolCall,
    ToolChoice,
)
from tests.engine.tiny_chat import (
    RECITED_PROMPT,
    ask,
    bytes_tokenizer,
    engine_of,
    read,
    save_chat,
    save_reciter,
)

WEATHER = Tool(
    name="weather",
    parameters={
        "type": "object",
        "properties": {
            "unit": {"enum": ["celsius", "kelvin"]},
            "days": {"type": "integer", "minimum": 1, "maximum": 9},
            "city": {"type": "string", "maxLength": 8},
        },
        "required": ["unit", "days", "city"],
        "additionalProperties": False,
    },
)
CLOCK = Tool(name="clock")
TURN = {
    "type": "object",
    "properties": {
        "direction": {"enum": ["left", "right"]},
        "steps": {"type": "integer", "minimum": 0, "maximum": 20},
        "fast": {"type": "boolean"},
        "marks": {"type": "array", "items": {"enum": ["a", "b"]}, "maxItems": 3},
    },
    "required": ["direction", "steps", "fast", "marks"],
    "additionalProperties": False,
}
SAMPLINGS = pytest.mark.parametrize(
    "sampling",
    [Sampling(temperature=t, seed=s, max_tokens=300) for t, s in ((0.0, 1), (1.0, 2), (1.5, 3))],
    ids=["greedy", "warm", "hot"],
)
TEMPLATES = {
    "hermes": "{% if tools %}<tool_call>{% endif %}Q: {{ messages[-1].content }}\nA: ",
    "mistral": "{% if tools %}[TOOL_CALLS]{% endif %}Q: {{ messages[-1].content }}\nA: ",
    "llama": "{% if tools %}<|python_tag|>{% endif %}Q: {{ messages[-1].content }}\nA: ",
    "without tools": "{% for m in messages %}{{ m.content + '\\n' }}{% endfor %}A: ",
}


def is_turn(value: Any) -> bool:
    return (
        value.keys() == TURN["properties"].keys()  # type: ignore[attr-defined]
        and value["direction"] in ("left", "right")
        and value["steps"] in range(21)
        and isinstance(value["fast"], bool)
        and len(value["marks"]) <= 3
        and set(value["marks"]) <= {"a", "b"}
    )


def is_weather(arguments: str) -> bool:
    value = json.loads(arguments)
    return (
        value.keys() == {"unit", "days", "city"}
        and value["unit"] in ("celsius", "kelvin")
        and value["days"] in range(1, 10)
        and isinstance(value["city"], str)
        and len(value["city"]) <= 8
    )


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TransformersChat]:
    engine = engine_of(save_chat(tmp_path_factory.mktemp("chat")))
    yield engine
    asyncio.run(engine.close())


@pytest.fixture(scope="module")
def starter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TransformersChat]:
    """Weights that are as random, but close the strings and objects that they open."""
    engine = engine_of(ensure_starter(tmp_path_factory.mktemp("data") / "starter"))
    yield engine
    asyncio.run(engine.close())


@pytest.fixture(scope="module", params=TEMPLATES)
def templated(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TransformersChat]:
    path = save_chat(tmp_path_factory.mktemp("templated"))
    (path / "chat_template.jinja").write_text(TEMPLATES[request.param])
    engine = engine_of(path)
    yield engine
    asyncio.run(engine.close())


@SAMPLINGS
async def test_an_answer_of_a_json_schema_is_valid(
    engine: TransformersChat, sampling: Sampling
) -> None:
    form = TextFormat(type="json_schema", json_schema=TURN)
    wanted = sampling.model_copy(update={"n": 3})
    answer = await read(engine.chat(ask(sampling=wanted, response_format=form)))
    for index in answer.indices:
        assert is_turn(json.loads(answer.text(index)))
        assert answer.finish(index) == "stop"


@SAMPLINGS
async def test_a_json_object_is_one(starter: TransformersChat, sampling: Sampling) -> None:
    form = TextFormat(type="json_object")
    answer = await read(starter.chat(ask(sampling=sampling, response_format=form)))
    assert isinstance(json.loads(answer.text()), dict)
    assert answer.finish() == "stop"


async def test_json_that_was_cut_off_says_so(engine: TransformersChat) -> None:
    form = TextFormat(type="json_schema", json_schema=TURN)
    sampling = Sampling(temperature=0.0, max_tokens=4)
    answer = await read(engine.chat(ask(sampling=sampling, response_format=form)))
    assert answer.finish() == "length"
    assert answer.usage.completion_tokens == 4
    assert '{"direction": "left"'.startswith(answer.text()[:14])


async def test_json_with_thinking_is_the_text_and_not_the_thought(
    starter: TransformersChat,
) -> None:
    form = TextFormat(type="json_schema", json_schema=TURN)
    sampling = Sampling(temperature=0.7, seed=1, max_tokens=400)
    request = ask(sampling=sampling, response_format=form, thinking=True)
    answer = await read(starter.chat(request))
    assert is_turn(json.loads(answer.text()))


@pytest.mark.parametrize(
    "schema",
    [{"type": "shape"}, {"$ref": "#/nowhere"}, {"type": "string", "pattern": "(["}],
)
async def test_a_schema_that_cannot_be_followed_is_refused(
    engine: TransformersChat, schema: dict[str, Any]
) -> None:
    form = TextFormat(type="json_schema", json_schema=schema)
    with pytest.raises(InvalidRequest, match="cannot be followed") as caught:
        await read(engine.chat(ask(response_format=form)))
    assert caught.value.param == "response_format.json_schema"

    tools = (CLOCK, Tool(name="odd", parameters=schema))
    forced = ask(tools=tools, tool_choice=ToolChoice(mode="function", name="odd"))
    with pytest.raises(InvalidRequest, match="cannot be followed") as caught:
        await read(engine.chat(forced))
    assert caught.value.param == "tools[1].function.parameters"


@SAMPLINGS
async def test_a_named_tool_is_called_with_arguments_of_its_schema(
    templated: TransformersChat, sampling: Sampling
) -> None:
    choice = ToolChoice(mode="function", name="weather")
    request = ask(sampling=sampling, tools=(CLOCK, WEATHER), tool_choice=choice)
    answer = await read(templated.chat(request))
    ((name, arguments),) = answer.calls()
    assert name == "weather"
    assert is_weather(arguments)
    assert (answer.text(), answer.reasoning()) == ("", "")
    assert answer.finish() == "tool_calls"


@SAMPLINGS
async def test_a_required_call_is_made_to_one_of_the_tools(
    templated: TransformersChat, sampling: Sampling
) -> None:
    other = WEATHER.model_copy(update={"name": "forecast"})
    request = ask(
        sampling=sampling, tools=(other, WEATHER), tool_choice=ToolChoice(mode="required")
    )
    answer = await read(templated.chat(request))
    ((name, arguments),) = answer.calls()
    assert name in ("weather", "forecast")
    assert is_weather(arguments)
    assert answer.text() == ""
    assert answer.finish() == "tool_calls"


async def test_a_forced_call_in_every_choice(engine: TransformersChat) -> None:
    sampling = Sampling(temperature=1.0, seed=4, n=3, max_tokens=200)
    request = ask(sampling=sampling, tools=(WEATHER,), tool_choice=ToolChoice(mode="required"))
    answer = await read(engine.chat(request))
    assert answer.indices == [0, 1, 2]
    for index in answer.indices:
        ((_, arguments),) = answer.calls(index)
        assert is_weather(arguments)


async def test_a_forced_call_while_thinking_is_a_call(starter: TransformersChat) -> None:
    sampling = Sampling(temperature=0.7, seed=1, max_tokens=300)
    request = ask(
        sampling=sampling, tools=(WEATHER,), tool_choice=ToolChoice(mode="required"), thinking=True
    )
    answer = await read(starter.chat(request))
    ((_, arguments),) = answer.calls()
    assert is_weather(arguments)


async def test_a_forced_call_that_was_cut_off_is_no_call(engine: TransformersChat) -> None:
    sampling = Sampling(temperature=0.0, max_tokens=5)
    request = ask(sampling=sampling, tools=(WEATHER,), tool_choice=ToolChoice(mode="required"))
    answer = await read(engine.chat(request))
    assert answer.calls() == []
    assert answer.finish() == "length"


def test_a_template_without_tools_is_told_of_them_in_the_system_message() -> None:
    tokenizer = trained_tokenizer()
    tokenizer.chat_template = TEMPLATES["without tools"]
    prompts = Prompts(tokenizer, TEMPLATES["without tools"], model_id="tiny", takes_parts=False)
    system = ChatMessage(role="system", content=(TextPart(text="Be brief."),))
    request = ask("Rome?")
    told = instructions((CLOCK,))
    assert prompts.render(request, (CLOCK,)).text == f"{told}\nRome?\nA: "
    both = request.model_copy(update={"messages": (system, *request.messages)})
    assert prompts.render(both, (CLOCK,)).text == f"Be brief.\n\n{told}\nRome?\nA: "
    assert prompts.render(both, ()).text == "Be brief.\nRome?\nA: "


ROME = '{"name": "clock", "arguments": {"city": "Rome"}}'
CALL = ("clock", '{"city": "Rome"}')
RECITED = [
    ("<tool_call>", f"I look.\n<tool_call>\n{ROME}\n</tool_call>", "I look.\n", [CALL]),
    (
        "<tool_call>",
        f"<tool_call>{ROME}</tool_call>\n<tool_call>{ROME}</tool_call>",
        "",
        [CALL] * 2,
    ),
    ("[TOOL_CALLS]", f"[TOOL_CALLS][{ROME}]", "", [CALL]),
    ("tools <|python_tag|>", ROME.replace("arguments", "parameters"), "", [CALL]),
    ("<tool_call>", "No need of <tools>.", "No need of <tools>.", []),
]
PLAIN = Sampling(temperature=0.0, max_tokens=100)
BOTH_WAYS = pytest.mark.parametrize(
    "sampling", [PLAIN, PLAIN.model_copy(update={"seed": 1})], ids=["batched", "looped"]
)


@BOTH_WAYS
@pytest.mark.parametrize(("mark", "said", "text", "calls"), RECITED)
async def test_calls_are_told_from_what_the_model_writes(
    tmp_path: Path,
    sampling: Sampling,
    mark: str,
    said: str,
    text: str,
    calls: list[tuple[str, str]],
) -> None:
    engine = engine_of(save_reciter(tmp_path, said, template_mark=mark))
    answer = await read(engine.chat(ask(sampling=sampling, tools=(CLOCK, WEATHER))))
    silent = await read(
        engine.chat(
            ask(sampling=sampling, tools=(CLOCK, WEATHER), tool_choice=ToolChoice(mode="none"))
        )
    )
    await engine.close()
    assert (answer.text(), answer.calls()) == (text, calls)
    assert answer.finish() == ("tool_calls" if calls else "stop")
    assert answer.usage.completion_tokens == len(bytes_tokenizer().encode(said))
    assert (silent.text(), silent.calls(), silent.finish()) == (said, [], "stop")


@BOTH_WAYS
async def test_only_one_call_where_parallel_calls_are_not_wanted(
    tmp_path: Path, sampling: Sampling
) -> None:
    mark, said, _, _ = RECITED[1]
    engine = engine_of(save_reciter(tmp_path, said, template_mark=mark))
    request = ask(sampling=sampling, tools=(CLOCK,), parallel_tool_calls=False)
    answer = await read(engine.chat(request))
    await engine.close()
    assert answer.calls() == [CALL]
    assert answer.finish() == "tool_calls"
    assert answer.usage.completion_tokens < len(bytes_tokenizer().encode(said))


@BOTH_WAYS
@pytest.mark.parametrize(
    ("opened", "said"),
    [
        ("", "<think>\nhm, so\n</think>\n\nIt is late."),
        ("<think>\n", "hm, so\n</think>\n\nIt is late."),
    ],
)
async def test_reasoning_is_split_from_the_answer_and_counted(
    tmp_path: Path, sampling: Sampling, opened: str, said: str
) -> None:
    engine = engine_of(save_reciter(tmp_path, said, opened=opened))
    answer = await read(engine.chat(ask(sampling=sampling, thinking=True)))
    await engine.close()
    assert (answer.reasoning(), answer.text()) == ("hm, so\n", "It is late.")
    thought = len(bytes_tokenizer().encode("hm, so\n</think>"))
    assert answer.usage.reasoning_tokens in range(thought - 1, thought + 2)
    assert answer.usage.prompt_tokens == len(bytes_tokenizer().encode(RECITED_PROMPT + opened))
    assert answer.usage.completion_tokens == len(bytes_tokenizer().encode(said))


@pytest.mark.parametrize("arguments", ["[" * 100_000, "9" * 5_000, '{"a":' * 400 + "1" + "}" * 400])
def test_a_conversation_with_a_strange_call_is_rendered_or_refused(arguments: str) -> None:
    template = "{% for m in messages %}{{ m.tool_calls | tojson }}{% endfor %}"
    tokenizer = trained_tokenizer()
    tokenizer.chat_template = template
    prompts = Prompts(tokenizer, template, model_id="m", takes_parts=False)
    call = ToolCall(id="a", name="clock", arguments=arguments)
    said = ChatMessage(role="assistant", tool_calls=(call,))
    assert prompts.render(ask().model_copy(update={"messages": (said,)}), ()).text
