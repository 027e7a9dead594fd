"""The archive: what is entered, found, shared, swept and deleted."""

import asyncio
import io
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from serve_app.archive.archive import Archive
from serve_app.archive.entries import FILE_NAME, ArchiveQuery, ArchiveSettings, Entry, Origin
from serve_app.archive.previews import MediaPreview, measure, media_preview
from serve_app.archive.sweep import ArchiveSweep, SweepCounts
from serve_app.blobs.references import release
from serve_app.blobs.store import FsspecBlobStore, filename
from serve_app.core.errors import AppError, InternalError, NotFound
from serve_app.core.media import Blob
from serve_app.core.settings import ArchiveDefaults
from serve_app.database.connection import Database
from serve_app.database.schema import ArchiveRow, BlobReferenceRow
from tests.databases import on_both
from tests.images import chunks, png

ORIGIN = Origin(owner="ann", operation="image.generate", model="painter", prompt="A red FOX_50%")
DAY_S = 86_400.0


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def blobs(tmp_path: Path) -> FsspecBlobStore:
    return FsspecBlobStore(tmp_path / "blobs")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def archive(database: Database, blobs: FsspecBlobStore, clock: Clock) -> Archive:
    return Archive(database, blobs, ArchiveDefaults(), clock=clock)


async def entered(
    archive: Archive, blobs: FsspecBlobStore, data: bytes | None = None, **changes: Any
) -> Entry:
    blob = await blobs.write(chunks(png() if data is None else data))
    entry = await archive.record(blob, ORIGIN.model_copy(update=changes))
    assert entry is not None
    await archive.illustrate(entry.filename)
    return await archive.entry(entry.filename, owner=None)


async def names(archive: Archive, **query: Any) -> list[str]:
    return [entry.filename for entry in (await archive.entries(ArchiveQuery(**query)))[0]]


async def holders(database: Database) -> set[str]:
    return await database.read(
        lambda session: {row.holder for row in session.query(BlobReferenceRow)}
    )


@on_both
async def test_an_entry_knows_its_file(
    archive: Archive, blobs: FsspecBlobStore, clock: Clock
) -> None:
    entry = await entered(archive, blobs, seed=7, parameters={"steps": 4}, tag="t")
    assert FILE_NAME.fullmatch(entry.filename)
    assert entry.filename.endswith(".png")
    assert (entry.type, entry.mime, entry.size) == ("image", "image/png", len(png()))
    assert (entry.width, entry.height, entry.created) == (800, 400, clock.now)
    assert (entry.seed, entry.parameters, entry.tag) == (7, {"steps": 4}, "t")
    assert await archive.entry(entry.filename, owner="ann") == entry
    assert await archive.find_file(entry.filename) == entry.blob


async def test_a_preview_is_a_small_webp(archive: Archive, blobs: FsspecBlobStore) -> None:
    entry = await entered(archive, blobs)
    preview = await blobs.find(entry.preview or "")
    assert preview is not None
    data = b"".join([chunk async for chunk in blobs.read(preview)])
    image = Image.open(io.BytesIO(data))
    assert (image.format, image.size) == ("WEBP", (512, 256))


async def test_an_entry_does_not_wait_for_its_preview(
    archive: Archive, blobs: FsspecBlobStore
) -> None:
    entry = await archive.record(await blobs.write(chunks(png())), ORIGIN)
    assert entry is not None
    assert (entry.preview, entry.width, entry.height) == (None, 800, 400)


@on_both
async def test_a_sweep_makes_the_previews_that_a_kill_prevented(
    archive: Archive, blobs: FsspecBlobStore, database: Database
) -> None:
    good = await archive.record(await blobs.write(chunks(png())), ORIGIN)
    bad = await archive.record(await blobs.write(chunks(png()[:-30]), mime="image/png"), ORIGIN)
    assert good is not None
    assert bad is not None
    await ArchiveSweep(archive, database, blobs).sweep_once()
    preview = (await archive.entry(good.filename, owner=None)).preview
    assert preview is not None
    assert (await archive.entry(bad.filename, owner=None)).preview is None
    assert await archive.illustrate_all() == 0, "what cannot have one is not tried again"
    await archive.delete(good.filename, owner=None)
    assert await blobs.find(preview) is None


async def test_a_preview_of_what_was_deleted_meanwhile_holds_nothing(
    archive: Archive, blobs: FsspecBlobStore, database: Database
) -> None:
    entry = await archive.record(await blobs.write(chunks(png())), ORIGIN)
    assert entry is not None
    await archive.delete(entry.filename, owner=None)
    await archive.illustrate(entry.filename)
    assert await holders(database) == set()


def test_sizes_are_known_without_decoding(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(png()[:-30])
    assert measure(path, "image") == MediaPreview(width=800, height=400)


async def test_audio_has_no_preview(archive: Archive, blobs: FsspecBlobStore) -> None:
    entry = await entered(archive, blobs, b"ID3 not really")
    assert (entry.type, entry.preview, entry.width) == ("audio", None, None)


def test_looking_into_rubbish_sees_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x"
    for data in (b"", b"\x89PNG\r\n\x1a\n" + bytes(100), png()[:-30]):
        path.write_bytes(data)
        assert media_preview(path, "image").preview is None


def test_an_image_is_seen_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "turned.jpg"
    Image.new("RGB", (60, 20), "red").save(path, exif=exif)
    seen = media_preview(path, "image")
    assert (seen.width, seen.height) == (20, 60)
    assert Image.open(io.BytesIO(seen.preview or b"")).size == (20, 60)


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "CMYK", "I;16", "F"])
def test_every_kind_of_image_has_a_preview(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "x.tiff"
    Image.new(mode, (30, 30)).save(path)
    assert media_preview(path, "image").preview


def test_a_video_is_seen_by_its_first_frame(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    path = tmp_path / "film.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 32, "yuv420p"
        for color in ["red"] * 5 + ["blue"] * 5:
            frame = av.VideoFrame.from_image(Image.new("RGB", (64, 32), color))
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    seen = media_preview(path, "video")
    assert (seen.width, seen.height, seen.duration) == (64, 32, 1.0)
    red, _, blue = Image.open(io.BytesIO(seen.preview or b"")).convert("RGB").getpixel((30, 15))
    assert (red > 200, blue < 60) == (True, True)


@on_both
async def test_a_resumed_job_records_nothing_twice(
    archive: Archive, blobs: FsspecBlobStore
) -> None:
    once = await entered(archive, blobs, job_id="job-1")
    again = await entered(archive, blobs, job_id="job-1", prompt="other")
    assert again == once
    blob = await blobs.write(chunks(png()))
    second = await archive.record(blob, ORIGIN.model_copy(update={"job_id": "job-1"}), position=1)
    other = await entered(archive, blobs, job_id="job-2")
    unnamed = [await entered(archive, blobs) for _ in range(2)]
    found = {entry.filename for entry in (once, second, other, *unnamed) if entry}
    assert len(found) == 5
    assert set(await names(archive)) == found


@on_both
async def test_two_runs_of_a_job_that_record_at_once_make_one_entry(
    archive: Archive, blobs: FsspecBlobStore
) -> None:
    made = await asyncio.gather(*(entered(archive, blobs, job_id="job-1") for _ in range(5)))
    assert len({entry.filename for entry in made}) == 1
    assert len(await names(archive)) == 1


@on_both
async def test_nothing_is_recorded_while_the_archive_is_off(
    archive: Archive, blobs: FsspecBlobStore
) -> None:
    kept = await entered(archive, blobs)
    await archive.change_settings(ArchiveSettings(enabled=False, retention="1d"))
    blob = await blobs.write(chunks(png("blue")))
    assert await archive.record(blob, ORIGIN) is None
    assert await names(archive) == [kept.filename]
    assert (await archive.settings()).retention == "1d"


async def test_what_is_no_medium_is_no_entry(archive: Archive, blobs: FsspecBlobStore) -> None:
    blob = await blobs.write(chunks(b"1\n00:00"), mime="application/x-subrip")
    with pytest.raises(InternalError, match="application/x-subrip"):
        await archive.record(blob, ORIGIN)


@on_both
async def test_shared_bytes_go_with_the_last_entry(
    archive: Archive, blobs: FsspecBlobStore, database: Database
) -> None:
    one, two = await entered(archive, blobs), await entered(archive, blobs)
    await archive.delete(one.filename, owner="ann")
    assert await blobs.find(one.sha256) == one.blob
    assert await blobs.find(one.preview or "") is not None
    await archive.delete(two.filename, owner="ann")
    assert await blobs.find(one.sha256) is None
    assert await blobs.find(one.preview or "") is None
    assert await holders(database) == set()


@on_both
async def test_of_many_that_delete_at_once_one_gets_it(
    archive: Archive, blobs: FsspecBlobStore
) -> None:
    entry = await entered(archive, blobs)
    outcomes = await asyncio.gather(
        *(archive.delete(entry.filename, owner="ann") for _ in range(8)), return_exceptions=True
    )
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["NoneType"] + ["NotFound"] * 7
    assert await blobs.find(entry.sha256) is None


async def test_entries_of_others_are_unknown(archive: Archive, blobs: FsspecBlobStore) -> None:
    entry = await entered(archive, blobs)
    unknown = f"{'0' * 32}.png"

    async def failure(what: Any) -> str:
        with pytest.raises(NotFound) as caught:
            await what
        return caught.value.message.replace(entry.filename, "?").replace(unknown, "?")

    for verb in (archive.entry, archive.delete):
        foreign = await failure(verb(entry.filename, owner="bob"))
        assert foreign == await failure(verb(unknown, owner="bob"))
    assert await names(archive, owner="bob") == []
    assert await archive.entry(entry.filename, owner=None) == entry


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, "dcba"),
        ({"order": "asc"}, "abcd"),
        ({"limit": 2}, "dc"),
        ({"limit": 2, "offset": 1}, "cb"),
        ({"offset": 9}, ""),
        ({"type": "audio"}, "d"),
        ({"type": "image"}, "cba"),
        ({"model": "painter"}, "dca"),
        ({"operation": "image.edit"}, "c"),
        ({"owner": "bob"}, "b"),
        ({"tag": "x"}, "a"),
        ({"q": "fox"}, "dca"),
        ({"q": "x_5"}, "dca"),
        ({"q": "50%"}, "dca"),
        ({"q": "x%5"}, ""),
        ({"q": "x__"}, ""),
        ({"created_after": 2.0}, "dc"),
        ({"created_before": 2.0}, "a"),
        ({"created_after": 1.0, "created_before": 4.0, "model": "painter"}, "c"),
        ({"q": "' OR 1=1 --"}, ""),
        ({"owner": "ann' OR '1'='1"}, ""),
        ({"tag": 'x"; DROP TABLE archive; --'}, ""),
        ({"q": "nul \0, half \ud800"}, ""),
    ],
)
async def test_filters_paging_and_order(
    archive: Archive, blobs: FsspecBlobStore, clock: Clock, query: dict[str, Any], found: str
) -> None:
    letters: dict[str, str] = {}
    for number, (letter, changes) in enumerate(
        [
            ("a", {"tag": "x"}),
            ("b", {"owner": "bob", "model": "m", "prompt": "sea"}),
            ("c", {"operation": "image.edit"}),
            ("d", {"data": b"ID3 audio"}),
        ],
        start=1,
    ):
        clock.now = float(number)
        letters[(await entered(archive, blobs, **changes)).filename] = letter
    entries, total = await archive.entries(ArchiveQuery(**query))
    assert "".join(letters[entry.filename] for entry in entries) == found
    if "limit" not in query and "offset" not in query:
        assert total == len(found)
    else:
        assert total == 4


@on_both
async def test_a_search_takes_its_words_literally(archive: Archive, blobs: FsspecBlobStore) -> None:
    entry = await entered(archive, blobs, prompt="A red FOX_50%\\")
    for words in ("red fox", "x_5", "50%", "%\\", "X_50"):
        assert await names(archive, q=words) == [entry.filename], words
    for words in ("x__", "r%d", "\\\\", "' OR 1=1 --", "\0", "\ud800"):
        assert await names(archive, q=words) == [], words


@on_both
async def test_texts_that_no_database_keeps_are_mended(
    archive: Archive, blobs: FsspecBlobStore
) -> None:
    entry = await entered(
        archive, blobs, prompt="a\0b\ud800", parameters={"\0": ["\udfff", float("nan")]}
    )
    assert entry.prompt == "a\ufffdb?"
    assert entry.parameters == {"\ufffd": ["?", None]}
    assert await archive.entry(entry.filename, owner="ann") == entry


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x.png", "x" * 10_000, "a\0b", "\ud800", f"{'A' * 32}.png", "'; --"]
)
async def test_unsafe_names_are_unknown(archive: Archive, name: str) -> None:
    assert await archive.find_file(name) is None
    for verb in (archive.entry, archive.delete):
        with pytest.raises(AppError) as caught:
            await verb(name, owner=None)
        assert caught.value.status == 404


@on_both
async def test_retention(
    archive: Archive, blobs: FsspecBlobStore, database: Database, clock: Clock
) -> None:
    sweep = ArchiveSweep(archive, database, blobs, clock=clock)
    old = await entered(archive, blobs, png("red"))
    clock.now += 2 * DAY_S
    new = await entered(archive, blobs, png("blue"))
    assert await sweep.sweep_once() == SweepCounts(0, 0), "kept for ever unless said otherwise"
    await archive.change_settings(ArchiveSettings(enabled=True, retention="1d"))
    assert await sweep.sweep_once() == SweepCounts(1, 0)
    assert await names(archive) == [new.filename]
    assert await blobs.find(old.sha256) is None
    assert await blobs.find(new.sha256) == new.blob
    clock.now += 2 * DAY_S
    assert (await sweep.sweep_once()).entries == 1
    assert await sweep.sweep_once() == SweepCounts(0, 0)


async def test_retention_takes_any_number(
    archive: Archive, blobs: FsspecBlobStore, clock: Clock
) -> None:
    for _ in range(5):
        await entered(archive, blobs)
    assert await archive.delete_before(clock.now) == 0
    assert await archive.delete_before(clock.now + 1, group=2) == 5


async def test_a_sweep_repairs_a_kill_between_commit_and_removal(
    archive: Archive, blobs: FsspecBlobStore, database: Database, tmp_path: Path
) -> None:
    entry = await entered(archive, blobs)

    def killed_after_commit(session: Any) -> None:
        session.delete(session.get(ArchiveRow, entry.filename))
        release(session, f"archive:{entry.filename}")

    await database.write(killed_after_commit)
    sweep = ArchiveSweep(archive, database, blobs)
    assert await sweep.sweep_once() == SweepCounts(0, 0), (
        "it may be somebody's who is about to hold it"
    )
    for sha256, mime in ((entry.sha256, "image/png"), (entry.preview or "", "image/webp")):
        path = tmp_path / "blobs" / sha256[:2] / filename(Blob(sha256=sha256, mime=mime, size=0))
        os.utime(path, (time.time() - 2 * DAY_S,) * 2)
    assert await sweep.sweep_once() == SweepCounts(0, 2)
    assert await blobs.find(entry.sha256) is None


async def test_a_full_disk_is_swept_before_previews_are_made(
    small_disk: Path, database: Database, archive: Archive, blobs: FsspecBlobStore
) -> None:
    entry = await archive.record(await blobs.write(chunks(png())), ORIGIN)
    assert entry is not None
    unneeded = small_disk / "00" / f"{'0' * 64}.bin"
    unneeded.parent.mkdir(exist_ok=True)
    with suppress(OSError), unneeded.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1024))
    os.utime(unneeded, (time.time() - 2 * DAY_S,) * 2)
    assert await ArchiveSweep(archive, database, blobs).sweep_once() == SweepCounts(0, 1)
    assert (await archive.entry(entry.filename, owner=None)).preview is not None
