"""Tokens: how they look, what the database keeps, and what the environment names."""

import base64
import re
from pathlib import Path

import pytest

from serve_app.access.bootstrap import UnusableCredentials, announcement, prepare_access
from serve_app.access.passwords import Passwords
from serve_app.access.token_store import (
    NewToken,
    add_token,
    all_tokens,
    record_use,
    revoke_token,
)
from serve_app.access.tokens import generate_token, masked, presented_token, token_digest
from serve_app.access.users import all_users
from serve_app.core.errors import Conflict, NotFound
from serve_app.database.connection import Database
from serve_app.database.schema import TokenRow
from tests.unit.test_passwords import CHEAP


def prepare(database: Database, passwords: Passwords = CHEAP, **environment: str) -> str | None:
    return prepare_access(database, environment, passwords=passwords)


def tokens(database: Database) -> list[tuple[int, str, str, list[str], str]]:
    return [
        (row.id, row.name, row.masked, row.scopes, row.source)
        for row in database.read_now(all_tokens)
    ]


def test_a_token_is_256_random_bits() -> None:
    first, second = generate_token(), generate_token()
    assert first != second
    assert re.fullmatch(r"sk-[0-9a-f]{64}", first)


def test_the_masked_form_shows_the_ends_of_long_tokens_only() -> None:
    assert masked("sk-1a2b" + "0" * 56 + "9f0e") == "sk-1a2b…9f0e"
    assert masked("hunter2") == "…"


def test_the_database_keeps_no_token(database: Database, tmp_path: Path) -> None:
    token = generate_token()
    prepare(database, API_TOKENS=token, ADMIN_TOKEN="sk-boss-of-the-house")
    database.close()
    kept = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert token.encode() not in kept
    assert b"sk-boss-of-the-house" not in kept
    assert token_digest(token).hex().encode() in kept


@pytest.mark.parametrize(
    ("headers", "token"),
    [
        ({"authorization": "Bearer a", "x-api-key": "b"}, "a"),
        ({"authorization": "Bearer ", "x-api-key": "b"}, "b"),
        ({"x-api-key": "b", "coder-session-token": "c"}, "b"),
        ({"coder-session-token": "c", "authorization": "Basic eDpk"}, "c"),
        ({"authorization": "Basic " + base64.b64encode(b"x:d:e").decode()}, "d:e"),
        ({"authorization": "Basic eDo="}, None),
        ({"authorization": "Digest a"}, None),
        ({}, None),
    ],
)
def test_the_first_carrier_decides(headers: dict[str, str], token: str | None) -> None:
    assert presented_token(headers) == token


@pytest.mark.parametrize(
    ("credential", "token"), [(b"x:d", "d"), (b"d", "d"), (b"d:", None), (b"", None)]
)
def test_basic_may_be_a_token_alone(credential: bytes, token: str | None) -> None:
    headers = {"authorization": "Basic " + base64.b64encode(credential).decode()}
    assert presented_token(headers, takes_bare_basic=True) == token


def test_tokens_of_the_environment_come_and_go(database: Database) -> None:
    prepare(database, API_TOKENS="sk-the-first-of-all, sk-the-second-one ,,", ADMIN_TOKEN="sk-boss")
    assert tokens(database) == [
        (1, "API_TOKENS", "sk-the-…-all", ["inference"], "environment"),
        (2, "API_TOKENS", "sk-the-…-one", ["inference"], "environment"),
        (3, "ADMIN_TOKEN", "…", ["inference", "admin"], "environment"),
    ]
    prepare(database, API_TOKENS="sk-the-second-one", ADMIN_TOKEN="sk-boss")
    assert [row[0] for row in tokens(database)] == [2, 3]
    prepare(database, API_TOKENS="sk-the-first-of-all", ADMIN_TOKEN="sk-boss")
    assert [row[0] for row in tokens(database)] == [3, 4]


def test_a_token_named_twice_is_an_admins(database: Database) -> None:
    prepare(database, API_TOKENS="sk-same,sk-same", ADMIN_TOKEN="sk-same")
    assert [row[3] for row in tokens(database)] == [["inference", "admin"]]


def test_stored_tokens_stay_when_the_environment_changes(database: Database) -> None:
    prepare(database, API_TOKENS="sk-gone", ADMIN_TOKEN="sk-boss")
    new = NewToken("sk-kept", "kept", ("inference",), "api")
    database.write_now(lambda session: add_token(session, new, now=1.0))
    prepare(database, ADMIN_TOKEN="sk-boss")
    assert [row[1] for row in tokens(database)] == ["ADMIN_TOKEN", "kept"]


def test_ids_are_never_used_again(database: Database) -> None:
    def make(name: str) -> int:
        new = NewToken(f"sk-{name}", name, ("inference",), "api")
        return database.write_now(lambda session: add_token(session, new, now=1.0)).id

    first, last = make("first"), make("last")
    database.write_now(lambda session: revoke_token(session, last))
    database.write_now(lambda session: revoke_token(session, first))
    assert make("next") > last


def test_revoking_an_unknown_token_or_one_of_the_environment(database: Database) -> None:
    prepare(database, ADMIN_TOKEN="sk-boss")
    with pytest.raises(NotFound, match="7"):
        database.write_now(lambda session: revoke_token(session, 7))
    with pytest.raises(Conflict, match="environment"):
        database.write_now(lambda session: revoke_token(session, 1))
    assert len(tokens(database)) == 1


def test_the_last_use_is_written_once_a_minute(database: Database) -> None:
    prepare(database, ADMIN_TOKEN="sk-boss")

    def used_at(now: float) -> float | None:
        database.write_now(lambda session: record_use(session, 1, now=now))
        row = database.read_now(lambda session: session.get(TokenRow, 1))
        assert row is not None
        return row.last_used

    assert [used_at(now) for now in (1000.0, 1059.0, 1060.0, 900.0)] == [
        1000.0,
        1000.0,
        1060.0,
        1060.0,
    ]


def test_without_an_admin_one_token_is_made_and_told_once(database: Database) -> None:
    made = prepare(database, API_TOKENS="sk-one")
    assert made is not None
    assert made in announcement(made)
    assert [row[3] for row in tokens(database)] == [["inference"], ["inference", "admin"]]
    assert prepare(database, API_TOKENS="sk-one") is None
    assert len(tokens(database)) == 2


def test_an_expired_admin_token_is_no_admin(database: Database) -> None:
    new = NewToken("sk-old", "old", ("inference", "admin"), "api", expires_at=1.0)
    database.write_now(lambda session: add_token(session, new, now=0.0))
    assert prepare(database) is not None


def test_an_admin_of_the_environment_is_made_once(database: Database) -> None:
    assert prepare(database, ADMIN_PASSWORD="correct horse") is None
    (first,) = database.read_now(all_users)
    assert (first.username, first.role, first.must_change_password) == ("admin", "admin", False)
    assert prepare(database, ADMIN_PASSWORD="another horse") is None
    (second,) = database.read_now(all_users)
    assert second.password == first.password
    assert prepare(database, ADMIN_USERNAME="root", ADMIN_PASSWORD="another horse") is None
    assert [user.username for user in database.read_now(all_users)] == ["admin", "root"]


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"ADMIN_PASSWORD": "short"}, "ADMIN_PASSWORD: a password needs at least 8"),
        (
            {"ADMIN_PASSWORD": "long enough", "ADMIN_USERNAME": "a b"},
            "ADMIN_USERNAME: a user name has",
        ),
        (
            {"ADMIN_PASSWORD": "long enough", "ADMIN_USERNAME": "api"},
            "the user name 'api' is reserved",
        ),
    ],
)
def test_unusable_credentials_are_refused(
    database: Database, environment: dict[str, str], message: str
) -> None:
    with pytest.raises(UnusableCredentials, match=message):
        prepare(database, **environment)
    assert tokens(database) == []
