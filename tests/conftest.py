"""Marks every test by the folder it lies in, tells Ray what it must know before a test imports it,
and says how many tests run beside each other.
"""

import gc
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from serve_app.launch.environment import load_environment
from serve_app.runtime.garbage import collect_garbage_rarely
from tests.grouping import WITH_SERVER, group, places

if TYPE_CHECKING:
    from tests.scheduling import ByServer

# What is imported stays: looking through it again and again takes a third of the time.
gc.disable()
load_environment(Path(__file__).parents[1] / "serve.env", os.environ)
pytest_plugins = (
    "tests.databases",
    "tests.disks",
    "tests.hubs",
    "tests.packages",
    "tests.servers",
    "tests.upstreams.stub_server",
)
FOLDERS = {"unit", "api", "serve", "engine", "clients"}
WORKER_BYTES = 4 * 1024**3
NICENESS = 5
"""Of workers whose tests need no server. With servers, the processor is asked for in bursts, and
waited for with limits.
"""

if "PYTEST_XDIST_WORKER" in os.environ:
    # Workers share the cores; with more threads than cores, small tensors are slow.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for part in Path(item.path).relative_to(Path(__file__).parent).parts:
            if part in FOLDERS:
                item.add_marker(getattr(pytest.mark, part))
    place = places(item.nodeid for item in items)
    items.sort(key=lambda item: place[group(item.nodeid)])


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """What the libraries have made stays: an engine that closes need not look through it, and what
    of it is garbage is too little to look for.
    """
    gc.freeze()
    gc.enable()
    # As the server does: a tenth of the time goes to looking for cycles otherwise.
    collect_garbage_rarely()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """As many as there are cores, and one more, because those with the servers wait for them half
    of their time; fewer where memory is short.
    """
    chosen = os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS")
    most = psutil.virtual_memory().available // WORKER_BYTES
    return int(chosen) if chosen else max(1, min(len(os.sched_getaffinity(0)) + 1, most))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> None:
    """A worker without a server makes way for those with one."""
    if "PYTEST_XDIST_WORKER" in os.environ and not item.nodeid.startswith(WITH_SERVER):
        os.setpriority(os.PRIO_PROCESS, 0, NICENESS)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> "ByServer":
    from tests.scheduling import ByServer

    config.option.loadscopereorder = False
    return ByServer(config, log)
