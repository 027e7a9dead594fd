"""The machine's GPUs, as nvidia-smi lists them."""

import shutil
import subprocess
from typing import Any

FIELDS = "--query-gpu=index,name,memory.total,memory.free,utilization.gpu"


def nvidia_gpus() -> list[dict[str, Any]]:
    """Index, name, total and free memory in MiB and utilization in percent. Blocks."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    try:
        output = subprocess.run(
            [tool, FIELDS, "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    rows = [[cell.strip() for cell in line.split(",")] for line in output.splitlines() if line]
    return [
        {
            "index": int(index),
            "name": name,
            "total_vram_mb": int(total),
            "free_vram_mb": int(free),
            "utilization": int(busy) if busy.isdigit() else None,
        }
        for index, name, total, free, busy in rows
    ]
