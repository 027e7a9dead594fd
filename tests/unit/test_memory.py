"""The machine's ledger of loaded models, and loading by it."""

import ctypes
import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from PIL import Image

from serve_app.core.config import Family, Model
from serve_app.core.errors import BackendUnavailable
from serve_app.core.settings import Storage
from serve_app.core.status import ModelStatus
from serve_app.family.memory.devices import placed_on, weights_mb
from serve_app.family.memory.ledger import Holding, MemoryLedger, MemoryShortage
from serve_app.family.memory.loader import FamilyLoader
from serve_app.runtime.memory import is_device_lost, is_out_of_memory

GREEDY = """
import asyncio, sys
from serve_app.core.config import Family
from serve_app.family.replica import Replica

def resident_mb():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 1e6

class Engine:
    last, context_length = None, None
    async def start(self): ...
    async def close(self): ...
    async def eat(self):
        blocks = [b"x" * (100_000 + number) for number in range(2000)]
        # What is freed below the last block is kept by the C library.
        self.last = blocks[-1]
        return resident_mb()

class Loader:
    def load(self, model, report): return Engine()
    def unloaded(self, model): ...
    def is_wanted(self): return False

async def main():
    options = {"engine": "fake", "task": "media"}
    family = Family.model_validate({"name": "f", "options": options})
    replica = Replica(family, lambda _: Loader(), load_wait_s=10)
    full = await replica.call("eat", "f")
    assert resident_mb() > full - 50, "nothing is kept: the test proves nothing"
    while resident_mb() > full - 150:
        await asyncio.sleep(0.1)

asyncio.run(main())
"""
LOOK = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import PIL.Image
from serve_app.archive.previews import media_preview

def resident_mb():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 1e6

before = resident_mb()
with ThreadPoolExecutor(1) as thread:
    for _ in range(3):
        assert thread.submit(media_preview, Path(sys.argv[1]), "image").result().preview
assert resident_mb() < before + 60, (before, resident_mb())
decoded_mb = 4 * 6000 * 6000 / 1e6
status = Path("/proc/self/status").read_text()
peak_mb = int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6
assert peak_mb < before + 1.6 * decoded_mb, (before, peak_mb)
"""
HOLD = """
import sys
from pathlib import Path
from serve_app.family.memory.ledger import MemoryLedger
ledger = MemoryLedger(Path(sys.argv[1]))
assert ledger.reserve("other", "cuda:0", mb=600, free_mb=lambda: 1000.0) is None
print("held", flush=True)
if sys.stdin.readline().strip() == "settle":
    ledger.settle("other", mb=550)
    print("settled", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "ledger" / "memory.sqlite"


@pytest.fixture
def ledger(file: Path) -> MemoryLedger:
    return MemoryLedger(file)


def loader_of(ledger: MemoryLedger, tmp_path: Path, *, free_mb: float) -> FamilyLoader:
    family = Family.model_validate(
        {
            "name": "chat",
            "options": {"engine": "fake", "task": "chat"},
            "models": [{"id": "large", "memory_mb": 800}, {"id": "small", "memory_mb": 10}],
        }
    )
    return FamilyLoader(
        family, Storage(data_dir=tmp_path), ledger, {}, free=lambda _: free_mb, wait_s=0.0
    )


def test_a_process_books_tells_and_dies(ledger: MemoryLedger, file: Path) -> None:
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdin is not None
    assert other.stdout is not None
    try:
        assert other.stdout.readline() == "held\n"
        # What the other one has booked is not taken from the device yet.
        shortage = ledger.reserve("mine", "cuda:0", mb=500, free_mb=lambda: 1000.0)
        assert shortage == MemoryShortage(
            needed_mb=500,
            free_mb=400,
            holdings=(Holding(model="other", device="cuda:0", mb=600),),
        )
        assert ledger.is_wanted("cuda:0")
        assert not ledger.is_wanted("cuda:1")
        assert ledger.reserve("mine", "cuda:1", mb=500, free_mb=lambda: 1000.0) is None
        other.stdin.write("settle\n")
        other.stdin.flush()
        assert other.stdout.readline() == "settled\n"
        # Now it is: the device itself has less free.
        assert ledger.reserve("mine", "cuda:0", mb=440, free_mb=lambda: 450.0) is None
        assert not ledger.is_wanted("cuda:0")
    finally:
        other.kill()
        other.communicate()
    assert [holding.model for holding in ledger.holdings()] == ["mine"]
    ledger.release("mine")
    assert ledger.holdings() == ()


def test_everything_fits_where_nobody_can_tell(ledger: MemoryLedger) -> None:
    assert ledger.reserve("mine", "cuda:0", mb=1e9, free_mb=lambda: None) is None


def test_two_at_once_cannot_book_the_same_memory(file: Path) -> None:
    booked = []

    def book(name: str) -> None:
        if MemoryLedger(file).reserve(name, "cpu", mb=300, free_mb=lambda: 1000.0) is None:
            booked.append(name)

    threads = [threading.Thread(target=book, args=(f"m{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(booked) == 3


def test_what_a_model_takes_is_measured_and_told(ledger: MemoryLedger, tmp_path: Path) -> None:
    loader = loader_of(ledger, tmp_path, free_mb=1000)
    told: list[ModelStatus] = []
    small = Model(id="small", memory_mb=10)
    loader.load(small, told.append)
    (holding,) = ledger.holdings()
    assert (holding.model, holding.device) == ("small", "cpu")
    assert told[-1].memory_mb == holding.mb > 0
    loader.unloaded(small)
    assert ledger.holdings() == ()


def test_a_model_that_finds_no_room_says_who_has_it(ledger: MemoryLedger, tmp_path: Path) -> None:
    ledger.reserve("resident", "cpu", mb=2048, free_mb=lambda: None)
    ledger.settle("resident", mb=2048)
    loader = loader_of(ledger, tmp_path, free_mb=512)
    with pytest.raises(BackendUnavailable) as caught:
        loader.load(Model(id="large", memory_mb=800), lambda _: None)
    assert caught.value.code == "out_of_memory"
    assert "'large' needs about 0.8 GiB on cpu, where 0.5 GiB are free" in caught.value.message
    assert "'resident' 2.0 GiB" in caught.value.message
    assert not loader.is_wanted()
    assert [holding.model for holding in ledger.holdings()] == ["resident"]


def test_a_failed_load_holds_nothing(ledger: MemoryLedger, tmp_path: Path) -> None:
    family = Family.model_validate(
        {
            "name": "chat",
            "options": {"engine": "fake", "task": "chat", "fails_with": "no such weights"},
            "models": [{"id": "broken"}],
        }
    )
    loader = FamilyLoader(family, Storage(data_dir=tmp_path), ledger, {}, free=lambda _: 1e6)
    with pytest.raises(BackendUnavailable, match="no such weights"):
        loader.load(family.models[0], lambda _: None)
    assert ledger.holdings() == ()


def test_weights_are_counted_once(tmp_path: Path) -> None:
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "model.safetensors").write_bytes(bytes(2 * 1024**2))
    (tmp_path / "unet" / "model.bin").write_bytes(bytes(2 * 1024**2))
    (tmp_path / "config.json").write_text(json.dumps({}))
    assert weights_mb(tmp_path) == 2
    assert weights_mb(tmp_path / "unet" / "model.bin") == 2
    assert weights_mb(None) == 0


@pytest.mark.parametrize(
    ("gpus", "visible", "device"),
    [(0, None, "cpu"), (0.5, None, "cuda:0"), (1, "3", "cuda:3"), (2, "1,2", "cuda:1")],
)
def test_a_replica_knows_its_device(gpus: float, visible: str | None, device: str) -> None:
    environment = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    assert placed_on(gpus, environment) == device


@pytest.mark.parametrize(
    ("error", "is_short", "is_lost"),
    [
        (MemoryError(), True, False),
        (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"), True, False),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), True, False),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), False, True),
        (RuntimeError("shapes cannot be multiplied"), False, False),
        (ValueError("out of memory"), False, False),
    ],
)
def test_errors_of_memory_are_told_from_others(
    error: Exception, is_short: bool, is_lost: bool
) -> None:
    assert is_out_of_memory(error) == is_short
    assert is_device_lost(error) == is_lost


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="glibc only")
def test_an_idle_replica_gives_back_what_its_work_took() -> None:
    subprocess.run([sys.executable, "-c", GREEDY], check=True, timeout=60)


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="glibc only")
def test_a_look_at_a_large_image_leaves_no_memory_behind(tmp_path: Path) -> None:
    Image.new("RGB", (6000, 6000), "red").save(tmp_path / "large.png")
    path = str(tmp_path / "large.png")
    subprocess.run([sys.executable, "-c", LOOK, path], check=True, timeout=60)
