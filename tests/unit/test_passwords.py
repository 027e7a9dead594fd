"""Passwords at rest and the rules for new ones."""

import pytest
from argon2 import PasswordHasher, Type, extract_parameters

from serve_app.access.passwords import LONGEST, Passwords, check_password
from serve_app.core.errors import InvalidRequest

CHEAP = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


async def test_a_password_is_kept_as_argon2id_with_a_salt() -> None:
    first, second = await CHEAP.hash("correct horse"), await CHEAP.hash("correct horse")
    assert first != second
    assert "correct horse" not in first
    assert extract_parameters(first).type is Type.ID


def test_the_shipped_parameters_are_not_the_cheap_ones() -> None:
    parameters = extract_parameters(Passwords().hash_now("correct horse"))
    assert parameters.memory_cost >= 19 * 1024
    assert parameters.time_cost >= 2


@pytest.mark.parametrize(
    "password",
    ["correct horse", "пароль-漢字", "half \ud800 surrogate", "zero\0byte", "x" * LONGEST],
)
async def test_only_the_same_password_is_equal(password: str) -> None:
    stored = await CHEAP.hash(password)
    assert await CHEAP.are_equal(stored, password)
    assert not await CHEAP.are_equal(stored, password[:-1])
    assert not await CHEAP.are_equal(stored, password.swapcase() + "!")
    assert not await CHEAP.are_equal(stored, "")


@pytest.mark.parametrize("stored", [None, "", "not a hash", "$argon2id$v=19$broken"])
async def test_without_a_usable_hash_no_password_is_right(stored: str | None) -> None:
    assert not await CHEAP.are_equal(stored, "nobody's")


async def test_without_a_hash_the_same_work_is_done() -> None:
    """An unknown user costs one verification, as a known one does."""
    counted = CountingHasher(time_cost=1, memory_cost=8, parallelism=1)
    passwords = Passwords(counted)
    stored = await passwords.hash("correct horse")
    await passwords.are_equal(stored, "wrong")
    await passwords.are_equal(None, "wrong")
    assert [hashed == stored for hashed in counted.verified] == [True, False]
    assert extract_parameters(counted.verified[1]) == extract_parameters(stored)


@pytest.mark.parametrize("password", ["", "seven77", "x" * (LONGEST + 1)])
def test_passwords_that_may_not_be_chosen(password: str) -> None:
    with pytest.raises(InvalidRequest, match="characters") as caught:
        check_password(password, param="new_password")
    assert caught.value.param == "new_password"


def test_eight_characters_are_enough() -> None:
    check_password("eight888", param="password")


class CountingHasher(PasswordHasher):
    """Remembers what was verified."""

    def __init__(self, **parameters: int) -> None:
        super().__init__(**parameters)
        self.verified: list[str] = []

    def verify(self, hash: str | bytes, password: str | bytes) -> bool:
        self.verified.append(str(hash))
        return super().verify(hash, password)
