"""The conversions that weights can go through once, when they are fetched."""

from typing import Literal

ConversionName = Literal["safetensors"]
