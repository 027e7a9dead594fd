"""What is refused of providers: every rule with its text, all of them together, and no 500."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.api.conftest import MakeContext, client_of
from tests.providers import (
    BOSS,
    ENVIRONMENT,
    FIRST,
    PROVIDERS,
    ROLE,
    bedrock,
    body,
    broken,
    created,
    refused,
)

ABSOLUTE = "base_url must be an absolute URL (e.g. https://api.example.com/)"
CREDENTIALS = "base_url must not contain credentials; use api_keys"
SCHEME = "base_url scheme must be http or https, got"
METADATA = "base_url must not be an address of a cloud's metadata"
NAME = "name must match ^[a-z0-9]+(-[a-z0-9]+)*$ (lowercase alphanumeric, hyphens between words)"
SPACES = "must not contain leading or trailing whitespace"
CONTROLS = "must not contain control characters"
NOT_JSON = "Request body must be valid JSON."


@pytest.fixture
async def admin(make_context: MakeContext) -> AsyncIterator[httpx.AsyncClient]:
    context = make_context(auth={"required": True}, environment=ENVIRONMENT, limits={"rates": None})
    async with client_of(context) as client:
        client.headers.update(BOSS)
        yield client
        assert (await client.get(PROVIDERS)).status_code == 200
        await context.access.credentials.finish()


async def test_all_that_is_wrong_is_told_together(admin: httpx.AsyncClient) -> None:
    sent = {
        "type": "x",
        "base_url": "ftp://example.com",
        "api_keys": ["", FIRST, " a"],
        "settings": bedrock(role_arn="x", external_id="y"),
    }
    assert broken(await admin.post(PROVIDERS, json=sent)) == [
        ("type", 'unsupported provider type "x"'),
        ("name", "name is required"),
        ("base_url", 'base_url scheme must be http or https, got "ftp"'),
        ("api_keys[0]", "api_keys entries must not be empty"),
        ("api_keys[2]", f"api_keys entries {SPACES}"),
        ("settings", "bedrock settings are only valid for type=anthropic or type=bedrock"),
        (
            "settings.role_arn",
            "role_arn must be an IAM role ARN (e.g. arn:aws:iam::123456789012:role/example)",
        ),
        ("settings.external_id", "external_id is server-generated and must not be set"),
    ]
    assert broken(await admin.post(PROVIDERS, json={})) == [
        ("type", "type is required"),
        ("name", "name is required"),
        ("base_url", "base_url is required"),
    ]
    assert (await admin.get(PROVIDERS)).json() == []


BAD_URLS = [
    ("", "base_url is required"),
    ("api.example.com/v1", ABSOLUTE),
    ("localhost:11434", ABSOLUTE),
    ("/v1", ABSOLUTE),
    ("https://", ABSOLUTE),
    ("https:///v1", ABSOLUTE),
    ("https://[::1", ABSOLUTE),
    ("https://a:b/", ABSOLUTE),
    ("https://a:99999/", ABSOLUTE),
    ("https://exa mple.com", ABSOLUTE),
    (" https://example.com", ABSOLUTE),
    ("https://exam\nple.com", ABSOLUTE),
    ("https://example.com\\@evil.example", ABSOLUTE),
    (f"https://{'a' * 64}.example", ABSOLUTE),
    ("https://a..b", ABSOLUTE),
    ("file:///etc/passwd", ABSOLUTE),
    ("javascript://example.com/%0aalert(1)", f'{SCHEME} "javascript"'),
    ("ws://example.com", f'{SCHEME} "ws"'),
    ("https://me:secret@example.com", CREDENTIALS),
    ("https://me@example.com", CREDENTIALS),
    ("https://example.com/v1?key=AIza", CREDENTIALS),
    ("https://example.com/v1#top", "base_url must not contain a fragment"),
    ("https://example.com/v1#", "base_url must not contain a fragment"),
    ("http://169.254.169.254/latest", METADATA),
    ("http://2852039166", METADATA),
    ("http://0xa9.254.43518", METADATA),
    ("http://[::ffff:169.254.169.254]", METADATA),
    ("http://[64:ff9b::a9fe:a9fe]", METADATA),
    ("http://[fd00:ec2::254]", METADATA),
    ("http://[fe80::1%25eth0]", METADATA),
    ("http://100.100.100.200", METADATA),
    ("http://Metadata.Google.Internal./", METADATA),
    (f"https://example.com/{'a' * 2048}", "base_url must have at most 2048 characters"),
]


async def test_base_urls_that_are_refused(admin: httpx.AsyncClient) -> None:
    for url, problem in BAD_URLS:
        assert broken(await admin.post(PROVIDERS, json=body(base_url=url))) == [
            ("base_url", problem)
        ]
        answer = await admin.patch(f"{PROVIDERS}/mine", json={"base_url": url})
        assert broken(answer) == [("base_url", problem)]


GOOD_URLS = [
    "https://api.example.com",
    "HTTPS://API.example.com/v1/",
    "http://localhost:11434/v1",
    "http://127.0.0.1:8080",
    "http://[::1]:8080/v1",
    "http://10.0.0.7/openai?api-version=2024-02-01",
    "https://bücher.example/v1",
]


async def test_base_urls_are_kept_as_given(admin: httpx.AsyncClient) -> None:
    for number, url in enumerate(GOOD_URLS):
        assert (await created(admin, name=f"n{number}", base_url=url))["base_url"] == url


BAD_NAMES = [
    ("", "name is required"),
    ("A", NAME),
    ("a b", NAME),
    ("a--b", NAME),
    ("-a", NAME),
    ("a\n", NAME),
    ("é", NAME),
    ("a/b", NAME),
    ("a" * 65, "name must have at most 64 characters"),
    ("a" * 100_000, "name must have at most 64 characters"),
    ("00000000-0000-0000-0000-000000000000", "name must not look like a UUID"),
    ("0" * 32, "name must not look like a UUID"),
]


async def test_names_that_are_refused(admin: httpx.AsyncClient) -> None:
    for name, problem in BAD_NAMES:
        assert broken(await admin.post(PROVIDERS, json=body(name=name))) == [("name", problem)]


async def test_the_longest_name_and_key_are_kept(admin: httpx.AsyncClient) -> None:
    keys = ["k" * 10_240] * 100
    made = await created(admin, name="a" * 64, api_keys=keys)
    assert {key["masked"] for key in made["api_keys"]} == {"kkkk...kkkk"}
    assert len(made["api_keys"]) == 100


MASKS = [
    ("a" * 20, "aaaa...aaaa"),
    ("a" * 19, "aa...aa"),
    ("a" * 10, "aa...aa"),
    ("a" * 9, "a...a"),
    ("a" * 5, "a...a"),
    ("a" * 4, "..."),
    ("a", "..."),
    ("gr\u00fc\u00dfe", "g...e"),
    ("\U0001f600" * 5, "\U0001f600...\U0001f600"),
    ("with spaces inside", "wi...de"),
]


async def test_masks_by_the_number_of_characters(admin: httpx.AsyncClient) -> None:
    for number, (key, masked) in enumerate(MASKS):
        made = await created(admin, name=f"n{number}", api_keys=[key])
        assert [each["masked"] for each in made["api_keys"]] == [masked]


BAD_KEYS = [
    ("", "must not be empty"),
    (" ", SPACES),
    ("sk-x ", SPACES),
    ("\tsk-x", SPACES),
    ("sk-x\n", SPACES),
    ("\u00a0sk-x", SPACES),
    ("k" * 10_241, "must have at most 10240 bytes"),
    ("\u00e9" * 5_121, "must have at most 10240 bytes"),
    ("k" * 100_000, "must have at most 10240 bytes"),
    ("a" * 1_500_000, "must have at most 10240 bytes"),
    ("sk\r\nX-Evil: 1", CONTROLS),
    ("sk\0x", CONTROLS),
    ("sk\x7fx", CONTROLS),
]


async def test_keys_that_are_refused(admin: httpx.AsyncClient) -> None:
    for key, problem in BAD_KEYS:
        answer = await admin.post(PROVIDERS, json=body(api_keys=[FIRST, key]))
        assert broken(answer) == [("api_keys[1]", f"api_keys entries {problem}")]
        answer = await admin.patch(f"{PROVIDERS}/mine", json={"api_keys": [{"api_key": key}]})
        assert broken(answer) == [("api_keys[0].api_key", f"api_key {problem}")]


async def test_a_key_is_changed_in_one_way(admin: httpx.AsyncClient) -> None:
    made = await created(admin, api_keys=[FIRST])
    key = made["api_keys"][0]["id"]
    sent = [{}, {"id": key, "api_key": "x"}, {"id": key}, {"id": None}, {"id": key.upper()}]
    answer = await admin.patch(f"{PROVIDERS}/mine", json={"base_url": "x", "api_keys": sent})
    one = "exactly one of id or api_key must be set"
    assert broken(answer) == [
        ("base_url", ABSOLUTE),
        ("api_keys[0]", one),
        ("api_keys[1]", one),
        ("api_keys[3]", one),
        ("api_keys[4].id", "already referenced at api_keys[2]"),
    ]
    many = [{"api_key": "k"}] * 101
    answer = await admin.patch(f"{PROVIDERS}/mine", json={"api_keys": many})
    assert broken(answer) == [("api_keys", "at most 100 api_keys are allowed")]
    assert (await admin.get(f"{PROVIDERS}/mine")).json() == made


@pytest.mark.parametrize(
    ("settings", "problems"),
    [
        (bedrock(region="a\0"), [("settings.region", f"region {CONTROLS}")]),
        (bedrock(region="x", access_key=" k"), [("settings.access_key", f"access_key {SPACES}")]),
        (
            bedrock(region="x", model="m" * 2049),
            [("settings.model", "model must have at most 2048 characters")],
        ),
    ],
)
async def test_settings_that_are_refused(
    admin: httpx.AsyncClient, settings: dict[str, Any], problems: list[tuple[str, str]]
) -> None:
    answer = await admin.post(PROVIDERS, json=body(type="bedrock", settings=settings))
    assert broken(answer) == problems
    await created(admin, type="bedrock", settings=bedrock(role_arn=ROLE))
    answer = await admin.patch(f"{PROVIDERS}/mine", json={"settings": settings})
    assert broken(answer) == problems


async def test_texts_that_are_refused(admin: httpx.AsyncClient) -> None:
    sent = {"display_name": "a\nb", "icon": "i" * 2049}
    problems = [
        ("display_name", f"display_name {CONTROLS}"),
        ("icon", "icon must have at most 2048 characters"),
    ]
    assert broken(await admin.post(PROVIDERS, json=body(**sent))) == problems
    assert broken(await admin.patch(f"{PROVIDERS}/mine", json=sent)) == problems
    made = await created(admin, display_name="Größe \U0001f600 <b>", icon="\U0001f600")
    assert made["display_name"] == "Größe \U0001f600 <b>"


UNREADABLE = [
    *(b"", b"{", b"[]", b'"x"', b"null", b"5", b"\xff\xfe", b"[" * 100_000, b'{"a":' * 9999),
    *(b'{"enabled": NaN}', b'{"enabled": ' + b"9" * 5000 + b"}", b"{'a': 1}"),
    *(b'{"display_name": "\\ud800"}', b'{"api_keys": ["\\udc00"]}', b'{"icon": 5}'),
    *(b'{"enabled": "true"}', b'{"enabled": 1}', b'{"api_keys": {}}', b'{"api_keys": "k"}'),
    *(b'{"api_keys": [5]}', b'{"api_keys": [null]}', b'{"settings": []}'),
    *(b'{"settings": {"region": "x"}}', b'{"settings": {"_type": "bedrock"}}'),
    b'{"settings": {"_type": "openai", "_version": 1}}',
    b'{"settings": {"_type": "bedrock", "_version": 2}}',
    b'{"settings": {"_type": "bedrock", "_version": 1, "protocol": "http"}}',
    b'{"settings": {"_type": "bedrock", "_version": 1, "region": 5}}',
]


async def test_bodies_that_cannot_be_read(admin: httpx.AsyncClient) -> None:
    for content in UNREADABLE:
        for method, path in (("POST", PROVIDERS), ("PATCH", f"{PROVIDERS}/mine")):
            error = refused(await admin.request(method, path, content=content))
            assert error["message"] == NOT_JSON
            assert error["detail"]


async def test_the_type_of_the_body_makes_no_difference(admin: httpx.AsyncClient) -> None:
    for number, kind in enumerate(("text/plain", "application/x-www-form-urlencoded", "")):
        headers = {"Content-Type": kind} if kind else {}
        content = json.dumps(body(name=f"n{number}"))
        answer = await admin.post(PROVIDERS, content=content, headers=headers)
        assert answer.status_code == 201, answer.text


@pytest.mark.parametrize("is_told", [True, False])
async def test_a_body_of_more_than_two_megabytes_is_413(
    admin: httpx.AsyncClient, is_told: bool
) -> None:
    content = json.dumps(body(display_name="x" * 2**21)).encode()

    async def pieces() -> AsyncIterator[bytes]:
        yield content

    answer = await admin.post(PROVIDERS, content=content if is_told else pieces())
    assert "bytes" in refused(answer, 413)["message"]


@pytest.mark.covers("Coder: Coder-Session-Token at these routes")
async def test_only_administrators_are_let_in(admin: httpx.AsyncClient) -> None:
    await created(admin)
    for method, path in (
        *(("GET", PROVIDERS), ("POST", PROVIDERS), ("GET", f"{PROVIDERS}/mine")),
        *(("PATCH", f"{PROVIDERS}/mine"), ("DELETE", f"{PROVIDERS}/mine")),
    ):
        for token in ("", "sk-wrong"):
            answer = await admin.request(method, path, headers={"Coder-Session-Token": token})
            assert "Coder-Session-Token" in refused(answer, 401)["message"]
            assert answer.headers["www-authenticate"] == "Bearer"
        answer = await admin.request(method, path, headers={"Coder-Session-Token": "sk-one"})
        assert refused(answer, 403)["message"] == "Forbidden."
        assert refused(answer, 403)["detail"]
    headers = {"Coder-Session-Token": "", "Authorization": "Bearer sk-boss"}
    assert (await admin.get(PROVIDERS, headers=headers)).status_code == 200


async def test_routes_and_methods_that_there_are_not(admin: httpx.AsyncClient) -> None:
    for path in ("/api/v2/ai", "/api/v2/ai/models", f"{PROVIDERS}/a/b", f"{PROVIDERS}/a/"):
        assert refused(await admin.get(path), 404)["message"] == "Route not found."
    answer = await admin.put(f"{PROVIDERS}/mine", json={})
    assert refused(answer, 405)["message"] == "Method not allowed."
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD", "PATCH", "DELETE"}
    answer = await admin.delete(PROVIDERS)
    assert refused(answer, 405)["message"] == "Method not allowed."
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD", "POST"}
