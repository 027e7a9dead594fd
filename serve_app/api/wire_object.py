"""`WireObject`: a pydantic model of what clients send, in which null means absent."""

from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator


class WireObject(BaseModel):
    """The root of bodies and of the objects inside them. A key whose value is null was not sent:
    it has its default, and where it is required it is missing. Values that are handed on as they
    are, such as JSON schemas, keep their nulls.
    """

    model_config = ConfigDict(extra="ignore", populate_by_name=True, protected_namespaces=())

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, values: Any) -> Any:
        if not isinstance(values, dict) or None not in values.values():
            return values
        return {name: value for name, value in values.items() if value is not None}
