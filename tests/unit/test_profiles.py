"""Saved profiles: names, owners, numbering, and the files they hold."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from serve_app.access.tokens import Principal
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.errors import Forbidden, InvalidRequest, NotFound
from serve_app.core.media import Blob
from serve_app.database.connection import Database
from serve_app.profiles.profile import Kind, NewProfileItem, Profile, ProfileChange, checked_name
from serve_app.profiles.profiles import Profiles
from tests.databases import on_both
from tests.images import chunks

ANN = Principal("ann", frozenset({"inference"}))
BOB = Principal("bob", frozenset({"inference"}))
ROOT = Principal("root", frozenset({"inference", "admin"}))
BAD_NAMES = [
    "",
    " ",
    ".",
    "..",
    ".hidden",
    "-x",
    "a/b",
    "a\\b",
    "../../etc/passwd",
    "a\0",
    "a\n",
    "a\tb",
    "a" * 65,
    "x" * 10_000,
    "\u0430nn",
    "ann\u200b",
    "\uff41nn",
    "ann\ud800",
    "'; DROP TABLE profiles; --",
    "a%2fb",
]


@pytest.fixture
def blobs(tmp_path: Path) -> FsspecBlobStore:
    return FsspecBlobStore(tmp_path / "blobs")


@pytest.fixture
def profiles(database: Database, blobs: FsspecBlobStore) -> Profiles:
    moments = iter(range(1000, 9000))
    return Profiles(database, blobs.url, clock=lambda: float(next(moments)))


async def item(blobs: FsspecBlobStore, text: str, role: Any = "image") -> NewProfileItem:
    blob = await blobs.write(chunks(text.encode()), mime="image/png")
    return NewProfileItem(role=role, text=text, blob=blob)


async def saved(
    profiles: Profiles, blobs: FsspecBlobStore, name: str, *texts: str, **options: Any
) -> Profile:
    items = [await item(blobs, text) for text in texts]
    values: dict[str, Any] = {"by": ANN, "description": "d"} | options
    return await profiles.save("character", name, items=items, **values)


def texts(profile: Profile) -> list[str]:
    return [item.text for item in profile.items]


@pytest.mark.parametrize("kind", ["character", "environment", "voice"])
async def test_bad_names_are_refused_by_every_verb(profiles: Profiles, kind: Kind) -> None:
    for name in BAD_NAMES:
        for verb in (
            profiles.get(kind, name),
            profiles.save(kind, name, by=ROOT, description="", items=[]),
            profiles.change(kind, name, ProfileChange(), by=ROOT),
            profiles.delete(kind, name, by=ROOT),
        ):
            with pytest.raises(InvalidRequest) as caught:
                await verb
            assert caught.value.param == "name", name
            assert len(caught.value.message) < 400, name


@pytest.mark.parametrize("name", ["a", "0", "Ann B. Smith-2_x", "a" * 64, "a.."])
def test_good_names(name: str) -> None:
    assert checked_name(name, "character") == name


def test_voices_have_neither_spaces_nor_dots() -> None:
    assert checked_name("Ann_2-x", "voice") == "Ann_2-x"
    for name in ("a b", "a.b"):
        with pytest.raises(InvalidRequest, match="not a valid voice name"):
            checked_name(name, "voice")


async def test_unknown_names(profiles: Profiles) -> None:
    for verb in (
        profiles.get("voice", "ann"),
        profiles.change("voice", "ann", ProfileChange(), by=ROOT),
        profiles.delete("voice", "ann", by=ROOT),
    ):
        with pytest.raises(NotFound, match="no voice is named 'ann'"):
            await verb


async def test_the_same_name_is_free_for_each_kind(
    profiles: Profiles, blobs: FsspecBlobStore
) -> None:
    await saved(profiles, blobs, "ann", "x")
    with pytest.raises(NotFound):
        await profiles.get("environment", "ann")


@on_both
async def test_listed_oldest_first(profiles: Profiles, blobs: FsspecBlobStore) -> None:
    for name in ("c", "a", "b"):
        await saved(profiles, blobs, name, "x")
    replaced = await saved(profiles, blobs, "a", "y")
    assert [profile.name for profile in await profiles.all("character")] == ["c", "a", "b"]
    assert replaced.created_at == 1001.0
    assert await profiles.get("character", "a") == (await profiles.all("character"))[1]
    assert await profiles.all("voice") == []


@on_both
async def test_replacing_lets_go_of_the_former_files(
    profiles: Profiles, blobs: FsspecBlobStore
) -> None:
    before = await saved(profiles, blobs, "ann", "one", "two")
    after = await saved(profiles, blobs, "ann", "two", "three", description="new")
    assert (texts(after), after.description, after.id) == (["two", "three"], "new", before.id)
    assert [item.number for item in after.items] == [2, 3]
    assert await blobs.find(before.items[0].blob.sha256) is None
    for kept in after.items:
        assert await blobs.find(kept.blob.sha256) is not None


@on_both
async def test_removing_comes_before_adding(profiles: Profiles, blobs: FsspecBlobStore) -> None:
    await saved(profiles, blobs, "ann", "a", "b", "c")
    change = ProfileChange(remove=(0, 2, 0), add=(await item(blobs, "d"),))
    changed = await profiles.change("character", "ann", change, by=ANN)
    assert texts(changed) == ["b", "d"]
    assert [item.number for item in changed.items] == [1, 3]
    assert await profiles.get("character", "ann") == changed


async def test_a_number_is_never_given_twice(profiles: Profiles, blobs: FsspecBlobStore) -> None:
    await saved(profiles, blobs, "ann", "a", "b")
    for text in "cde":
        change = ProfileChange(remove=(1,), add=(await item(blobs, text),))
        changed = await profiles.change("character", "ann", change, by=ANN)
    assert [item.number for item in changed.items] == [0, 4]


async def test_the_last_image_cannot_go(profiles: Profiles, blobs: FsspecBlobStore) -> None:
    await saved(profiles, blobs, "ann", "a", "b")
    with pytest.raises(InvalidRequest, match="the last image"):
        await profiles.change("character", "ann", ProfileChange(remove=(0, 1)), by=ANN)
    replacing = ProfileChange(remove=(0, 1), add=(await item(blobs, "c"),))
    assert texts(await profiles.change("character", "ann", replacing, by=ANN)) == ["c"]


@pytest.mark.parametrize("position", [-1, 2, 10**30])
async def test_positions_that_do_not_exist(
    profiles: Profiles, blobs: FsspecBlobStore, position: int
) -> None:
    await saved(profiles, blobs, "ann", "a", "b")
    change = ProfileChange(description="new", remove=(position,))
    with pytest.raises(InvalidRequest) as caught:
        await profiles.change("character", "ann", change, by=ANN)
    assert caught.value.param == "remove_indices"
    assert (await profiles.get("character", "ann")).description == "d", "all or nothing"


async def test_at_most_a_hundred_files(profiles: Profiles, blobs: FsspecBlobStore) -> None:
    one = await item(blobs, "x")
    with pytest.raises(InvalidRequest, match="at most 100"):
        await profiles.save("character", "ann", by=ANN, description="", items=[one] * 101)
    await profiles.save("character", "ann", by=ANN, description="", items=[one] * 100)
    with pytest.raises(InvalidRequest, match="at most 100"):
        await profiles.change("character", "ann", ProfileChange(add=(one,)), by=ANN)


async def test_only_the_owner_and_admins_change(profiles: Profiles, blobs: FsspecBlobStore) -> None:
    profile = await saved(profiles, blobs, "ann", "a")
    assert await profiles.get("character", "ann") == profile
    for verb in (
        profiles.save("character", "ann", by=BOB, description="", items=[]),
        profiles.change("character", "ann", ProfileChange(description="x"), by=BOB),
        profiles.delete("character", "ann", by=BOB),
    ):
        with pytest.raises(Forbidden) as caught:
            await verb
        assert caught.value.code == "not_owner"
    assert await profiles.get("character", "ann") == profile
    changed = await profiles.change("character", "ann", ProfileChange(description="x"), by=ROOT)
    assert (changed.description, changed.owner) == ("x", "ann")
    await profiles.delete("character", "ann", by=ROOT)


@on_both
async def test_deleting_removes_the_files_that_nobody_else_holds(
    profiles: Profiles, blobs: FsspecBlobStore
) -> None:
    own = await saved(profiles, blobs, "ann", "own", "shared")
    await saved(profiles, blobs, "eve", "shared")
    await profiles.delete("character", "ann", by=ANN)
    found = [await blobs.find(item.blob.sha256) for item in own.items]
    assert [blob is not None for blob in found] == [False, True]
    again = await saved(profiles, blobs, "ann", "new")
    assert again.id != own.id


async def test_a_file_that_is_there_twice_stays_until_both_go(
    profiles: Profiles, blobs: FsspecBlobStore
) -> None:
    profile = await saved(profiles, blobs, "ann", "x", "x", "y")
    blob: Blob = profile.items[0].blob
    await profiles.change("character", "ann", ProfileChange(remove=(0,)), by=ANN)
    assert await blobs.find(blob.sha256) == blob
    await profiles.change("character", "ann", ProfileChange(remove=(0,)), by=ANN)
    assert await blobs.find(blob.sha256) is None


async def test_a_new_audio_takes_the_place_of_the_old(
    profiles: Profiles, blobs: FsspecBlobStore
) -> None:
    items = [await item(blobs, "sound", "audio"), await item(blobs, "clip", "clip")]
    await profiles.save("voice", "v", by=ANN, description="", items=items, transcript="hi")
    change = ProfileChange(role="clip", remove=(0,), add=(await item(blobs, "louder", "audio"),))
    changed = await profiles.change("voice", "v", change, by=ANN)
    assert texts(changed) == ["louder"]
    assert changed.transcript == "hi"


@on_both
async def test_changes_at_once_are_all_kept(profiles: Profiles, blobs: FsspecBlobStore) -> None:
    await saved(profiles, blobs, "ann", "a")
    changes = [ProfileChange(add=(await item(blobs, f"n{number}"),)) for number in range(8)]
    await asyncio.gather(*(profiles.change("character", "ann", c, by=ANN) for c in changes))
    profile = await profiles.get("character", "ann")
    assert sorted(texts(profile)) == ["a", *(f"n{number}" for number in range(8))]
    assert len({item.number for item in profile.items}) == 9


@on_both
async def test_of_many_that_delete_at_once_one_gets_it(
    profiles: Profiles, blobs: FsspecBlobStore
) -> None:
    await saved(profiles, blobs, "ann", "a")
    outcomes = await asyncio.gather(
        *(profiles.delete("character", "ann", by=ANN) for _ in range(5)), return_exceptions=True
    )
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["NoneType"] + ["NotFound"] * 4
