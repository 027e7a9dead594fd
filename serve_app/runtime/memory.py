"""Running out of memory, as the libraries of engines tell it, without importing them; and giving
back what was freed.
"""

import ctypes
import gc
import sys

SHORT = ("out of memory", "not enough memory", "can't allocate memory", "failed to allocate")
LOST = ("CUDA error", "cuBLAS error", "cuDNN error", "unspecified launch failure")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a computation failed for want of memory; the process is fine otherwise."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    # torch's CPU allocator, CTranslate2 and ONNX Runtime raise plain errors.
    return isinstance(error, RuntimeError) and any(text in str(error).lower() for text in SHORT)


def is_device_lost(error: BaseException) -> bool:
    """Whether the GPU serves this process no more: after these, CUDA fails whatever it is asked."""
    if is_out_of_memory(error) or not isinstance(error, RuntimeError):
        return False
    return any(text.lower() in str(error).lower() for text in LOST)


def free_memory() -> None:
    """Free unreferenced memory; call it where the error and its frames are gone."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


def return_freed_memory() -> None:
    """Let the C library give back to the system what has been freed. Blocks for some milliseconds.

    Pillow's images lie in blocks that glibc keeps once they are freed: a replica that took one
    image of 60 megapixels held 600 MB from then on, and 50 MB after this.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
