"""`Http2Connection`: one connection, with a stream for each request."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import cast

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    DataReceived,
    Event,
    PingAckReceived,
    RemoteSettingsChanged,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import H2Error, StreamClosedError
from h2.settings import SettingCodes, Settings
from typing_extensions import override

from serve_app.core.upstreams.timeouts import UpstreamTimeouts
from serve_app.core.upstreams.upstream_calls import Header
from serve_app.upstreams.http2.goodbyes import Goodbye, Goodbyes
from serve_app.upstreams.http2.stream import Http2Stream, NotBegun

MOST_STREAMS = 100
"""Of a connection, whatever the server allows: what is lost with it stays bounded."""
STREAM_WINDOW = 1024 * 1024
SETTINGS = {SettingCodes.INITIAL_WINDOW_SIZE: STREAM_WINDOW, SettingCodes.ENABLE_PUSH: 0}
CONNECTION_WINDOW = 1024 * 1024 * 1024
"""Never the limit, so that a stream whose reader is slow does not hold up the others."""
IDLE_S = 30.0
SILENT_S = 15.0
"""With requests open: then the server is asked whether it is there, and has as long to answer."""


class Http2Connection(asyncio.Protocol):
    """Satisfies `StreamSides`. `speaks_http2` says what the server has chosen."""

    def __init__(self) -> None:
        self._h2 = H2Connection(H2Configuration(client_side=True, header_encoding=None))
        self._h2.local_settings = Settings(client=True, initial_values=SETTINGS)
        self._goodbyes = Goodbyes()
        self._streams: dict[int, Http2Stream] = {}
        self._transport: asyncio.Transport | None = None
        self._is_leaving = False
        self._timer: asyncio.TimerHandle | None = None
        self._is_quiet = self._is_asked = False
        self.speaks_http2 = False

    @property
    def is_open(self) -> bool:
        """Whether it takes requests at all."""
        return self._is_up and not self._is_leaving

    @property
    def has_room(self) -> bool:
        """Whether it takes another request now."""
        allowed = min(MOST_STREAMS, self._h2.remote_settings.max_concurrent_streams)
        return self.is_open and len(self._streams) < allowed

    def request(
        self, headers: Iterable[Header], timeouts: UpstreamTimeouts, *, has_body: bool
    ) -> Http2Stream:
        """Send the headers; `begin` of the stream sends the body."""
        number = self._h2.get_next_available_stream_id()
        self._h2.send_headers(number, list(headers), end_stream=not has_body)
        stream = self._streams[number] = Http2Stream(self, number, timeouts)
        self._flush()
        if len(self._streams) == 1:
            self._watch(SILENT_S)
        return stream

    def close(self) -> None:
        """Now, whatever is open."""
        if self._transport is not None:
            self._transport.close()

    def room(self, number: int) -> int:
        """How many bytes of a body may be sent now."""
        if not self._is_up:
            return 0
        return min(self._h2.local_flow_control_window(number), self._h2.max_outbound_frame_size)

    def send(self, number: int, piece: memoryview, *, is_last: bool) -> None:
        """Send that part of a body."""
        self._h2.send_data(number, bytes(piece), end_stream=is_last)
        self._flush()

    def taken(self, number: int, size: int) -> None:
        """So many bytes of a response were read."""
        self._h2.acknowledge_received_data(size, number)
        self._flush()

    def leave(self, number: int) -> None:
        """Forget a stream; one that has not ended is reset."""
        stream = self._streams.pop(number, None)
        if stream is None:
            return
        self._h2.acknowledge_received_data(stream.unread, number)
        if self._is_up and not (stream.is_at_end and stream.is_sent):
            with suppress(StreamClosedError):
                self._h2.reset_stream(number, ErrorCodes.CANCEL)
            self._flush()
        if not self._streams:
            self._watch(0.0 if self._is_leaving else IDLE_S)

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        chosen = transport.get_extra_info("ssl_object").selected_alpn_protocol()
        self.speaks_http2 = chosen == "h2"
        if not self.speaks_http2:
            self.close()
            return
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(CONNECTION_WINDOW)
        self._flush()
        self._watch(IDLE_S)

    @override
    def data_received(self, data: bytes) -> None:
        self._is_quiet = False
        data, goodbyes = self._goodbyes.taken_out(data)
        try:
            for event in self._h2.receive_data(data) if data else ():
                self._happened(event)
        except H2Error as error:
            self._flush()
            self._lose(f"what came is no HTTP/2 ({type(error).__name__})")
            return
        for goodbye in goodbyes:
            self._leaving(goodbye)
        self._flush()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._lose("the connection was closed")
        if self._timer is not None:
            self._timer.cancel()

    def _happened(self, event: Event) -> None:
        match event:
            case DataReceived():
                if (stream := self._streams.get(event.stream_id)) is not None:
                    stream.received(event.data, event.flow_controlled_length)
                else:
                    size = event.flow_controlled_length
                    self._h2.acknowledge_received_data(size, event.stream_id)
            case ResponseReceived() | StreamEnded() | StreamReset():
                if (stream := self._streams.get(event.stream_id)) is not None:
                    _tell(stream, event)
            case RemoteSettingsChanged() | WindowUpdated():
                self._look_again()
            case PingAckReceived():
                self._is_asked = False

    def _look_again(self) -> None:
        for stream in self._streams.values():
            stream.changed()

    def _leaving(self, goodbye: Goodbye) -> None:
        """What has begun goes on; the rest was not looked at."""
        self._is_leaving = True
        for number, stream in self._streams.items():
            if number > goodbye.last_stream:
                stream.failed(NotBegun("the server takes no more requests on this connection"))
        if not self._streams:
            self._watch(0.0)

    def _lose(self, why: str) -> None:
        self._is_leaving = True
        for stream in self._streams.values():
            stream.failed(ConnectionError(why))
        self.close()

    @property
    def _is_up(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def _flush(self) -> None:
        data = self._h2.data_to_send()
        if data and self._transport is not None and self._is_up:
            self._transport.write(data)

    def _watch(self, after_s: float) -> None:
        """Without requests, it is closed after a while; with some, asked whether it is there."""
        if self._timer is not None:
            self._timer.cancel()
        self._is_quiet = True
        self._timer = asyncio.get_running_loop().call_later(after_s, self._checked)

    def _checked(self) -> None:
        if not self._streams:
            self.close()
            return
        if self._is_quiet and self._is_asked:
            self._lose("the server has gone silent")
            return
        if self._is_quiet:
            self._h2.ping(b"polyphon")
            self._is_asked = True
            self._flush()
        self._watch(SILENT_S)


def _tell(stream: Http2Stream, event: ResponseReceived | StreamEnded | StreamReset) -> None:
    match event:
        case ResponseReceived():
            fields = {
                name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers
            }
            status = fields.pop(":status", "")
            if len(status) == 3 and status.isdecimal():
                stream.began(int(status), fields)
            else:
                stream.failed(ConnectionError("a response has no status"))
        case StreamEnded():
            stream.ended()
        case StreamReset(error_code=ErrorCodes.REFUSED_STREAM):
            stream.failed(NotBegun("the server has refused to begin the request"))
        case StreamReset():
            stream.failed(ConnectionError("the server has broken the response off"))
