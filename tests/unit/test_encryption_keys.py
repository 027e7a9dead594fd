"""Secrets at rest: what seals them, where the keys come from, and how they are changed."""

import base64
from pathlib import Path
from threading import Thread

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from serve_app.access.tokens import Principal
from serve_app.core.errors import BackendUnavailable
from serve_app.core.upstreams.provider import NewProvider
from serve_app.database.connection import Database
from serve_app.database.schema import ProviderSecretRow
from serve_app.upstreams.encryption_keys import FILE, VARIABLE, UnusableKeys, key_ring
from serve_app.upstreams.live import LiveProviders
from serve_app.upstreams.providers import Providers
from serve_app.upstreams.rotation import seal_anew
from serve_app.upstreams.sealing import CannotOpen, KeyRing
from tests.databases import on_both
from tests.providers import FIRST, SECOND

OLD, NEW = bytes(32), bytes(range(32))
BY = Principal("ann", frozenset({"admin"}))


def test_what_is_sealed_is_opened_for_its_purpose_alone() -> None:
    ring = KeyRing([NEW])
    sealed = ring.seal("größe", purpose="a")
    assert ring.open(sealed, purpose="a") == "größe"
    assert "größe" not in sealed
    assert ring.seal("größe", purpose="a") != sealed
    with pytest.raises(CannotOpen):
        ring.open(sealed, purpose="b")


@pytest.mark.parametrize(
    "sealed", ["", "v1", "v1..", "v1.{id}.", "v1.{id}.AAAA", "v1.{id}.ä", "v2.{id}.x"]
)
def test_what_was_never_sealed_is_not_opened(sealed: str) -> None:
    ring = KeyRing([NEW])
    key_id = ring.seal("x", purpose="a").split(".")[1]
    with pytest.raises(CannotOpen):
        ring.open(sealed.format(id=key_id), purpose="a")


def test_every_bit_counts() -> None:
    ring = KeyRing([NEW])
    head, _, data = ring.seal("x", purpose="a").rpartition(".")
    raw = bytearray(base64.urlsafe_b64decode(data))
    for position in range(len(raw)):
        raw[position] ^= 1
        with pytest.raises(CannotOpen):
            ring.open(f"{head}.{base64.urlsafe_b64encode(raw).decode()}", purpose="a")
        raw[position] ^= 1


def test_former_keys_open_and_the_first_one_seals() -> None:
    sealed = KeyRing([OLD]).seal("x", purpose="a")
    both = KeyRing([NEW, OLD])
    assert both.open(sealed, purpose="a") == "x"
    assert not both.is_current(sealed)
    assert both.is_current(both.seal("x", purpose="a"))
    with pytest.raises(CannotOpen):
        KeyRing([NEW]).open(sealed, purpose="a")
    with pytest.raises(BackendUnavailable, match=VARIABLE):
        KeyRing([]).seal("x", purpose="a")


def test_a_file_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    assert len(key_ring({}, folder)) == 0
    assert not folder.exists()
    ring = key_ring({}, folder, makes_file=True)
    file = folder / FILE
    assert file.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in folder.iterdir()] == [FILE]
    sealed = ring.seal("x", purpose="a")
    file.chmod(0o644)
    assert key_ring({}, folder, makes_file=True).open(sealed, purpose="a") == "x"
    assert file.stat().st_mode & 0o777 == 0o600


def test_where_no_file_can_be_made_nothing_is_sealed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    assert len(key_ring({}, tmp_path / "file", makes_file=True)) == 0
    assert VARIABLE in caplog.text


def test_processes_that_start_at_once_have_one_key(tmp_path: Path) -> None:
    rings: list[KeyRing] = []
    threads = [
        Thread(target=lambda: rings.append(key_ring({}, tmp_path, makes_file=True)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sealed = [ring.seal("x", purpose="a") for ring in rings]
    assert all(rings[0].open(each, purpose="a") == "x" for each in sealed)


def test_keys_of_the_environment_come_first(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(f"# a key\n{OLD.hex()}\n\n")
    former = key_ring({}, tmp_path).seal("x", purpose="a")
    for spelled in (
        NEW.hex(),
        NEW.hex().upper(),
        base64.b64encode(NEW).decode(),
        base64.urlsafe_b64encode(NEW).decode(),
    ):
        ring = key_ring({VARIABLE: f" {spelled} ,"}, tmp_path, makes_file=True)
        assert len(ring) == 2
        assert ring.open(former, purpose="a") == "x"
        assert KeyRing([NEW]).open(ring.seal("x", purpose="a"), purpose="a") == "x"


def test_with_keys_in_the_environment_no_file_is_made(tmp_path: Path) -> None:
    key_ring({VARIABLE: NEW.hex()}, tmp_path, makes_file=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text", ["secret", "0" * 63, "0" * 66, "ä" * 44, base64.b64encode(bytes(31)).decode()]
)
def test_what_is_no_key_is_refused_and_not_shown(tmp_path: Path, text: str) -> None:
    with pytest.raises(UnusableKeys, match=f"{VARIABLE}: .*openssl rand") as caught:
        key_ring({VARIABLE: text}, tmp_path)
    assert text not in str(caught.value)
    (tmp_path / FILE).write_text(text)
    with pytest.raises(UnusableKeys, match=FILE) as caught:
        key_ring({}, tmp_path)
    assert text not in str(caught.value)


@on_both
async def test_keys_are_changed_without_losing_a_secret(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As the page says: the new key in front, a start, the old key away."""
    old, both = {VARIABLE: OLD.hex()}, {VARIABLE: f"{NEW.hex()},{OLD.hex()}"}
    here = Providers(database, key_ring(old, tmp_path))
    rock = {"region": "x", "access_key": FIRST}
    for sent in (
        {"name": "a", "type": "openai", "api_keys": (FIRST, SECOND)},
        {"name": "b", "type": "bedrock", "settings": rock},
    ):
        added = sent | {"base_url": "https://a.example", "enabled": True}
        await here.create(NewProvider.model_validate(added), by=BY)
    before = await here.all()
    assert seal_anew(database, key_ring(old, tmp_path)) == 0
    assert seal_anew(database, key_ring(both, tmp_path)) == 3
    assert seal_anew(database, key_ring(both, tmp_path)) == 0
    only_new = key_ring({VARIABLE: NEW.hex()}, tmp_path)
    assert await Providers(database, only_new).all() == before
    known = await LiveProviders(database, only_new).by_name()
    assert [key.get_secret_value() for _, key in known["a"].keys] == [FIRST, SECOND]
    assert known["b"].credentials["access_key"].get_secret_value() == FIRST
    assert caplog.text == ""
    # A key that is gone loses nothing for good.
    assert seal_anew(database, key_ring(old, tmp_path)) == 0
    assert "3 secrets of providers cannot be decrypted" in caplog.text
    assert await Providers(database, only_new).all() == before


async def test_secrets_cannot_be_swapped(database: Database) -> None:
    """Whoever can write to the database gets no provider to send another's key."""
    ring = KeyRing([NEW])
    here = Providers(database, ring)
    for name, key in (("a", FIRST), ("b", SECOND)):
        sent = {"name": name, "type": "openai", "base_url": "https://a.example"}
        await here.create(NewProvider.model_validate(sent | {"api_keys": (key,)}), by=BY)

    def swap(session: Session) -> None:
        one, two = session.scalars(select(ProviderSecretRow))
        one.sealed, two.sealed = two.sealed, one.sealed

    await database.write(swap)
    assert all("cannot be decrypted" in each.warnings[0] for each in await here.all())
