"""null is the same as absent, in every optional field of every object that a client can send.

The bodies are made from the wire models themselves, so that a new field is covered by itself.
"""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute

from serve_app.api.coder.provider_body import ProviderBody, ProviderChangeBody
from serve_app.api.dialects import DIALECTS
from serve_app.api.v1.audio.transcription_body import TranscriptionBody
from serve_app.api.v1.audio.voice_body import VoiceBody
from serve_app.api.v1.images.image_edit_body import EditBody, InpaintBody, VariationBody
from serve_app.api.wire_object import WireObject
from tests.api.conftest import MakeContext, client_of
from tests.api.test_image_edits import photo
from tests.api.test_transcriptions import WAV

Schema = dict[str, Any]
READ_BY_HAND: dict[str, type[WireObject]] = {
    "/v1/images/edits": EditBody,
    "/v1/images/inpaint": InpaintBody,
    "/v1/images/variations": VariationBody,
    "/v1/audio/transcriptions": TranscriptionBody,
    "/v1/audio/translations": TranscriptionBody,
    "/v1/audio/voices": VoiceBody,
    "/api/v2/ai/providers": ProviderBody,
    "/api/v2/ai/providers/{id_or_name}": ProviderChangeBody,
}
"""The routes that take JSON beside forms, or whatever its type is said to be."""
PATHS = {
    "id_or_name": "nobody",
    "id": "1",
    "name": "nobody",
    "filename": "none.png",
    "username": "nobody",
}


def bodies() -> list[tuple[str, str, type[WireObject]]]:
    """Method, path and model of every route with a JSON body."""
    found = []
    routes = [route for dialect in DIALECTS for route in dialect.routes]
    for route in (route for route in routes if isinstance(route, APIRoute)):
        params = route.dependant.body_params
        models = [param.field_info.annotation for param in params]
        if by_hand := READ_BY_HAND.get(route.path):
            models.append(by_hand)
        for method in sorted(route.methods - {"GET", "HEAD"}):
            found += [(method, route.path, model) for model in models]
    return found


def schema_of(model: type[WireObject]) -> Schema:
    return model.model_json_schema(by_alias=True, mode="validation")


def minimal(schema: Schema, root: Schema) -> Any:
    """The smallest value a wire model's schema allows, with null in all that it does not need."""
    if "$ref" in schema:
        return minimal(root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    for branches in ("anyOf", "oneOf"):
        if branches in schema:
            return minimal(next(b for b in schema[branches] if b.get("type") != "null"), root)
    if "const" in schema or "enum" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    match schema.get("type"):
        case "object":
            named, required = schema.get("properties", {}), schema.get("required", ())
            return {key: minimal(named[key], root) if key in required else None for key in named}
        case "array":
            return [minimal(schema.get("items", {}), root)] * schema.get("minItems", 0)
        case "string":
            return "a" * max(1, schema.get("minLength", 0))
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return True
    return {}


def nested(schema: Schema, root: Schema) -> Iterator[Any]:
    """A value for every object that can stand in a field, itself or in a list."""
    if "$ref" in schema:
        yield from nested(root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    for branches in ("anyOf", "oneOf"):
        for branch in schema.get(branches, ()):
            yield from nested(branch, root)
    if schema.get("type") == "array":
        for value in nested(schema.get("items", {}), root):
            yield [value]
    if schema.get("properties"):
        whole = minimal(schema, root)
        yield whole
        for name, field in schema["properties"].items():
            for value in nested(field, root):
                yield whole | {name: value}


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_nulls(each) for name, each in value.items() if each is not None}
    return [without_nulls(each) for each in value] if isinstance(value, list) else value


def refusal(answer: httpx.Response) -> Any:
    """What is said to be wrong with the body, in whatever shape; None when nothing is."""
    assert answer.status_code < 500 or answer.status_code == 503, answer.text
    if answer.status_code != 400:
        return None
    return answer.json()


@pytest.mark.parametrize("model", [model for *_, model in bodies()])
def test_every_body_is_a_wire_object(model: type[Any]) -> None:
    assert issubclass(model, WireObject)


@pytest.fixture
async def admin(make_context: MakeContext) -> Any:
    async with client_of(make_context(environment={"ADMIN_TOKEN": "t" * 40})) as client:
        client.headers["Authorization"] = f"Bearer {'t' * 40}"
        yield client


@pytest.mark.parametrize(("method", "path", "model"), bodies(), ids=lambda value: str(value))
async def test_null_is_absent(
    admin: httpx.AsyncClient, method: str, path: str, model: type[WireObject]
) -> None:
    """At whatever depth: a body with nulls is judged as the one without them."""
    schema = schema_of(model)
    small = minimal(schema, schema)
    sent = [small]
    for name, field in schema.get("properties", {}).items():
        sent += [small | {name: value} for value in nested(field, schema)]
    url = path.replace(":path", "").format_map(PATHS)
    for body in sent:
        with_nulls = await admin.request(method, url, json=body)
        without = await admin.request(method, url, json=without_nulls(body))
        assert refusal(with_nulls) == refusal(without), body


@pytest.mark.parametrize(("method", "path", "model"), bodies(), ids=lambda value: str(value))
async def test_null_in_a_required_field_is_missing(
    admin: httpx.AsyncClient, method: str, path: str, model: type[WireObject]
) -> None:
    schema = schema_of(model)
    small = minimal(schema, schema)
    url = path.replace(":path", "").format_map(PATHS)
    for name in schema.get("required", ()):
        answer = await admin.request(method, url, json=small | {name: None})
        assert answer.status_code == 400, answer.text
        error = answer.json()["error"]
        is_native = isinstance(error, dict) and "param" in error
        # Other dialects have no place for the field alone.
        assert error["param"] == name if is_native else name in answer.text


@pytest.mark.parametrize(
    ("path", "file", "fields"),
    [
        ("/v1/audio/transcriptions", "file", "language temperature stream task_type num_speakers"),
        ("/v1/images/edits", "image", "n size seed quality response_format loras async mask"),
        ("/v1/audio/voices", "audio", "consent"),
    ],
)
async def test_forms_spell_null_as_a_text(
    admin: httpx.AsyncClient, path: str, file: str, fields: str
) -> None:
    """As the browser's FormData does with null."""
    data = {"prompt": "null", "name": "ann"} | dict.fromkeys(fields.split(), "null")
    files = {file: ("a", photo() if file == "image" else WAV)}
    answer = await admin.post(path, data=data, files=files)
    assert answer.status_code == 200, answer.text
    ignored = answer.headers.get("x-ignored-fields", "").split(",")
    assert not set(ignored) & set(fields.split())


async def test_a_json_schema_keeps_its_nulls(admin: httpx.AsyncClient) -> None:
    schema = {"type": "object", "properties": {"a": {"const": None}}, "required": ["a"]}
    body = {
        "messages": [{"role": "user", "content": "x"}],
        "response_format": {"type": "json_schema", "json_schema": {"schema": schema}},
    }
    answer = await admin.post("/v1/chat/completions", json=body)
    assert answer.json()["choices"][0]["message"]["content"] == '{"a": null}'


@pytest.mark.parametrize(
    ("part", "field"),
    [
        ({"type": "text", "text": None}, "text"),
        ({"type": "image_url", "image_url": None}, "image_url"),
        ({"type": "input_audio", "input_audio": {"data": None}}, "input_audio.data"),
    ],
)
async def test_a_null_inside_a_part_is_named_as_what_is_missing(
    admin: httpx.AsyncClient, part: dict[str, Any], field: str
) -> None:
    body = {"messages": [{"role": "user", "content": [part]}]}
    answer = await admin.post("/v1/chat/completions", json=body)
    refused = refusal(answer)
    assert refused is not None
    assert refused["error"]["param"] == f"messages[0].content[0].{field}"
