"""Uploads, downloads with ranges, look-ups by hash."""

import base64
import email
import email.policy
import hashlib
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from tests.api.conftest import MakeContext, client_of

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(200))
DIGEST = hashlib.sha256(PNG).hexdigest()
NAME = f"up-{DIGEST}.png"


@pytest.fixture
async def stored(client: httpx.AsyncClient) -> httpx.AsyncClient:
    answer = await client.post("/v1/files/upload", files={"file": ("a.png", PNG)})
    assert answer.status_code == 200
    return client


def expected(*, existed: bool) -> dict[str, object]:
    return {
        "id": f"sha256:{DIGEST}",
        "url": f"/v1/files/{NAME}",
        "path": f"/v1/files/{NAME}",
        "bytes": len(PNG),
        "mime": "image/png",
        "kind": "image",
        "existed": existed,
    }


@pytest.mark.parametrize("field", ["file", "upload", "media"])
async def test_multipart_upload(client: httpx.AsyncClient, field: str) -> None:
    first = await client.post("/v1/files/upload", files={field: ("x", PNG)}, data={"a": "b"})
    again = await client.post("/v1/files/upload", files={field: ("x", PNG)})
    assert first.json() == expected(existed=False)
    assert again.json() == expected(existed=True)


@pytest.mark.parametrize("field", ["file", "data"])
async def test_json_upload(client: httpx.AsyncClient, field: str) -> None:
    value = base64.b64encode(PNG).decode()
    first = await client.post("/v1/files/upload", json={field: value, "filename": "../x"})
    again = await client.post("/v1/files/upload", json={field: f"sha256:{DIGEST}"})
    assert first.json() == expected(existed=False)
    assert again.json() == expected(existed=True)


async def test_raw_upload(client: httpx.AsyncClient) -> None:
    async def body() -> AsyncIterator[bytes]:
        for byte in PNG:
            yield bytes([byte])

    answer = await client.post("/v1/files/upload", content=body())
    assert answer.json() == expected(existed=False)


@pytest.mark.covers("CoderAI: the base URL is configured")
async def test_urls_are_absolute_when_the_address_is_known(make_context: MakeContext) -> None:
    async with client_of(make_context(server={"public_url": "https://ai.example"})) as client:
        answer = (await client.post("/v1/files/upload", content=PNG)).json()
    assert answer["url"] == f"https://ai.example/v1/files/{NAME}"
    assert answer["path"] == f"/v1/files/{NAME}"


@pytest.mark.covers("CoderAI: GET /v1/files/{name}")
async def test_download(stored: httpx.AsyncClient) -> None:
    answer = await stored.get(f"/v1/files/{NAME}")
    assert answer.content == PNG
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["etag"] == f'"{DIGEST}"'
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "content-disposition" not in answer.headers
    head = await stored.head(f"/v1/files/{NAME}")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(PNG))
    attached = await stored.get(f"/v1/files/{NAME}?download=true")
    assert attached.headers["content-disposition"] == f'attachment; filename="{NAME}"'


@pytest.mark.parametrize(
    ("asked", "status", "body", "content_range"),
    [
        ("bytes=0-3", 206, PNG[:4], f"bytes 0-3/{len(PNG)}"),
        ("bytes=200-", 206, PNG[200:], f"bytes 200-{len(PNG) - 1}/{len(PNG)}"),
        ("bytes=-5", 206, PNG[-5:], f"bytes {len(PNG) - 5}-{len(PNG) - 1}/{len(PNG)}"),
        ("bytes=5-99999", 206, PNG[5:], f"bytes 5-{len(PNG) - 1}/{len(PNG)}"),
        ("bytes=-99999", 206, PNG, f"bytes 0-{len(PNG) - 1}/{len(PNG)}"),
        ("Bytes = 0-3", 206, PNG[:4], f"bytes 0-3/{len(PNG)}"),
        ("bytes=,0-3, ,", 206, PNG[:4], f"bytes 0-3/{len(PNG)}"),
        # Of a list those that are there; those that overlap or touch are one.
        ("bytes=0-3,99999-", 206, PNG[:4], f"bytes 0-3/{len(PNG)}"),
        ("bytes=-0, 0-3", 206, PNG[:4], f"bytes 0-3/{len(PNG)}"),
        ("bytes=4-7,0-3", 206, PNG[:8], f"bytes 0-7/{len(PNG)}"),
        ("bytes=0-5,2-3", 206, PNG[:6], f"bytes 0-5/{len(PNG)}"),
        ("bytes=0-9" + "9" * 400, 206, PNG, f"bytes 0-{len(PNG) - 1}/{len(PNG)}"),
        ("bytes=-9" + "9" * 5000, 206, PNG, f"bytes 0-{len(PNG) - 1}/{len(PNG)}"),
        ("bytes=0" + "0" * 5000 + "-3", 206, PNG[:4], f"bytes 0-3/{len(PNG)}"),
        ("bytes=99999-", 416, b"", f"bytes */{len(PNG)}"),
        ("bytes=-0", 416, b"", f"bytes */{len(PNG)}"),
        ("bytes=-0,99999-100000", 416, b"", f"bytes */{len(PNG)}"),
        ("bytes=9" + "9" * 400 + "-", 416, b"", f"bytes */{len(PNG)}"),
        # One that is no range makes the list none.
        ("bytes=0-1,a-b", 200, PNG, None),
        ("bytes=0-1,5-2", 200, PNG, None),
        ("bytes=0-1,4", 200, PNG, None),
        ("bytes=0-1;4-5", 200, PNG, None),
        ("bytes=" + ",".join(f"{n}-{n}" for n in range(0, 200, 2)), 200, PNG, None),
        ("lines=0-1", 200, PNG, None),
        ("bytes=a-b", 200, PNG, None),
        ("bytes=5-2", 200, PNG, None),
        ("bytes=0--1", 200, PNG, None),
        ("bytes=\u0661-", 200, PNG, None),
        ("bytes=", 200, PNG, None),
        ("bytes=,", 200, PNG, None),
        ("bytes=-", 200, PNG, None),
        ("bytes", 200, PNG, None),
    ],
)
async def test_ranges(
    stored: httpx.AsyncClient, asked: str, status: int, body: bytes, content_range: str | None
) -> None:
    answer = await stored.get(f"/v1/files/{NAME}", headers={"Range": asked.encode()})
    assert answer.status_code == status
    assert answer.content == body
    assert answer.headers.get("content-range") == content_range
    assert answer.headers["content-length"] == str(len(body))


async def test_several_ranges_come_in_one_answer(stored: httpx.AsyncClient) -> None:
    headers = {"Range": "bytes=100-103, 0-1,-3, 99999-"}
    answer = await stored.get(f"/v1/files/{NAME}", headers=headers)
    assert answer.status_code == 206
    assert "content-range" not in answer.headers
    assert answer.headers["content-length"] == str(len(answer.content))
    # What a mail library reads it as.
    head = f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode()
    message = email.message_from_bytes(head + answer.content, policy=email.policy.HTTP)
    assert message.get_content_type() == "multipart/byteranges"
    assert not message.defects
    got = [
        (part["content-range"], part.get_content_type(), part.get_payload(decode=True))
        for part in message.iter_parts()
    ]
    size = len(PNG)
    assert got == [
        (f"bytes 100-103/{size}", "image/png", PNG[100:104]),
        (f"bytes 0-1/{size}", "image/png", PNG[:2]),
        (f"bytes {size - 3}-{size - 1}/{size}", "image/png", PNG[-3:]),
    ]


ETAG = f'"{DIGEST}"'


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"If-None-Match": ETAG}, 304),
        ({"If-None-Match": f"W/{ETAG}"}, 304),
        ({"If-None-Match": f'"a,b", W/"c" , W/{ETAG}'}, 304),
        ({"If-None-Match": f'"other",{ETAG}'}, 304),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": " * "}, 304),
        ({"If-None-Match": f"{ETAG}", "Range": "bytes=0-1"}, 304),
        ({"If-None-Match": '"other", W/"another"'}, 200),
        ({"If-None-Match": f'"other {DIGEST}"'}, 200),
        ({"If-None-Match": ""}, 200),
        ({"If-Match": ETAG}, 200),
        ({"If-Match": f'"other", {ETAG}'}, 200),
        ({"If-Match": "*"}, 200),
        ({"If-Match": ETAG, "If-None-Match": ETAG}, 304),
        ({"If-Match": ETAG, "Range": "bytes=0-1"}, 206),
        ({"If-Match": f"W/{ETAG}"}, 412),
        ({"If-Match": '"other"', "If-None-Match": ETAG, "Range": "bytes=0-1"}, 412),
        ({"If-Range": ETAG, "Range": "bytes=0-1"}, 206),
        ({"If-Range": '"other"', "Range": "bytes=0-1"}, 200),
        ({"If-Range": f"W/{ETAG}", "Range": "bytes=0-1"}, 200),
        ({"If-Range": "Mon, 30 Nov 2026 01:00:00 GMT", "Range": "bytes=0-1"}, 200),
        ({"If-Modified-Since": "Mon, 30 Nov 2099 01:00:00 GMT"}, 200),
        ({"If-Unmodified-Since": "Mon, 30 Nov 1999 01:00:00 GMT"}, 200),
    ],
)
async def test_conditions(stored: httpx.AsyncClient, headers: dict[str, str], status: int) -> None:
    answer = await stored.get(f"/v1/files/{NAME}", headers=headers)
    assert answer.status_code == status
    assert answer.headers["etag"] == ETAG
    assert answer.content == {200: PNG, 206: PNG[:2]}.get(status, b"")
    head = await stored.head(f"/v1/files/{NAME}", headers=headers)
    assert head.status_code == (200 if status == 206 else status)
    assert head.content == b""


async def test_tags_may_come_in_several_lines(stored: httpx.AsyncClient) -> None:
    lines = [("If-None-Match", '"other"'), ("If-None-Match", f"W/{ETAG}")]
    assert (await stored.get(f"/v1/files/{NAME}", headers=lines)).status_code == 304


async def test_a_head_has_no_range(stored: httpx.AsyncClient) -> None:
    head = await stored.head(f"/v1/files/{NAME}", headers={"Range": "bytes=0-3"})
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(PNG))


@pytest.mark.parametrize(
    "name",
    [
        "nope.png",
        f"{'0' * 64}.png",
        "..%2f..%2fetc%2fpasswd",
        "%2e%2e",
        "a%00b",
        "%F0%9F%92%A9",
        "x" * 10_000,
        "file-abc123",
        f"{DIGEST}.*",
        DIGEST,
    ],
)
async def test_unknown_and_unsafe_names(stored: httpx.AsyncClient, name: str) -> None:
    answer = await stored.get(f"/v1/files/{name}")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"


async def test_a_files_whole_url_is_taken_back(client: httpx.AsyncClient) -> None:
    url = (await client.post("/v1/files/upload", content=PNG)).json()["url"]
    body = {"file": f"{client.base_url}{url}"}
    again = await client.post("/v1/files/upload", json=body)
    assert again.status_code == 200, again.text
    assert again.json()["url"] == url


async def test_look_up_by_hash(stored: httpx.AsyncClient) -> None:
    for name in (DIGEST, f"sha256:{DIGEST}", DIGEST.upper()):
        answer = await stored.get(f"/v1/files/blob/{name}")
        assert answer.json() == expected(existed=True) | {"exists": True}
    for name in ("0" * 64, "zz", "sha256:"):
        assert (await stored.get(f"/v1/files/blob/{name}")).status_code == 404


async def test_what_is_no_medium_is_not_kept(client: httpx.AsyncClient) -> None:
    page = b"<!DOCTYPE html><script>alert(1)</script>"
    answer = await client.post("/v1/files/upload", files={"file": ("a.png", page)})
    assert answer.status_code == 415
    assert answer.json()["error"]["code"] == "unsupported_media_type"
    digest = hashlib.sha256(page).hexdigest()
    assert (await client.get(f"/v1/files/blob/{digest}")).status_code == 404


@pytest.mark.parametrize("form", ["raw", "multipart"])
async def test_uploads_over_the_limit(make_context: MakeContext, form: str) -> None:
    context = make_context(limits={"upload_bytes": 100})
    async with client_of(context) as client:
        if form == "raw":
            answer = await client.post("/v1/files/upload", content=PNG)
        else:
            answer = await client.post("/v1/files/upload", files={"file": ("a", PNG)})
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "payload_too_large"
    assert answer.json()["error"]["param"] == "file"


BOUNDARY = "multipart/form-data; boundary=b"
PART = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'


def bad_bodies() -> Iterator[tuple[str, bytes]]:
    yield "multipart/form-data", b""
    yield BOUNDARY, b""
    yield BOUNDARY, b"garbage"
    yield BOUNDARY, PART + PNG
    yield BOUNDARY, b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n"
    yield BOUNDARY, PART.replace(b"file", b"other", 1) + PNG + b"\r\n--b--\r\n"
    yield BOUNDARY, b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nx\r\n--b--\r\n'
    yield BOUNDARY, PART + b"\r\n--b--\r\n"
    yield "application/json", b""
    yield "application/json", b"[1]"
    yield "application/json", b'{"file": 5}'
    yield "application/json", b"{}"
    yield "application/json", b"[" * 100_000
    yield "application/json", b'{"file": "\\ud800"}'
    yield "text/plain", b""


@pytest.mark.parametrize(("content_type", "body"), list(bad_bodies()))
async def test_bad_uploads(client: httpx.AsyncClient, content_type: str, body: bytes) -> None:
    headers = {"Content-Type": content_type}
    answer = await client.post("/v1/files/upload", content=body, headers=headers)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["code"] == "invalid_request"


async def test_files_need_a_token_unless_they_are_public(make_context: MakeContext) -> None:
    environment = {"API_TOKENS": "secret"}
    context = make_context(auth={"required": True}, environment=environment)
    async with client_of(context) as client:
        assert (await client.get(f"/v1/files/{NAME}")).status_code == 401
    context = make_context(
        auth={"required": True}, environment=environment, server={"files_access": "public"}
    )
    async with client_of(context) as client:
        assert (await client.get(f"/v1/files/{NAME}")).status_code == 404
        assert (await client.post("/v1/files/upload", content=PNG)).status_code == 401


async def test_two_files_are_not_one_upload(client: httpx.AsyncClient) -> None:
    for names in (("file", "file"), ("file", "media")):
        files = [(name, ("a.png", PNG)) for name in names]
        answer = await client.post("/v1/files/upload", files=files)
        assert answer.status_code == 400
        assert answer.json()["error"]["param"] == "file"


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(50), "JPEG XL images"),
        (b"\xff\n" + bytes(50), "JPEG XL images"),
        (b"\0\0\0\x18ftypcrx " + bytes(50), "raw images of Canon cameras (CR3)"),
    ],
)
async def test_images_that_nobody_reads_are_refused_by_name(
    client: httpx.AsyncClient, data: bytes, name: str
) -> None:
    why = f"{name} are not supported; send PNG, JPEG, WebP or AVIF"
    answer = await client.post("/v1/files/upload", content=data)
    assert (answer.status_code, answer.json()["error"]["message"]) == (415, why)
    body = {"prompt": "x", "image": base64.b64encode(data).decode()}
    answer = await client.post("/v1/images/upscale", json=body)
    assert (answer.status_code, answer.json()["error"]["message"]) == (400, why)
