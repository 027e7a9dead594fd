"""Media intake: every form, every guard."""

import base64
import ipaddress
import subprocess
import sys
import tracemalloc
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from serve_app.blobs.addresses import AllowList, is_public
from serve_app.blobs.intake import MediaIntake
from serve_app.blobs.sniff import kind_of, sniff
from serve_app.blobs.store import FsspecBlobStore, filename
from serve_app.core.errors import InvalidRequest, NotFound, PayloadTooLarge
from serve_app.core.settings import Limits
from tests.unit.http_origin import PNG, origin

URL_SAFE = base64.urlsafe_b64encode(b"\x89PNG\r\n\x1a\n\xfb\xff\xfe").decode()


@pytest.fixture
def store(tmp_path: Path) -> FsspecBlobStore:
    return FsspecBlobStore(tmp_path / "blobs")


def intake_of(store: FsspecBlobStore, **limits: Any) -> MediaIntake:
    return MediaIntake(store, Limits(**limits), public_url="https://ai.example/base")


async def content(store: FsspecBlobStore, blob: Any) -> bytes:
    return b"".join([chunk async for chunk in store.read(blob)])


@pytest.mark.parametrize(
    "value",
    [
        base64.b64encode(PNG).decode(),
        base64.b64encode(PNG).decode().rstrip("="),
        base64.urlsafe_b64encode(PNG).decode(),
        "\n ".join(base64.b64encode(PNG).decode()),
        "data:image/png;base64," + base64.b64encode(PNG).decode(),
        "DATA:text/html;base64," + base64.b64encode(PNG).decode(),
        "data:image/png," + "".join(f"%{byte:02x}" for byte in PNG),
    ],
)
@pytest.mark.covers("CoderAI: media as base64 or data URL")
async def test_inline_forms(store: FsspecBlobStore, value: str) -> None:
    blob = await intake_of(store).take(value, param="image", kind="image")
    assert blob.mime == "image/png"
    assert await content(store, blob) == PNG


async def test_long_base64_is_decoded_in_pieces(store: FsspecBlobStore) -> None:
    data = PNG + bytes(range(256)) * 20_000
    text = base64.b64encode(data).decode()
    blob = await intake_of(store).take(text[:999] + "\n" + text[999:], param="image")
    assert await content(store, blob) == data


@pytest.mark.covers("CoderAI: media as the URL of an own file")
async def test_stored_forms(store: FsspecBlobStore) -> None:
    intake = intake_of(store)
    blob = await intake.take(base64.b64encode(PNG).decode(), param="image")
    for value in (
        f"sha256:{blob.sha256}",
        f"sha256:{blob.sha256.upper()}",
        f"/v1/files/{filename(blob)}",
        f"/v1/files/up-{filename(blob)}?download=true",
        f"https://ai.example/base/v1/files/{filename(blob)}",
    ):
        assert await intake.take(value, param="image") == blob


@pytest.mark.parametrize("origin", ["http://127.0.0.1:8000", "https://LOCALHOST:9", "http://[::1]"])
async def test_a_file_is_known_below_the_host_that_the_caller_uses(
    store: FsspecBlobStore, origin: str
) -> None:
    intake = intake_of(store)
    blob = await intake.take(base64.b64encode(PNG).decode(), param="image")
    url = f"{origin}/v1/files/{filename(blob)}"
    host = origin.partition("//")[2].lower()
    assert await intake.at(host).take(url, param="image") == blob
    assert await intake.at(host).into(store).take(url + "?download=1", param="image") == blob
    for elsewhere in (intake, intake.at("127.0.0.2"), intake.at(host + "0"), intake.at("(")):
        with pytest.raises(InvalidRequest, match="is not on the public internet"):
            await elsewhere.take(url, param="image")
    with pytest.raises(InvalidRequest, match="is not on the public internet"):
        await intake.at(host).take(f"{origin}/other/{filename(blob)}", param="image")


async def test_files_of_other_paths_are_read_from_the_store(store: FsspecBlobStore) -> None:
    def dated(path: str) -> str | None:
        folder, _, name = path.rpartition("/")
        return name if folder == "/artifacts/2026" else None

    intake = intake_of(store).knowing(dated).at("127.0.0.1:8000")
    blob = await intake.take(base64.b64encode(PNG).decode(), param="image")
    path = f"/artifacts/2026/{filename(blob)}"
    for value in (
        path,
        f"{path}?download=true",
        f"http://127.0.0.1:8000{path}",
        f"https://ai.example/base{path}",
        path.replace(".", "%2E"),
    ):
        assert await intake.take(value, param="image") == blob
    with pytest.raises(InvalidRequest, match="is not on the public internet"):
        await intake.take(f"http://127.0.0.1:8001{path}", param="image")
    with pytest.raises(NotFound):
        await intake.take("/artifacts/2026/nothing.png", param="image")


@pytest.mark.parametrize("value", ["sha256:" + "0" * 64, "/v1/files/" + "0" * 64 + ".png"])
async def test_unknown_stored_files(store: FsspecBlobStore, value: str) -> None:
    with pytest.raises(NotFound) as caught:
        await intake_of(store).take(value, param="image")
    assert caught.value.param == "image"


@pytest.mark.parametrize(
    "value",
    [
        "",
        "   ",
        "=",
        "not base64!",
        "abcde",
        "data:image/png;base64",
        "data:image/png;base64,!!!",
        "file:///etc/passwd",
        "/etc/passwd",
        "../../etc/passwd",
        "ftp://example.com/x.png",
        "gopher://example.com",
        "http://",
        "http://[::1",
        "http://user:password@example.com/x.png",
        "http://example.com:99999/x",
        "http://does-not-exist.invalid/x.png",
        "http://a\u0000b/x",
        "http://" + "a" * 10_000,
    ],
)
async def test_refused_values(store: FsspecBlobStore, value: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await intake_of(store).take(value, param="messages[0].image", kind="image")
    assert caught.value.param == "messages[0].image"
    assert caught.value.status == 400


async def test_other_kinds_are_refused(store: FsspecBlobStore) -> None:
    with pytest.raises(InvalidRequest, match="expected audio, found image"):
        await intake_of(store).take(base64.b64encode(PNG).decode(), param="file", kind="audio")
    with pytest.raises(InvalidRequest, match="found data of an unknown type"):
        await intake_of(store).take("aGVsbG8=", param="file", kind="audio")


async def test_base64_over_the_limit_is_refused(store: FsspecBlobStore) -> None:
    with pytest.raises(PayloadTooLarge) as caught:
        await intake_of(store, base64_bytes=1000).take("A" * 4000, param="image")
    assert caught.value.param == "image"


async def test_uploads_are_limited(store: FsspecBlobStore) -> None:
    async def chunks() -> AsyncGenerator[bytes]:
        while True:
            yield b"x" * 1000

    with pytest.raises(PayloadTooLarge):
        await intake_of(store, upload_bytes=5000).take_upload(chunks(), param="file")


async def test_local_files_below_a_root(store: FsspecBlobStore, tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside.png"
    root.mkdir()
    (root / "a.png").write_bytes(PNG)
    outside.write_bytes(PNG)
    (root / "link.png").symlink_to(outside)
    intake = intake_of(store, file_roots=(root,))
    for value in (str(root / "a.png"), f"file://{root}/a.png"):
        assert (await intake.take(value, param="image")).mime == "image/png"
    for value in (f"file://{root}/link.png", f"{root}/../outside.png", f"file://{outside}"):
        with pytest.raises(InvalidRequest):
            await intake.take(value, param="image", kind="image")


PRIVATE = [
    "127.0.0.1",
    "127.8.8.8",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "192.0.2.1",
    "198.18.0.1",
    "::1",
    "::",
    "fe80::1",
    "fd00:ec2::254",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "2002:7f00:1::",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "2001:db8::1",
    "fec0::1",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_public_addresses(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/x.png",
        "http://localhost/x.png",
        "http://[::1]/x.png",
        "http://0/x.png",
        "http://2130706433/x.png",
        "http://0x7f.1/x.png",
        "http://169.254.169.254/latest/meta-data",
        "http://[::ffff:127.0.0.1]/x.png",
        "https://127.0.0.1/x.png",
    ],
)
async def test_urls_of_private_hosts_are_refused(store: FsspecBlobStore, url: str) -> None:
    with pytest.raises(InvalidRequest, match="public internet"):
        await intake_of(store).take(url, param="image")


@pytest.mark.covers("CoderAI: media as an HTTP URL")
async def test_a_fetched_file(store: FsspecBlobStore) -> None:
    async with origin() as host:
        intake = intake_of(store, fetch_allow=(host,))
        blob = await intake.take(f"http://{host}/png", param="image", kind="image")
        again = await intake.take(f"http://{host}/to//png", param="image", kind="image")
    assert await content(store, blob) == PNG
    assert again == blob


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("status/404", "status 404"),
        ("status/500", "status 500"),
        ("loop/x", "redirects"),
        ("gzip", "compressed"),
        ("nonsense", "cannot be fetched"),
        ("slow", "within"),
        ("to/http://127.0.0.1:1/x", "public internet"),
        ("to/http://localhost:1/x", "public internet"),
        ("to/file:///etc/passwd", "only http"),
        ("to/http://u:p@example.com/", "credentials"),
        ("astray", "not a valid URL"),
    ],
)
async def test_fetches_that_fail(store: FsspecBlobStore, path: str, message: str) -> None:
    async with origin() as host:
        intake = intake_of(store, fetch_allow=(host,), fetch_timeout_s=1)
        with pytest.raises(InvalidRequest, match=message) as caught:
            await intake.take(f"http://{host}/{path}", param="image")
    assert caught.value.param == "image"


async def test_a_host_that_cannot_be_written_is_refused(store: FsspecBlobStore) -> None:
    for host in ("ä..example", f"{'ä' * 70}.example", "a..example", "\u00ad"):
        with pytest.raises(InvalidRequest) as caught:
            await intake_of(store).take(f"http://{host}/x.png", param="image")
        assert caught.value.param == "image"


@pytest.mark.parametrize("path", ["claims", "endless"])
async def test_fetches_that_are_too_large(store: FsspecBlobStore, path: str) -> None:
    async with origin() as host:
        intake = intake_of(store, fetch_allow=(host,), upload_bytes=200_000)
        with pytest.raises(PayloadTooLarge) as caught:
            await intake.take(f"http://{host}/{path}", param="image")
    assert caught.value.param == "image"


def test_the_allow_list() -> None:
    allowed = AllowList(("Files.Internal", "10.1.0.0/16", "box:81"))
    inside, outside = ipaddress.ip_address("10.1.2.3"), ipaddress.ip_address("10.2.0.1")
    assert allowed.has("files.internal", 80, outside)
    assert allowed.has("x", 80, inside)
    assert allowed.has("box", 81, outside)
    assert not allowed.has("box", 80, outside)
    assert not allowed.has("x", 80, outside)


@pytest.mark.parametrize(
    ("head", "mime", "kind"),
    [
        (PNG, "image/png", "image"),
        (b"\xff\xd8\xff\xe0", "image/jpeg", "image"),
        (b"GIF89a....", "image/gif", "image"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp", "image"),
        (b"RIFF\0\0\0\0WAVEfmt ", "audio/wav", "audio"),
        (b"RIFF\0\0\0\0AVI LIST", "video/x-msvideo", "video"),
        (b"ID3\x04\0\0", "audio/mpeg", "audio"),
        (b"\xff\xfb\x90\x00", "audio/mpeg", "audio"),
        (b"\xff\xf1\x50\x80", "audio/aac", "audio"),
        (b"fLaC\0\0\0\x22", "audio/flac", "audio"),
        (b"OggS" + b"\0" * 24 + b"OpusHead", "audio/ogg", "audio"),
        (b"\0\0\0\x18ftypisom", "video/mp4", "video"),
        (b"\0\0\0\x18ftypM4A ", "audio/mp4", "audio"),
        (b"\x1aE\xdf\xa3\x01\0\0\0\0\0\0\x1fB\x82\x84webm", "video/webm", "video"),
        (b"<!DOCTYPE html>", None, None),
        (b"%PDF-1.7", None, None),
        (b"PK\x03\x04", None, None),
        (b"\x7fELF", None, None),
        (b"MZ\x90\0", None, None),
        (b"", None, None),
    ],
)
def test_sniffing(head: bytes, mime: str | None, kind: str | None) -> None:
    assert sniff(head) == mime
    assert (kind_of(mime) if mime else None) == kind


def test_what_a_head_claims_costs_nothing() -> None:
    """The first box says that it has 16 MiB of brands, or 4 GiB; 12 bytes of it are there."""
    for claimed in (2**24, 2**32 - 1):
        head = claimed.to_bytes(4) + b"ftypmif1"
        tracemalloc.start()
        found = sniff(head)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert found == "image/heic"
        assert most < 10_000


WITHOUT_PYAV = """
import sys
from pathlib import Path
sys.modules["av"] = None
from serve_app.blobs.recognition import media_type
for head in (b"0000ftypisom", b"caff\\0\\1\\0\\0", b"ID3\\4\\0\\0", b"words", b"0000wide"):
    print(media_type(Path("/dev/null"), head))
"""


def test_types_where_pyav_is_not_installed() -> None:
    found = subprocess.run(
        [sys.executable, "-c", WITHOUT_PYAV], capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == [
        "video/mp4",
        "audio/x-caf",
        "audio/mpeg",
        "application/octet-stream",
        "video/quicktime",
    ]
