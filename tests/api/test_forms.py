"""Forms as HTTP libraries write them, on every route that takes files."""

from typing import Any

import httpx
import pytest

from tests.api.conftest import MakeContext, client_of
from tests.api.test_files import DIGEST, PNG
from tests.images import png
from tests.material import silence, wav

BOUNDARY = {"Content-Type": "multipart/form-data; boundary=b"}
ROUTES = {
    "/v1/files/upload": "file",
    "/v1/images/edits": "image",
    "/v1/images/inpaint": "image",
    "/v1/images/variations": "image",
    "/v1/audio/transcriptions": "file",
    "/v1/audio/translations": "file",
    "/v1/audio/voices": "audio",
}


def part(disposition: bytes, data: bytes, *headers: bytes) -> bytes:
    lines = [b"--b", b"Content-Disposition: " + disposition, *headers, b"", data]
    return b"\r\n".join(lines) + b"\r\n"


SPELLINGS = {
    "browser": b'form-data; name="file"; filename="a.png"',
    "browser, quote": b'form-data; name="file"; filename="a%22b.png"',
    "browser, UTF-8": 'form-data; name="file"; filename="ü.png"'.encode(),
    "latin-1": b'form-data; name="file"; filename="\xfc.png"',
    "curl, old": b'form-data; name="file"; filename="a\\"b\\\\c.png"',
    "quote left as it is": b'form-data; name="file"; filename="a"b.png"',
    "Windows path": b'form-data; name="file"; filename="C:\\images\\a.png"',
    "backslash at the end": b'form-data; name="file"; filename="C:\\images\\"',
    ".NET": b"form-data; name=file; filename=a.png; filename*=utf-8''a.png",
    ".NET, UTF-8": b"form-data; name=file; filename=\"=?utf-8?B?w7w=?=\"; filename*=utf-8''%C3%BC",
    "urllib3 1.24": b"form-data; name=\"file\"; filename*=utf-8''%C3%BC.png",
    "file name first": b'form-data; filename="a;b.png"; name="file"',
    "upper case, no spaces": b'FORM-DATA;NAME="file";FILENAME="a.png"',
    "many spaces": b'form-data ; name = "file" ; filename = "a.png" ',
    "brackets": b'form-data; name="file[]"; filename="a.png"',
    "PHP": b'form-data; name="file[0]"; filename="a.png"',
    "empty name": b'form-data; name="file"; filename=""',
    "no name": b'form-data; name="file"',
    "no name, no quotes": b"form-data; name=file",
}


@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_every_spelling_of_a_file_is_a_file(client: httpx.AsyncClient, spelling: str) -> None:
    body = part(SPELLINGS[spelling], PNG) + b"--b--\r\n"
    answer = await client.post("/v1/files/upload", content=body, headers=BOUNDARY)
    assert answer.status_code == 200, answer.text
    assert answer.json()["id"] == f"sha256:{DIGEST}"


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        # UnityWebRequest: an empty line first, the type before the name, lower case.
        (
            'multipart/form-data; boundary="b"',
            b"\r\n--b\r\nContent-Type: image/png\r\n"
            b'Content-disposition: form-data; name="file"; filename="a.png"\r\n\r\n'
            + PNG
            + b"\r\n--b--\r\n",
        ),
        # OkHttp: a length in every part.
        (
            "multipart/form-data; boundary=b",
            part(b'form-data; name="file"; filename="a"', PNG, b"Content-Length: %d" % len(PNG))
            + b"--b--\r\n",
        ),
        # Headers in capitals, and a transfer encoding as mail has it.
        (
            "Multipart/Form-Data; charset=utf-8; Boundary=b",
            b'--b\r\nCONTENT-DISPOSITION: form-data; name="file"\r\nCONTENT-TYPE: IMAGE/PNG\r\n'
            b"CONTENT-TRANSFER-ENCODING: binary\r\n\r\n" + PNG + b"\r\n--b--",
        ),
    ],
)
async def test_whole_bodies_of_libraries(
    client: httpx.AsyncClient, content_type: str, body: bytes
) -> None:
    headers = {"Content-Type": content_type}
    answer = await client.post("/v1/files/upload", content=body, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.json()["id"] == f"sha256:{DIGEST}"


async def test_long_files_without_a_name_come_through(client: httpx.AsyncClient) -> None:
    data = wav(silence(60))
    assert len(data) > 1024 * 1024
    body = part(b'form-data; name="file"', data) + b"--b--\r\n"
    answer = await client.post("/v1/files/upload", content=body, headers=BOUNDARY)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["bytes"], answer.json()["kind"]) == (len(data), "audio")


async def test_text_in_a_file_field_names_a_medium(client: httpx.AsyncClient) -> None:
    await client.post("/v1/files/upload", content=PNG)
    body = part(b'form-data; name="file"', f"sha256:{DIGEST}".encode()) + b"--b--\r\n"
    answer = await client.post("/v1/files/upload", content=body, headers=BOUNDARY)
    assert answer.json()["existed"] is True
    unknown = part(b'form-data; name="file"', b"sha256:" + b"0" * 64) + b"--b--\r\n"
    answer = await client.post("/v1/files/upload", content=unknown, headers=BOUNDARY)
    assert (answer.status_code, answer.json()["error"]["param"]) == (404, "file")


@pytest.mark.parametrize(
    ("header", "text", "status"),
    [
        (b"Content-Type: text/plain; charset=ISO-8859-1", "Zoë".encode("latin-1"), 200),
        (b'content-type: text/plain;charset="UTF-8"', "Zoë".encode(), 200),
        (b"Content-Type: text/plain; charset=windows-1252", "Zoë".encode("cp1252"), 200),
        (b"Content-Type: text/plain", "Zoë".encode(), 200),
        (b"Content-Type: text/plain", "Zoë".encode("latin-1"), 400),
        (b"Content-Type: text/plain; charset=us-ascii", "Zoë".encode(), 400),
        (b"Content-Type: text/plain; charset=utf-7", b"Zo+AOs-", 400),
        (b"Content-Type: text/plain; charset=zip", b"Zoe", 400),
    ],
)
async def test_text_comes_in_the_charset_that_it_names(
    client: httpx.AsyncClient, header: bytes, text: bytes, status: int
) -> None:
    body = part(b'form-data; name="description"', text, header)
    body += part(b'form-data; name="name"', b"zoe")
    body += part(b'form-data; name="audio"; filename="a.wav"', wav(silence(2))) + b"--b--\r\n"
    answer = await client.post("/v1/audio/voices", content=body, headers=BOUNDARY)
    assert answer.status_code == status, answer.text
    if status == 200:
        voice = (await client.get("/v1/audio/voices/zoe")).json()["voice"]
        assert voice["description"] == "Zoë"
    else:
        assert answer.json()["error"]["param"] == "description"


async def test_a_file_that_was_not_chosen_is_none(client: httpx.AsyncClient) -> None:
    unchosen = part(b'form-data; name="mask"; filename=""', b"", b"Content-Type: image/png")
    fields = part(b'form-data; name="image[0]"; filename="a.png"', png(size=(64, 64)))
    fields += part(b'form-data; name="prompt"', b"a cat")
    body = fields + unchosen + b"--b--\r\n"
    answer = await client.post("/v1/images/edits", content=body, headers=BOUNDARY)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (BOUNDARY, b"--b--\r\n"),
        (BOUNDARY, b""),
        ({"Content-Type": "multipart/form-data"}, b""),
        ({"Content-Type": "application/x-www-form-urlencoded"}, b"name=x&prompt=x&model=auto"),
        ({"Content-Type": "application/octet-stream"}, b"\0"),
        ({"Content-Type": "text/plain"}, b""),
        ({"Content-Type": "application/json"}, b'{"name": "x", "prompt": "x"}'),
        (BOUNDARY, part(b'form-data; name="name"', b"x") + b"--b--\r\n"),
    ],
)
async def test_a_missing_file_is_told_by_name(
    client: httpx.AsyncClient, route: str, headers: dict[str, str], body: bytes
) -> None:
    answer = await client.post(route, content=body, headers=headers)
    error = answer.json()["error"]
    assert answer.status_code in (400, 415), answer.text
    assert error["param"] in (ROUTES[route], "name"), error
    if b"name" in body or route != "/v1/audio/voices":
        assert error["param"] == ROUTES[route]


@pytest.mark.parametrize("route", ROUTES)
async def test_a_file_in_another_field_is_told_by_its_name(
    client: httpx.AsyncClient, route: str
) -> None:
    answer = await client.post(route, files={"nonsense": ("a.png", PNG)})
    error: dict[str, Any] = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, "nonsense")
    assert repr(ROUTES[route]) in error["message"]


async def test_forms_without_files_may_name_their_media(client: httpx.AsyncClient) -> None:
    uploaded = (await client.post("/v1/files/upload", content=png(size=(64, 64)))).json()
    data = {"image": uploaded["url"], "prompt": "a cat", "n": "2"}
    answer = await client.post("/v1/images/edits", data=data)
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["data"]) == 2


@pytest.mark.parametrize("body", [b"prompt=%ff&image=x", b"a=b&" * 300])
async def test_bad_url_encoded_forms(make_context: MakeContext, body: bytes) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    async with client_of(make_context()) as client:
        answer = await client.post("/v1/images/edits", content=body, headers=headers)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["code"] == "invalid_request"
