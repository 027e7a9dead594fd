"""Files through the real proxy; a large upload does not fill the ingress's memory."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx

from tests.serve.conftest import replica_pids

MIB = 1024**2
SIZE_MIB = 224
WAV_HEADER = (
    b"RIFF\xff\xff\xff\xffWAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00"
    b"\x80\x3e\x00\x00\x00\x7d\x00\x00\x02\x00\x10\x00data\xff\xff\xff\xff"
)


def peak_bytes(pid: int) -> int:
    """The most memory a process has had resident."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"no VmHWM for {pid}")


def forget_peak(pid: int) -> int:
    """Start the measurement anew; what is resident now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    return peak_bytes(pid)


async def test_files_are_read_and_deleted_through_the_real_proxy(http: httpx.AsyncClient) -> None:
    data = WAV_HEADER.ljust(MIB, b"\0")
    url = (await http.post("/v1/files/upload", content=data)).json()["url"]
    for _ in range(3):
        head = await http.head(url)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == str(MIB)
    for path in ("/docs", "/v1/models", "/v1/jobs"):
        get = await http.get(path)
        head = await http.head(path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-type"] == get.headers["content-type"]
        assert head.headers["x-content-type-options"] == "nosniff"
    parts = await http.get(url, headers={"Range": "bytes=0-3,8-11"})
    assert parts.status_code == 206
    assert parts.headers["content-type"].startswith("multipart/byteranges")
    assert parts.headers["content-length"] == str(len(parts.content))
    assert b"\r\n\r\nRIFF\r\n--" in parts.content
    assert (await http.delete(url)).json() == {"deleted": url.rpartition("/")[2]}
    assert (await http.get(url)).status_code == 404


async def test_a_large_upload_stays_out_of_memory(http: httpx.AsyncClient) -> None:
    digest = hashlib.sha256()

    async def body() -> AsyncIterator[bytes]:
        for number in range(SIZE_MIB):
            block = bytes([number]) * MIB if number else WAV_HEADER.ljust(MIB, b"\0")
            digest.update(block)
            yield block

    pids = replica_pids("ingress")
    assert pids
    before = {pid: forget_peak(pid) for pid in pids}
    answer = await http.post(
        "/v1/files/upload", content=body(), headers={"Content-Type": "application/octet-stream"}
    )
    assert answer.status_code == 200
    assert answer.json()["bytes"] == SIZE_MIB * MIB
    assert answer.json()["id"] == f"sha256:{digest.hexdigest()}"
    for pid in pids:
        assert peak_bytes(pid) - before[pid] < 64 * MIB
