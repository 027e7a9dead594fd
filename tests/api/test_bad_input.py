"""Every field of the text and audio routes out of range, of a wrong type, missing, huge or unknown.

The answer is always the contract's, names the field, and tells nothing of the server.
"""

import base64
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.api.conftest import MakeContext, client_of

CHAT, COMPLETE = "/v1/chat/completions", "/v1/completions"
EMBED, RERANK = "/v1/embeddings", "/v1/rerank"
SPEAK, WRITE = "/v1/audio/speech", "/v1/audio/transcriptions"
WAV = base64.b64encode(b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(28)).decode()
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(20)).decode()
GOOD: dict[str, dict[str, Any]] = {
    CHAT: {"model": "org/eye", "messages": [{"role": "user", "content": "x"}]},
    COMPLETE: {"prompt": "x"},
    EMBED: {"model": "digest", "input": "x"},
    RERANK: {"model": "overlap", "query": "x", "documents": ["x"]},
    SPEAK: {"input": "x"},
    f"{SPEAK}/stream": {"input": "x"},
    WRITE: {"file": WAV},
    "/v1/audio/translations": {"file": WAV},
    "/v1/audio/clone": {"text": "x", "ref_audio": WAV},
}
LEAKS = re.compile(
    r"Traceback|\.py\b|/work|/usr|/home|/tmp|site-packages|pydantic|line \d+|instance of", re.I
)
MISSING = object()
WRONG_TEXT: list[Any] = [5, 1.5, True, {}, []]
WRONG_NUMBER: list[Any] = ["1", True, {}, [], "x"]
WRONG_FLAG: list[Any] = ["true", 1, 0, {}, []]
HUGE = 10**400
JSON = {"Content-Type": "application/json"}
NO_MEDIA = [
    *("!?", "a", "data:audio/wav", "data:audio/wav;base64,"),
    *("file:///etc/passwd", "/etc/passwd", "../../etc/passwd"),
    *("http://", "http://127.0.0.1/a.wav", "https://localhost/a.wav", "http://[::1]/a.wav"),
    *("http://\ud800/", "http://a.example/\udfff", "http://a.example/\0"),
    *("http://169.254.169.254/latest", "http://[::ffff:10.0.0.1]/a.wav", "http://0/a.wav"),
]

SAMPLING: dict[str, list[Any]] = {
    "model": [5, True, {}, [], "x" * 501],
    "temperature": [-0.01, 2.01, HUGE, *WRONG_NUMBER],
    "top_p": [-0.01, 1.01, *WRONG_NUMBER],
    "top_k": [-1, 1.5, HUGE, *WRONG_NUMBER],
    "min_p": [-0.01, 1.01, *WRONG_NUMBER],
    "n": [0, -1, 17, 1.5, HUGE, *WRONG_NUMBER],
    "max_tokens": [0, -1, 1.5, HUGE, *WRONG_NUMBER],
    "stream": WRONG_FLAG,
    "stream_options": [5, "x", [], {"include_usage": "yes"}],
    "stop": [5, True, {}, [5], "", [""], ["x"] * 17, "x" * 1001],
    "presence_penalty": [-2.01, 2.01, *WRONG_NUMBER],
    "frequency_penalty": [-2.01, 2.01, *WRONG_NUMBER],
    "repeat_penalty": [0, -1, *WRONG_NUMBER],
    "seed": [1.5, 2**63, -(2**64), HUGE, *WRONG_NUMBER],
    "logit_bias": [5, "x", [], {"1": 101}, {"1": -101}, {"x": 1}, {"-1": 1}, {"1": "x"}],
    "user": [5, {}],
}
TOOL = {"type": "function", "function": {"name": "f"}}
FIELDS: dict[str, dict[str, list[Any]]] = {
    CHAT: SAMPLING
    | {
        "messages": [MISSING, None, 5, "x", {}, [], [5], [{}], [{"role": "user"}]],
        "max_completion_tokens": [0, 1.5, *WRONG_NUMBER],
        "logprobs": WRONG_FLAG,
        "top_logprobs": [-1, 21, 1, *WRONG_NUMBER],
        "tools": [5, "x", {}, [5], [{}], [{"type": "function"}], [TOOL] * 257],
        "tool_choice": [5, "bogus", {}, [], "required", TOOL],
        "functions": [5, [5], [{}], [{"name": "a b"}], [{"name": ""}]],
        "function_call": [5, "bogus", {}, {"name": "f"}],
        "parallel_tool_calls": WRONG_FLAG,
        "response_format": [
            5,
            "xml",
            [],
            {"type": "xml"},
            {"type": "json_schema"},
            {"type": "json_schema", "json_schema": {}},
            {"type": "json_schema", "json_schema": {"schema": 5}},
        ],
        "enable_thinking": WRONG_FLAG,
        "reasoning_effort": [5, "huge", True],
        "keep_alive": [1.5, {}, []],
        "metadata": [5, "x", []],
        "store": WRONG_FLAG,
        "service_tier": [5],
    },
    COMPLETE: SAMPLING
    | {
        "prompt": [
            *(MISSING, None, 5, {}, [], [{}], [[]], [-1], [1.5], ["x", 1], [[1], "x"]),
            *(["x"] * 129, [HUGE], [[True]]),
        ],
        "suffix": WRONG_TEXT,
        "best_of": [0, 21, 1.5, *WRONG_NUMBER],
        "echo": WRONG_FLAG,
        "logprobs": [-1, 6, 1.5, *WRONG_NUMBER],
    },
    EMBED: {
        "model": [MISSING, None, "", *WRONG_TEXT, "x" * 501],
        "input": [MISSING, 5, {}, "", [], [{}], [""], [[]], [-1], [1.5], ["x", 1], [[HUGE]]],
        "image": [5, "", {}, [5], [""]],
        "encoding_format": [5, "hex"],
        "dimensions": [0, -1, 65, 1.5, HUGE, *WRONG_NUMBER],
        "quantization": [5, "turbo3", True],
        "user": [5],
    },
    RERANK: {
        "model": [MISSING, None, "", *WRONG_TEXT],
        "query": [MISSING, None, "", *WRONG_TEXT],
        "documents": [MISSING, None, 5, "x", {}, [], [5], [{}], [{"text": 5}], ["x"] * 1025],
        "top_n": [0, -1, 1.5, HUGE, *WRONG_NUMBER],
        "return_documents": WRONG_FLAG,
        "max_length": [0, 1.5, *WRONG_NUMBER],
    },
    SPEAK: {
        "input": [MISSING, None, "", " ", *WRONG_TEXT, "x" * 16_385],
        "model": [5, True, {}, "x" * 501],
        "voice": [5, "", [], {}, {"id": ""}, {"id": 5}, "nobody", "x" * 201],
        "response_format": [5, "ogg", "b64_json", "b64_mp4", {}],
        "speed": [0.24, 4.01, 0, -1, HUGE, *WRONG_NUMBER],
        "stream_format": [5, "json", True],
        "instructions": WRONG_TEXT,
        "emotion": WRONG_TEXT,
        "style": WRONG_TEXT,
        "voice_profile": WRONG_TEXT,
        "task_type": [*WRONG_TEXT, "Singing"],
        "language": [*WRONG_TEXT, "klingon"],
        "ref_audio": WRONG_TEXT,
        "ref_text": WRONG_TEXT,
        "x_vector_only_mode": WRONG_FLAG,
        "max_new_tokens": [0, 1.5, *WRONG_NUMBER],
    },
    f"{SPEAK}/batch": {
        "items": [MISSING, None, 5, "x", {}, [], [{"input": "x"}] * 65],
        "response_format": ["mp3", "json", 5],
        "speed": [9, "x"],
    },
    "/v1/audio/clone": {
        "text": [MISSING, None, "", " ", *WRONG_TEXT, "x" * 16_385],
        "ref_audio": [MISSING, None, "", 5, {}, [], PNG, *NO_MEDIA],
        "voice_name": WRONG_TEXT,
        "ref_text": WRONG_TEXT,
        "speed": [0.24, 4.01, HUGE, *WRONG_NUMBER],
        "seed": [1.5, 2**63, HUGE, *WRONG_NUMBER],
        "engine": [*WRONG_TEXT, "nothing", "x" * 501],
        "language": [*WRONG_TEXT, "klingon"],
        "ref_language": [*WRONG_TEXT, "klingon"],
        "response_format": [5, "xml", "b64_mp3"],
    },
    WRITE: {
        "file": [MISSING, None, "", 5, {}, [], PNG, *NO_MEDIA],
        "model": [5, True, {}, "x" * 501],
        "language": [5, "klingon", "fr", "x" * 101],
        "prompt": WRONG_TEXT,
        "response_format": [5, "xml", "mp3"],
        "temperature": [-0.01, 1.01, True, {}, "warm", "nan", "inf"],
        "translate": [5, {}, "perhaps"],
        "target_language": [5, "fr"],
        "task_type": WRONG_TEXT,
        "stream": [5, {}, "perhaps"],
        "segment_granularity": [5, "word"],
        "diarize": [5, {}, "perhaps", True],
        "num_speakers": [0, 101, 1.5, True, "two", {}],
        "timestamp_granularities": [5, "word", ["letter"]],
        "include": [5, "x", [5]],
    },
}
FIELDS["/v1/audio/translations"] = FIELDS[WRITE]
FIELDS[f"{SPEAK}/stream"] = {"input": FIELDS[SPEAK]["input"], "response_format": ["mp3", "url"]}


def check_refusal(answer: httpx.Response, *, param: str, sent: str) -> None:
    """A 4xx of the contract that names the field and leaks nothing."""
    context = f"{sent[:200]} → {answer.status_code} {answer.text[:300]}"
    assert answer.status_code in (400, 404, 413), context
    error = answer.json()["error"]
    assert error.keys() == {"message", "type", "code", "param", "kind", "provider"}, context
    assert error["param"] is not None, context
    assert re.fullmatch(rf"{re.escape(param)}([.\[].*)?", error["param"]), context
    assert error["type"] == "invalid_request_error", context
    codes = {400: ("invalid_request", "unsupported_capability"), 413: ("payload_too_large",)}
    assert error["code"] in codes.get(answer.status_code, ("not_found", "model_not_found")), context
    assert not LEAKS.search(error["message"]), context
    assert len(error["message"]) <= 2000, context


@pytest.mark.parametrize("path", FIELDS)
async def test_every_field_is_checked(client: httpx.AsyncClient, path: str) -> None:
    good = GOOD.get(path, {"items": [{"input": "x"}]})
    for field, values in FIELDS[path].items():
        for value in values:
            body = {k: v for k, v in (good | {field: value}).items() if v is not MISSING}
            await check_refused(client, path, json.dumps(body), param=field)


@pytest.mark.parametrize("path", list(GOOD))
async def test_the_bodies_are_good_without_the_bad_field(
    client: httpx.AsyncClient, path: str
) -> None:
    answer = await client.post(path, json=GOOD[path] | {"no_such_field": {"deep": [1]}})
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-ignored-fields"] == "no_such_field"


async def check_refused(client: httpx.AsyncClient, path: str, content: str, *, param: str) -> None:
    answer = await client.post(path, content=content, headers=JSON)
    check_refusal(answer, param=param, sent=f"{path} {content}")


MESSAGES: list[tuple[Any, str]] = [
    ({"role": "user"}, "messages[0]"),
    ({"role": "boss", "content": "x"}, "messages[0].role"),
    ({"content": "x"}, "messages[0].role"),
    ({"role": "user", "content": 5}, "messages[0].content"),
    ({"role": "user", "content": [5]}, "messages[0].content[0]"),
    ({"role": "user", "content": [{}]}, "messages[0].content[0]"),
    ({"role": "user", "content": [{"type": "smell"}]}, "messages[0].content[0]"),
    ({"role": "user", "content": [{"type": "text"}]}, "messages[0].content[0].text"),
    ({"role": "user", "content": [{"type": "image_url"}]}, "messages[0].content[0].image_url"),
    (
        {"role": "user", "content": [{"type": "image_url", "image_url": {}}]},
        "messages[0].content[0].image_url.url",
    ),
    ({"role": "user", "content": "x", "images": [5]}, "messages[0].images[0]"),
    ({"role": "user", "content": "x", "name": 5}, "messages[0].name"),
    ({"role": "assistant", "tool_calls": [{}]}, "messages[0].tool_calls[0].function"),
    (
        {"role": "assistant", "tool_calls": [{"function": {}}]},
        "messages[0].tool_calls[0].function.name",
    ),
    (
        {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]},
        "messages[0].tool_calls[0].function.arguments",
    ),
    ({"role": "tool", "content": "x", "tool_call_id": 5}, "messages[0].tool_call_id"),
]


async def test_every_part_of_a_message_is_checked(client: httpx.AsyncClient) -> None:
    for message, param in MESSAGES:
        answer = await client.post(CHAT, json={"messages": [message]})
        check_refusal(answer, param=param, sent=json.dumps(message))
        assert answer.json()["error"]["param"] == param


@pytest.mark.parametrize(
    ("media", "status"),
    [
        ("", 400),
        ("!?", 400),
        ("data:image/png;base64,", 400),
        ("data:image/png", 400),
        (WAV, 400),
        ("aGVsbG8=", 400),
        ("http://127.0.0.1:1/a.png", 400),
        ("http://169.254.169.254/latest/meta-data", 400),
        ("http://[::ffff:10.0.0.1]/a.png", 400),
        ("http://0/a.png", 400),
        ("file:///etc/passwd", 400),
        ("/etc/passwd", 400),
        ("sha256:" + "0" * 64, 404),
        ("/v1/files/none.png", 404),
        ("/v1/files/..%2f..%2fetc%2fpasswd", 404),
    ],
)
async def test_images_that_cannot_be_had(
    client: httpx.AsyncClient, media: str, status: int
) -> None:
    where = "messages[0].content[0].image_url"
    for url in (media, {"url": media}):
        message = {"role": "user", "content": [{"type": "image_url", "image_url": url}]}
        answer = await client.post(CHAT, json={"model": "org/eye", "messages": [message]})
        assert answer.status_code == status, answer.text
        check_refusal(answer, param=where, sent=media)


async def test_lone_surrogates_are_no_text(client: httpx.AsyncClient) -> None:
    """JSON can spell text that UTF-8 cannot carry."""
    for path, good in GOOD.items():
        for field in good:
            content = json.dumps(good | {field: "MARK"}).replace("MARK", "\\ud800")
            await check_refused(client, path, content, param=field)
        content = json.dumps(good)[:-1] + ', "\\ud800": "\\udfff"}'
        answer = await client.post(path, content=content, headers=JSON)
        assert answer.status_code in (200, 400), answer.text
    for part, param in (
        ({"messages": [{"role": "user", "content": "MARK"}]}, "messages[0].content"),
        ({"functions": [{"name": "f", "parameters": {"MARK": [1]}}]}, "functions[0].parameters"),
        ({"stop": ["a", "MARK"]}, "stop[1]"),
    ):
        content = json.dumps(GOOD[CHAT] | part).replace("MARK", "\\ud800")
        await check_refused(client, CHAT, content, param=param)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-0", "9" * 5000])
async def test_strange_numbers(client: httpx.AsyncClient, number: str) -> None:
    fields = ("temperature", "dimensions", "top_n", "speed", "n", "seed", "num_speakers")
    for path, good in GOOD.items():
        for field in fields:
            content = json.dumps(good)[:-1] + f', "{field}": {number}}}'
            answer = await client.post(path, content=content, headers=JSON)
            assert answer.status_code in (200, 400), (path, content[:200], answer.text)


@pytest.mark.parametrize("path", GOOD)
async def test_other_content_types_are_400(client: httpx.AsyncClient, path: str) -> None:
    for kind in ("text/plain", "application/xml", "application/x-www-form-urlencoded"):
        answer = await client.post(path, content=b"a=b", headers={"Content-Type": kind})
        assert answer.status_code == 400, answer.text
        assert answer.json()["error"]["code"] == "invalid_request"


async def test_a_huge_prompt_is_refused_and_not_repeated(client: httpx.AsyncClient) -> None:
    text = "word " * 400_000
    for path, body in (
        (CHAT, {"messages": [{"role": "user", "content": text}]}),
        (COMPLETE, {"prompt": text}),
    ):
        answer = await client.post(path, json=body)
        assert answer.status_code == 400
        assert answer.json()["error"]["code"] == "context_length_exceeded"
        assert len(answer.content) < 3000


@pytest.mark.parametrize(
    ("content", "param"),
    [
        (b"", "file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(20), "file"),
        (b"plain text that is no audio", "file"),
        (b"%PDF-1.7 " + bytes(100), "file"),
    ],
)
async def test_uploads_that_are_no_audio(
    client: httpx.AsyncClient, content: bytes, param: str
) -> None:
    answer = await client.post(WRITE, files={"file": ("a.wav", content, "audio/wav")})
    check_refusal(answer, param=param, sent=repr(content))


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": "1.5"}, "temperature"),
        ({"stream": "perhaps"}, "stream"),
        ({"num_speakers": "-1"}, "num_speakers"),
        ({"num_speakers": "9" * 5000}, "num_speakers"),
        ({"response_format": "xml"}, "response_format"),
        ({"timestamp_granularities[]": "letter"}, "timestamp_granularities"),
        ({"segment_granularity": "word"}, "segment_granularity"),
        ({"model": "x" * 501}, "model"),
        ({"prompt": "x" * (1024 * 1024 + 1)}, "prompt"),
    ],
)
async def test_fields_of_a_form_are_checked(
    client: httpx.AsyncClient, fields: dict[str, str], param: str
) -> None:
    audio = base64.b64decode(WAV)
    answer = await client.post(WRITE, files={"file": ("a.wav", audio)}, data=fields)
    check_refusal(answer, param=param, sent=str(fields)[:200])


@pytest.mark.parametrize("is_announced", [True, False])
async def test_a_json_body_over_the_limit(make_context: MakeContext, is_announced: bool) -> None:
    content = json.dumps(GOOD[CHAT] | {"user": "x" * 17 * 1024 * 1024}).encode()

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(content), 2**20):
            yield content[start : start + 2**20]

    async with client_of(make_context(limits={"base64_bytes": 1000})) as client:
        body = content if is_announced else pieces()
        answer = await client.post(CHAT, content=body, headers=JSON)
        assert answer.status_code == 413
        assert answer.json()["error"]["code"] == "payload_too_large"
        assert answer.json()["error"]["kind"] == "overflow"
        assert (await client.post(CHAT, json=GOOD[CHAT])).status_code == 200


@pytest.mark.parametrize(
    "kind", [None, "text/plain", "multipart/form-data; boundary=x", "application/octet-stream"]
)
@pytest.mark.parametrize("path", [CHAT, "/v1/images/edits"])
async def test_a_body_that_no_route_streams_is_bounded_whatever_its_type(
    make_context: MakeContext, path: str, kind: str | None
) -> None:
    sent = 0

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(64):
            sent += 1
            yield b"{" * 2**20

    async with client_of(make_context(limits={"base64_bytes": 1000})) as client:
        headers = {} if kind is None else {"Content-Type": kind}
        answer = await client.post(path, content=pieces(), headers=headers)
    assert answer.status_code in (400, 413), answer.text
    assert sent < 32


async def test_a_field_cannot_be_repeated_without_end(client: httpx.AsyncClient) -> None:
    sent = 0

    async def parts() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(1000):
            sent += 1
            yield b'--b\r\nContent-Disposition: form-data; name="prompt"\r\n\r\nx\r\n'
        yield b"--b--\r\n"

    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = await client.post(WRITE, content=parts(), headers=headers)
    check_refusal(answer, param="prompt", sent="1000 prompts")
    assert sent < 300


@pytest.mark.parametrize("extra", [{}, {"async": True}, {"stream": True}])
@pytest.mark.parametrize(
    ("make", "param"),
    [
        (
            lambda deep: {"tools": [{"type": "function", "function": {"name": "f"} | deep}]},
            "tools[0].function.parameters",
        ),
        (
            lambda deep: {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"schema": deep["parameters"]},
                }
            },
            "response_format.json_schema.schema",
        ),
    ],
)
async def test_schemas_are_nested_as_deeply_as_a_job_can_hold(
    client: httpx.AsyncClient, make: Any, param: str, extra: dict[str, Any]
) -> None:
    for depth, is_good in ((90, True), (300, False), (900, False)):
        schema: Any = {"type": "string"}
        for _ in range(depth):
            schema = {"items": schema}
        body = GOOD[CHAT] | {"model": "echo"} | make({"parameters": schema}) | extra
        answer = await client.post(CHAT, json=body)
        if is_good:
            assert answer.status_code in (200, 202), answer.text
        else:
            check_refusal(answer, param=param, sent=f"{depth} levels")


@pytest.mark.parametrize("letter", ["A", "é"])
async def test_a_name_of_a_megabyte_is_no_name(client: httpx.AsyncClient, letter: str) -> None:
    """Also one that is put aside as media are, and nobody hears by which name."""
    long, body = letter * 1_100_000, {"messages": [{"role": "user", "content": "x"}]}
    answer = await client.post("/v1/chat/completions", json=body | {"ref_id": long})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "ref_id"
    answer = await client.post("/v1/chat/completions", json=body | {long: 1, "unknown": 1})
    assert answer.status_code == 200
    assert answer.headers["x-ignored-fields"] == "unknown"
