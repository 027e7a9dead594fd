"""What all tables have in common."""

from typing import Any, ClassVar

from sqlalchemy import JSON, BigInteger, Float, Integer, Text
from sqlalchemy.orm import DeclarativeBase

Number = BigInteger().with_variant(Integer, "sqlite")
"""SQLite numbers rows by itself only for columns declared INTEGER."""


class Table(DeclarativeBase):
    """The root of all tables."""

    type_annotation_map: ClassVar = {
        dict[str, Any]: JSON,
        list[Any]: JSON,
        str: Text,
        float: Float,
    }
