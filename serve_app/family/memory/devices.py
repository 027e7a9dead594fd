"""How much memory a device has, and what a model's files will take of it. All in MiB."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from serve_app.family.gpus import nvidia_gpus

MIB = 1024**2
CPU = "cpu"
WEIGHT_SUFFIXES = (
    *(".safetensors", ".bin", ".pt", ".pth", ".pkl"),
    *(".ckpt", ".th", ".onnx", ".gguf"),
)
CGROUP = Path("/sys/fs/cgroup")


def placed_on(gpus: float, environment: Mapping[str, str]) -> str:
    """`cpu`, or `cuda:<index>` of the first GPU that the process may see."""
    if not gpus:
        return CPU
    visible = environment.get("CUDA_VISIBLE_DEVICES", "0").split(",")
    return f"cuda:{visible[0].strip() or 0}"


def free_mb(device: str) -> float | None:
    """What is free now; None where the system does not say."""
    if device == CPU:
        return _available_mb()
    gpu = _gpu(device)
    return None if gpu is None else float(gpu["free_vram_mb"])


def total_mb(device: str) -> float | None:
    """What a GPU has; None for the CPU, whose memory is not shared by fractions."""
    gpu = None if device == CPU else _gpu(device)
    return None if gpu is None else float(gpu["total_vram_mb"])


def used_mb(device: str) -> float | None:
    """What this process holds of it."""
    if device == CPU:
        return resident_mb()
    torch = sys.modules.get("torch")
    return None if torch is None else torch.cuda.memory_allocated() / MIB


def weights_mb(path: Path | None) -> float:
    """The size of a model's weights on disk; where a directory has them twice, in two formats,
    those of the format that loaders prefer.
    """
    if path is None:
        return 0.0
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    by_suffix = {
        suffix: sum(file.stat().st_size for file in files if file.suffix == suffix)
        for suffix in WEIGHT_SUFFIXES
    }
    return next((size for size in by_suffix.values() if size), 0) / MIB


def resident_mb() -> float | None:
    """Memory of this process, where the system tells it as Linux does."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return None
    return round(pages * os.sysconf("SC_PAGE_SIZE") / MIB, 1)


def _available_mb() -> float | None:
    """The machine's, or the container's where that is less."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    machine = next(int(line.split()[1]) / 1024 for line in lines if line.startswith("MemAvail"))
    try:
        limit = int((CGROUP / "memory.max").read_text())
        used = int((CGROUP / "memory.current").read_text()) - _reclaimable()
    except (OSError, ValueError):
        return machine
    return min(machine, (limit - used) / MIB)


def _reclaimable() -> int:
    """Bytes of cached files, which the kernel gives back before it runs short."""
    lines = (CGROUP / "memory.stat").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("inactive_file "))


def _gpu(device: str) -> dict[str, float] | None:
    index = device.removeprefix("cuda:")
    return next((gpu for gpu in nvidia_gpus() if str(gpu["index"]) == index), None)
