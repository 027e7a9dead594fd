"""Ids are never given twice, by several threads or in a forked process."""

import os
from concurrent.futures import ThreadPoolExecutor

from serve_app.runtime.random_ids import AT_ONCE, RandomBytes, random_hex


def test_ids_have_their_length_and_differ() -> None:
    made = {random_hex(12) for _ in range(2 * AT_ONCE)}
    assert len(made) == 2 * AT_ONCE
    assert {len(each) for each in made} == {24}
    assert len(random_hex(AT_ONCE + 1)) == 2 * (AT_ONCE + 1)


def test_threads_share_the_bytes() -> None:
    source = RandomBytes()
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda _: source.take(8), range(20_000)))
    assert len(set(taken)) == 20_000


def test_a_forked_process_has_bytes_of_its_own() -> None:
    random_hex(1)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, random_hex(16).encode())
        os._exit(0)
    os.waitpid(child, 0)
    with os.fdopen(reading) as told:
        assert random_hex(16) != told.read(32)
    os.close(writing)
