"""Iterators that work in a thread of their own, a little ahead of who takes their items."""

import queue
import threading
from collections.abc import Generator
from typing import TypeVar, cast

T = TypeVar("T")
_END = object()


def ahead(items: Generator[T], *, depth: int = 2) -> Generator[T]:
    """The items, made at most `depth` ahead. Closing it, or its end, closes `items` in their own
    thread and waits for that; what they raise is raised here, after the items before it.
    """
    made: queue.Queue[object] = queue.Queue(maxsize=depth)
    is_left = threading.Event()
    errors: list[BaseException] = []

    def pass_on(item: object) -> None:
        while not is_left.is_set():
            try:
                made.put(item, timeout=0.1)
            except queue.Full:
                continue
            return

    def run() -> None:
        try:
            for item in items:
                pass_on(item)
                if is_left.is_set():
                    break
        except BaseException as error:  # raised again in the other thread
            errors.append(error)
        finally:
            items.close()
            pass_on(_END)

    thread = threading.Thread(target=run, name="ahead", daemon=True)
    thread.start()
    try:
        while (item := made.get()) is not _END:
            yield cast("T", item)
        if errors:
            raise errors[0]
    finally:
        is_left.set()
        thread.join()
