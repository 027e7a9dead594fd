"""Web sessions and what a replica knows of credentials, by a clock that the test moves."""

import asyncio
import hashlib
import hmac
import shutil
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy.orm import Session

from serve_app.access.bootstrap import prepare_access
from serve_app.access.credential_cache import CredentialCache
from serve_app.access.sign_in import PasswordChange, SignIn
from serve_app.access.token_store import (
    NewToken,
    add_token,
    all_tokens,
    announce,
    revoke_token,
)
from serve_app.access.users import UserChange, add_user, change_user, remove_user
from serve_app.access.web_sessions import (
    LIVES_S,
    LONGEST_S,
    OpenedSession,
    close_session,
    digest_of,
    signed,
)
from serve_app.core.errors import InvalidRequest, RateLimited, Unauthenticated, Unavailable
from serve_app.database.connection import Database
from serve_app.database.schema import SettingRow, TokenRow, UserRow, WebSessionRow
from tests.unit.test_passwords import CHEAP

T = TypeVar("T")
BEGIN = 1_800_000_000.0
PASSWORD = "correct horse"
HOME = "192.0.2.1"


@dataclass
class Clock:
    """Both of a replica's clocks."""

    now: float = BEGIN

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def file(tmp_path: Path, migrated: Path) -> Path:
    return shutil.copyfile(migrated, tmp_path / "polyphony.sqlite")


@pytest.fixture
def database(file: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{file}")
    prepare_access(database, {"ADMIN_TOKEN": "sk-boss"}, passwords=CHEAP)
    hashed = CHEAP.hash_now(PASSWORD)
    for name in ("ada", "bob"):

        def work(session: Session, name: str = name) -> UserRow:
            return add_user(
                session, name, hashed, role="admin", must_change_password=False, now=BEGIN
            )

        database.write_now(work)
    yield database
    database.close()


@pytest.fixture
def credentials(database: Database, clock: Clock) -> CredentialCache:
    return CredentialCache(database, clock=clock, ticks=clock)


@pytest.fixture
def sign_in(database: Database, clock: Clock) -> SignIn:
    return SignIn(database, CHEAP, clock=clock)


async def ada(sign_in: SignIn) -> OpenedSession:
    return await sign_in.sign_in("ada", PASSWORD, address=HOME)


async def test_a_cookie_finds_its_user(credentials: CredentialCache, sign_in: SignIn) -> None:
    opened = await ada(sign_in)
    web = await credentials.session(opened.cookie)
    assert web is not None
    assert (web.username, web.role, web.must_change_password) == ("ada", "admin", False)
    assert web.expires_at == BEGIN + LIVES_S
    assert len(opened.cookie) == 64 + 1 + 64


async def test_the_database_keeps_no_cookie(
    database: Database, file: Path, sign_in: SignIn
) -> None:
    opened = await ada(sign_in)
    database.close()
    kept = b"".join(each.read_bytes() for each in file.parent.iterdir())
    session_id, _, signature = opened.cookie.partition(".")
    assert session_id.encode() not in kept
    assert signature.encode() not in kept


def tampered(cookie: str) -> Iterator[str]:
    session_id, _, signature = cookie.partition(".")
    other = hmac.new(b"guess", session_id.encode(), hashlib.sha256).hexdigest()
    flipped = "0" if session_id[0] != "0" else "1"
    yield flipped + cookie[1:]
    yield cookie[:-1] + ("0" if cookie[-1] != "0" else "1")
    yield from (session_id, f"{session_id}.", f".{signature}", f"{session_id}.{other}")
    yield from (cookie.upper(), f"{cookie}.", f"{cookie}0", "", ".", "ü.ü", "\udcff.\udcff")
    yield f"{session_id}.{'é' * 64}"


async def test_a_tampered_cookie_is_none(credentials: CredentialCache, sign_in: SignIn) -> None:
    opened = await ada(sign_in)
    for cookie in tampered(opened.cookie):
        assert await credentials.session(cookie) is None, cookie
    assert await credentials.session(opened.cookie) is not None


async def test_a_cookie_of_another_server_is_none(credentials: CredentialCache) -> None:
    secret = b"another server's secret"
    cookie = signed("a" * 64, secret)
    assert digest_of(cookie, secret) is not None
    assert await credentials.session(cookie) is None


async def test_an_unused_session_ends_after_two_hours(
    credentials: CredentialCache, sign_in: SignIn, clock: Clock
) -> None:
    opened = await ada(sign_in)
    clock.now += LIVES_S - 1
    assert await credentials.session(opened.cookie) is not None
    await credentials.finish()
    clock.now += LIVES_S
    assert await credentials.session(opened.cookie) is None


async def test_a_used_session_lives_on_but_never_longer_than_its_cookie(
    credentials: CredentialCache, sign_in: SignIn, clock: Clock
) -> None:
    opened = await ada(sign_in)
    while clock.now + LIVES_S / 2 < BEGIN + LONGEST_S:
        clock.now += LIVES_S / 2
        assert await credentials.session(opened.cookie) is not None
        await credentials.finish()
    clock.now = BEGIN + LONGEST_S
    assert await credentials.session(opened.cookie) is None


async def test_a_session_is_extended_once_a_minute(
    database: Database, credentials: CredentialCache, sign_in: SignIn, clock: Clock
) -> None:
    opened = await ada(sign_in)

    async def used_at(after: float) -> float:
        clock.now = BEGIN + after
        assert await credentials.session(opened.cookie) is not None
        await credentials.finish()
        row = await database.read(lambda s: s.get(WebSessionRow, opened.session.digest))
        assert row is not None
        return row.seen_at - BEGIN

    assert [await used_at(after) for after in (10, 59, 60, 100, 121)] == [0, 0, 60, 60, 121]


async def test_a_session_that_another_replica_extended_is_not_ended(
    database: Database, credentials: CredentialCache, sign_in: SignIn, clock: Clock
) -> None:
    other = CredentialCache(database, clock=clock, ticks=clock)
    opened = await ada(sign_in)
    assert await credentials.session(opened.cookie) is not None
    clock.now += LIVES_S - 10
    assert await other.session(opened.cookie) is not None
    await other.finish()
    clock.now += 20
    assert await credentials.session(opened.cookie) is not None


class Interrupted(Database):
    """Does something else once, after the next read."""

    meanwhile: Callable[[], Awaitable[object]] | None = None

    async def read(self, work: Callable[[Session], T]) -> T:
        found = await super().read(work)
        if self.meanwhile is not None:
            first, self.meanwhile = self.meanwhile, None
            await first()
        return found


async def test_a_session_is_found_though_a_look_ends_while_it_is_read(
    file: Path, sign_in: SignIn, clock: Clock
) -> None:
    opened = await ada(sign_in)
    database = Interrupted(f"sqlite:///{file}")
    credentials = CredentialCache(database, clock=clock, ticks=clock)
    clock.now += 61
    await credentials.refresh()
    database.meanwhile = credentials.refresh
    assert await credentials.session(opened.cookie) is not None
    await credentials.finish()
    database.close()


Ending = Callable[[Database, OpenedSession], Awaitable[object]]


async def sign_out(database: Database, opened: OpenedSession) -> None:
    await database.write(lambda session: close_session(session, opened.session.digest))


async def remove(database: Database, opened: OpenedSession) -> None:
    await database.write(lambda session: remove_user(session, opened.session.user_id))


async def demote(database: Database, opened: OpenedSession) -> None:
    change = UserChange(role="user")
    user_id = opened.session.user_id
    await database.write(lambda session: change_user(session, user_id, change, now=BEGIN))


@pytest.mark.parametrize("end", [sign_out, remove, demote])
async def test_an_ended_session_is_unknown_elsewhere_within_five_seconds(
    database: Database, credentials: CredentialCache, sign_in: SignIn, clock: Clock, end: Ending
) -> None:
    opened = await ada(sign_in)
    assert await credentials.session(opened.cookie) is not None
    await end(database, opened)
    clock.now += 4.9
    assert await credentials.session(opened.cookie) is None


async def test_a_new_password_ends_the_other_sessions(
    credentials: CredentialCache, sign_in: SignIn
) -> None:
    first, second = await ada(sign_in), await ada(sign_in)
    web = await credentials.session(first.cookie)
    assert web is not None
    await sign_in.change_password(web, PasswordChange(PASSWORD, "a new password"))
    await credentials.refresh()
    assert await credentials.session(first.cookie) is not None
    assert await credentials.session(second.cookie) is None
    with pytest.raises(Unauthenticated):
        await ada(sign_in)


@pytest.mark.parametrize(
    ("change", "param"),
    [
        (PasswordChange("wrong horse", "a new password"), "old_password"),
        (PasswordChange("", "a new password"), "old_password"),
        (PasswordChange(PASSWORD, "short"), "new_password"),
    ],
)
async def test_a_password_is_not_changed_without_the_old_one(
    sign_in: SignIn, change: PasswordChange, param: str
) -> None:
    opened = await ada(sign_in)
    with pytest.raises(InvalidRequest) as caught:
        await sign_in.change_password(opened.session, change)
    assert caught.value.param == param
    await ada(sign_in)


async def test_unknown_users_and_wrong_passwords_are_told_the_same(sign_in: SignIn) -> None:
    messages = set()
    for name, password in (("ada", "wrong"), ("eve", PASSWORD), ("' OR 1=1 --", "x"), ("\0", "")):
        with pytest.raises(Unauthenticated) as caught:
            await sign_in.sign_in(name, password, address=f"{HOME}-{name}")
        messages.add(caught.value.message)
    assert len(messages) == 1


async def fail(sign_in: SignIn, name: str, address: str) -> None:
    with pytest.raises(Unauthenticated):
        await sign_in.sign_in(name, "wrong", address=address)


async def test_five_failures_of_a_name_close_it_for_a_quarter_of_an_hour(
    sign_in: SignIn, clock: Clock
) -> None:
    for i in range(5):
        await fail(sign_in, "ada", f"192.0.2.{i}")
        clock.now += 60
    with pytest.raises(RateLimited) as caught:
        await ada(sign_in)
    assert caught.value.retry_after_s == 600
    assert (await sign_in.sign_in("bob", PASSWORD, address=HOME)).session.username == "bob"
    clock.now += 600
    await ada(sign_in)


async def test_five_failures_of_an_address_close_it(sign_in: SignIn) -> None:
    for name in ("one", "two", "three", "four", "x" * 10_000):
        await fail(sign_in, name, HOME)
    with pytest.raises(RateLimited):
        await ada(sign_in)
    await sign_in.sign_in("ada", PASSWORD, address="192.0.2.2")


async def test_a_success_forgets_the_failures_of_the_name(sign_in: SignIn) -> None:
    for address in ("192.0.2.7", "192.0.2.8"):
        for _ in range(4):
            await fail(sign_in, "ada", address)
        await ada(sign_in)


async def test_many_attempts_at_once_are_no_way_round(sign_in: SignIn) -> None:
    tries = (sign_in.sign_in("ada", "wrong", address=f"192.0.2.{i}") for i in range(12))
    results = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(result, Unauthenticated) for result in results) == 5
    assert sum(isinstance(result, RateLimited) for result in results) == 7


async def test_tokens_are_looked_up_without_the_database(
    database: Database, credentials: CredentialCache, clock: Clock
) -> None:
    assert await credentials.token("sk-boss") is not None
    await credentials.finish()
    database.close()
    clock.now += 1
    for _ in range(100):
        assert await credentials.token("sk-boss") is not None


async def test_what_is_known_stays_in_force_while_the_database_is_down(
    database: Database, credentials: CredentialCache, clock: Clock
) -> None:
    async def down(work: Callable[[Session], object]) -> object:
        raise Unavailable("the database does not answer")

    assert await credentials.token("sk-boss") is not None
    read, database.read = database.read, down  # type: ignore[method-assign, assignment]
    for _ in range(5):
        clock.now += 30
        assert await credentials.token("sk-boss") is not None
        with pytest.raises(Unavailable):
            await credentials.token("sk-unknown")
    database.read = read  # type: ignore[method-assign]
    await database.write(lambda session: session.delete(session.get(TokenRow, 1)))
    await database.write(announce)
    clock.now += 5
    assert await credentials.token("sk-boss") is None


async def test_a_replica_that_knows_nothing_yet_says_so(
    database: Database, credentials: CredentialCache
) -> None:
    async def down(work: Callable[[Session], object]) -> object:
        raise Unavailable("the database does not answer")

    database.read = down  # type: ignore[method-assign, assignment]
    with pytest.raises(Unavailable):
        await credentials.token("sk-boss")


async def test_a_token_made_elsewhere_works_at_once_and_a_revoked_one_ends_within_five_seconds(
    database: Database, credentials: CredentialCache, clock: Clock
) -> None:
    assert await credentials.token("sk-new") is None
    new = NewToken("sk-new", "new", ("inference",), "ada")
    row = await database.write(lambda session: add_token(session, new, now=BEGIN))
    clock.now += 0.5
    principal = await credentials.token("sk-new")
    assert principal is not None
    assert (principal.owner, principal.scopes) == ("ada", {"inference"})
    await database.write(lambda session: revoke_token(session, row.id))
    clock.now += 4.9
    assert await credentials.token("sk-new") is None


async def test_unknown_tokens_make_the_replica_look_twice_a_second_at_most(
    database: Database, credentials: CredentialCache, clock: Clock
) -> None:
    looked: list[float] = []
    read = database.read

    async def watched(work: Callable[[Session], object]) -> object:
        looked.append(clock.now)
        return await read(work)

    database.read = watched  # type: ignore[method-assign, assignment]
    for i in range(300):
        clock.now = BEGIN + i / 100
        assert await credentials.token(f"sk-guess-{i}") is None
    assert len(looked) <= 7


async def test_an_expired_token_is_unknown(
    database: Database, credentials: CredentialCache, clock: Clock
) -> None:
    new = NewToken("sk-brief", "brief", ("inference",), "ada", expires_at=BEGIN + 10)
    await database.write(lambda session: add_token(session, new, now=BEGIN))
    assert await credentials.token("sk-brief") is not None
    clock.now += 10
    assert await credentials.token("sk-brief") is None


async def test_removing_a_user_revokes_their_tokens_only(
    database: Database, credentials: CredentialCache, sign_in: SignIn
) -> None:
    opened = await ada(sign_in)
    for owner in ("ada", "bob"):
        new = NewToken(f"sk-{owner}", owner, ("inference",), owner)
        await database.write(lambda session, new=new: add_token(session, new, now=BEGIN))
    await database.write(lambda session: remove_user(session, opened.session.user_id))
    await credentials.refresh()
    assert await credentials.token("sk-ada") is None
    assert await credentials.token("sk-bob") is not None
    assert await credentials.token("sk-boss") is not None


async def test_the_last_use_is_noted_once_a_minute(
    database: Database, credentials: CredentialCache, clock: Clock
) -> None:
    async def used_at(after: float) -> float:
        clock.now = BEGIN + after
        assert await credentials.token("sk-boss") is not None
        await credentials.finish()
        (row,) = await database.read(all_tokens)
        assert row.last_used is not None
        return row.last_used - BEGIN

    assert [await used_at(after) for after in (0, 30, 60, 61)] == [0, 0, 60, 60]


async def test_the_cookies_survive_a_restart(database: Database, sign_in: SignIn) -> None:
    opened = await ada(sign_in)
    prepare_access(database, {"ADMIN_TOKEN": "sk-boss"}, passwords=CHEAP)
    clock = Clock()
    assert await CredentialCache(database, clock=clock, ticks=clock).session(opened.cookie)
    row = await database.read(lambda session: session.get(SettingRow, "session_secret"))
    assert row is not None
    assert len(bytes.fromhex(row.value)) == 32
