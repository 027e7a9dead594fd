"""How long a provider may take."""

from typing import Annotated

from pydantic import Field

from serve_app.core.message import Message

Seconds = Annotated[float, Field(gt=0, le=86_400)]


class UpstreamTimeouts(Message):
    """In seconds: to connect, between two pieces of a response, and for all of a request."""

    connect_s: Seconds = 10
    read_s: Seconds = 300
    total_s: Seconds = 600
