"""What a model is told to answer is what its answer is held to."""

import json
import re
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, cast

from pipelines.story_answers import read_script
from pipelines.story_script import write_script
from serve_app.catalog.chat_translator import ChatTranslator
from serve_app.core.image.images import Size
from serve_app.core.message import Message
from serve_app.core.operation import Item, Operation
from serve_app.core.text.chat import Chat, ChatDelta, ChatEvent, TextPart
from serve_app.core.text.translation import Translate, Translation
from serve_app.core.video.story import TellStory
from serve_app.runtime.streams import gathered

EXAMPLE = re.compile(r"Answer with JSON: (\{.*\})\.$")
MORE = ", …]"
"""How an example says that a list goes on."""


class Model:
    """A chat model that answers as it was told by example, in words of the question."""

    def __init__(self) -> None:
        self.asked: list[Chat] = []

    def run(self, operation: Operation[Any, Item]) -> AsyncIterator[Item]:
        """See Run."""
        assert isinstance(operation, Chat)
        return cast("AsyncIterator[Item]", self._answer(operation))

    async def _answer(self, request: Chat) -> AsyncGenerator[ChatEvent]:
        self.asked.append(request)
        question = request.messages[-1].content[0]
        assert isinstance(question, TextPart)
        yield ChatDelta(text=json.dumps(example(request)).replace("\\u2026", question.text))


def instruction(request: Chat) -> str:
    """What the model is told."""
    part = request.messages[0].content[0]
    assert isinstance(part, TextPart)
    return part.text


def example(request: Chat) -> Any:
    """The answer that the model is shown."""
    found = EXAMPLE.search(instruction(request))
    assert found is not None
    return json.loads(found[1].replace(MORE, "]"))


def follows(value: Any, schema: dict[str, Any]) -> bool:
    """Whether a value has the keys of a schema and no others, all the way down."""
    match schema["type"]:
        case "object":
            keys = set(schema["properties"])
            is_whole = set(value) == keys == set(schema["required"])
            return is_whole and all(follows(value[k], schema["properties"][k]) for k in keys)
        case "array":
            return bool(value) and all(follows(item, schema["items"]) for item in value)
        case _:
            return isinstance(value, str)


def schema(request: Chat) -> dict[str, Any]:
    """What the answer is held to."""
    assert request.response_format is not None
    assert request.response_format.json_schema is not None
    return request.response_format.json_schema


async def test_a_script_is_asked_for_by_the_keys_that_it_is_read_by() -> None:
    model = Model()
    story = TellStory(
        story="A fox finds a lantern.",
        text_model="echo",
        image_model="paint",
        video_model="move",
        size=Size(width=64, height=64),
        scenes=1,
        seed=7,
    )
    script = await write_script(model.run, story)
    assert script.warnings == ()
    (asked,) = model.asked
    assert follows(example(asked), schema(asked))
    named = set(re.findall(r"`(\w+)`", instruction(asked)))
    assert named == set(example(asked)["scenes"][0])
    answer = json.dumps(example(asked)).replace("\\u2026", story.story)
    assert read_script(answer, story) == script.scenes


async def test_a_translation_is_asked_for_by_the_key_that_it_is_read_by() -> None:
    model = Model()
    request = Translate(
        model="echo", texts=("One.", "Two."), source_language="en", target_language="de"
    )
    events: list[Message] = await gathered(ChatTranslator(model).run(request))
    assert all(follows(example(asked), schema(asked)) for asked in model.asked)
    made = events[-1]
    assert isinstance(made, Translation)
    assert (made.texts, made.kept) == (("One.", "Two."), ())
