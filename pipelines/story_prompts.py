"""How a text model is asked for a story: for a script as JSON, or for plain sentences. An example
goes before, which small models follow better than any instruction.
"""

import json
from collections.abc import Sequence
from typing import Any

from serve_app.core.text.chat import Chat, ChatMessage, Sampling, TextFormat, TextPart
from serve_app.core.video.story import TellStory

TOKENS_PER_SCENE = 160
CALM, LIVELY = 0.4, 0.7
"""Temperatures: JSON is kept to, and sentences are not said twice."""
SUBJECT = "A dog finds a ball in the park."
EXAMPLE = (
    ("A little brown dog finds a red ball in the park.",
     "a little brown dog and a red ball in a park, sunny day"),
    ("The dog runs after the ball to the river.",
     "a little brown dog with a red ball by a river, sunny day"),
    ("A boy takes the ball and throws it far away.",
     "a boy with a red ball and a little brown dog on a meadow, day"),
    ("The dog brings it back, and the two become friends.",
     "a boy and a little brown dog with a red ball on a meadow, sunset"),
    ("They walk home together under the first stars.",
     "a boy and a little brown dog on a street in the village, stars, evening"),
    ("At night the happy dog sleeps beside its ball.",
     "a little brown dog with a red ball in a house, night"),
)  # fmt: skip


def script_request(request: TellStory, *, seed: int) -> Chat:
    """For a line and an image of every scene, as JSON."""
    instruction = (
        f"Write the script of a short video of exactly {request.scenes} scenes that tells the "
        "user's story from its beginning to its end, in the language of the story. Each scene has "
        "a `line`, one sentence for the narrator, and a `picture`, what is seen: who, doing what, "
        "where, in which light. Describe persons in the same words in every scene. "
        'Answer with JSON: {"scenes": [{"line": "…", "picture": "…"}, …]}.'
    )
    scenes = [{"line": line, "picture": picture} for line, picture in _example(request.scenes)]
    shape = TextFormat(type="json_schema", json_schema=_schema(request.scenes))
    said = (
        ("system", instruction),
        ("user", SUBJECT),
        ("assistant", json.dumps({"scenes": scenes})),
        ("user", request.story),
    )
    tokens = TOKENS_PER_SCENE * request.scenes
    return _chat(
        request, said, temperature=CALM, max_tokens=tokens, seed=seed, response_format=shape
    )


def tale_request(request: TellStory, *, count: int, seed: int) -> Chat:
    """For so many plain sentences that go on where the story ends."""
    ask = "A story begins so: {} Continue it with {} short sentences, in its language."
    asked, answer = ask.format(SUBJECT, count), " ".join(line for line, _ in EXAMPLE[1 : 1 + count])
    told = ask.format(request.story, count)
    said = (("user", asked), ("assistant", answer), ("user", told))
    return _chat(request, said, temperature=LIVELY, max_tokens=TOKENS_PER_SCENE * count, seed=seed)


def _chat(
    request: TellStory,
    said: Sequence[tuple[str, str]],
    *,
    temperature: float,
    max_tokens: int,
    seed: int,
    **fields: Any,
) -> Chat:
    return Chat(
        model=request.text_model,
        messages=tuple(
            ChatMessage.model_validate({"role": role, "content": (TextPart(text=text),)})
            for role, text in said
        ),
        sampling=Sampling(temperature=temperature, max_tokens=max_tokens, seed=seed),
        **fields,
    )


def _example(count: int) -> list[tuple[str, str]]:
    """So many scenes, from the first to the last."""
    last = len(EXAMPLE) - 1
    steps = max(1, count - 1)
    return [EXAMPLE[min(last, round(last * number / steps))] for number in range(count)]


def _schema(count: int) -> dict[str, Any]:
    scene = {
        "type": "object",
        "properties": {"line": {"type": "string"}, "picture": {"type": "string"}},
        "required": ["line", "picture"],
        "additionalProperties": False,
    }
    scenes = {"type": "array", "items": scene, "minItems": count, "maxItems": count}
    return {
        "type": "object",
        "properties": {"scenes": scenes},
        "required": ["scenes"],
        "additionalProperties": False,
    }
