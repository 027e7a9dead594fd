"""Embeddings rounded to few bits, for clients that store them so."""

from typing import Literal

Quantization = Literal["turbo", "turbo8", "turbo6", "turbo4", "turbo2"]

BITS: dict[Quantization, int] = {"turbo": 8, "turbo8": 8, "turbo6": 6, "turbo4": 4, "turbo2": 2}


def rounded(vector: tuple[float, ...], bits: int) -> tuple[float, ...]:
    """The vector with each value rounded to one of 2^bits - 1 levels, symmetric around zero and
    scaled to the vector's largest magnitude.
    """
    peak = max(map(abs, vector), default=0.0)
    if peak == 0.0:
        return vector
    step = peak / (2 ** (bits - 1) - 1)
    return tuple(round(value / step) * step for value in vector)
