"""From stored files to a stored file, in a thread: what engines of images and videos share."""

import tempfile
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TypeVar

from serve_app.core.media import Blob, BlobStore
from serve_app.core.message import Progress
from serve_app.runtime.streams import closing
from serve_app.runtime.threads import in_thread

T = TypeVar("T")
R = TypeVar("R")
Stop = Callable[[], bool]


async def file_events(
    blobs: BlobStore,
    given: Sequence[Blob],
    work: Callable[[Sequence[Path], Path, Stop], Iterator[Progress | T]],
    *,
    mime: str,
    result: Callable[[Blob, T], R],
    executor: Executor | None = None,
) -> AsyncGenerator[Progress | R]:
    """The progress of `work`, last its `result`.

    `work` blocks in a thread of `executor` or of the loop's own. It takes the paths of the files
    and of the one to write, yields Progress and last what is to be said of the file. Closing the
    generator makes its `stop` true, waits for it, and leaves nothing behind.
    """
    made: list[T] = []
    with tempfile.TemporaryDirectory(prefix="making-") as folder:
        target = Path(folder) / "made"
        async with AsyncExitStack() as stack:
            paths = [await stack.enter_async_context(blobs.local_file(blob)) for blob in given]
            events = in_thread(lambda stop: work(paths, target, stop), executor)
            async with closing(events):
                async for item in events:
                    if isinstance(item, Progress):
                        yield item
                    else:
                        made.append(item)
        blob = await blobs.write_file(target, mime=mime)
    yield result(blob, made[-1])
