"""`PlainStub` over HTTP/2 and TLS."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import DataReceived, RequestReceived, StreamEnded, StreamReset, WindowUpdated
from hpack import NeverIndexedHeaderTuple
from hyperframe.frame import GoAwayFrame, SettingsFrame

from tests.upstreams.plain_stub import Asked, PlainStub, Told


@dataclass
class _Incoming:
    headers: dict[str, str]
    body: bytearray = field(default_factory=bytearray)


class Http2Stub(PlainStub):
    """`chosen` is what it speaks by its own word in TLS, `streams` how many requests at once it
    allows on a connection; with `tells_late` it says so after the first. A response with the
    status 0 says nothing. `secret` are the names of headers that must not be kept in tables.
    """

    def __init__(self, answer: Callable[[Asked], Told], chosen: str = "h2") -> None:
        super().__init__(answer)
        self.chosen = chosen
        self.streams = 100
        self.tells_late = False
        self.refused = 0
        self.refuses_early = False
        self.resets: list[int] = []
        self.secret: set[str] = set()
        self.open: list[_Connection] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.chosen != "h2":
            await super().serve(reader, writer)
            return
        self.connections += 1
        connection = _Connection(self, writer)
        self.open.append(connection)
        try:
            await connection.serve(reader)
        except ConnectionError:
            pass
        finally:
            self.left.set()
            connection.stop()
            writer.close()

    def say_goodbye(self, last_stream: int = 2**31 - 1) -> None:
        """On every connection: no more requests after that one."""
        for each in self.open:
            if not each.writer.is_closing():
                each.writer.write(GoAwayFrame(0, last_stream_id=last_stream).serialize())


class _Connection:
    def __init__(self, stub: Http2Stub, writer: asyncio.StreamWriter) -> None:
        self.stub, self.writer = stub, writer
        self.h2 = H2Connection(H2Configuration(client_side=False))
        self.incoming: dict[int, _Incoming] = {}
        self.tasks: dict[int, asyncio.Task[None]] = {}
        self.widened = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader) -> None:
        self.h2.initiate_connection()
        self.flush()
        if not self.stub.tells_late:
            self.tell_limit()
        while data := await reader.read(65536):
            for event in self.h2.receive_data(data):
                self.happened(event)
            self.flush()

    def tell_limit(self) -> None:
        # Without h2, which would end the connection of whoever begins too much at first.
        limit = {SettingsFrame.MAX_CONCURRENT_STREAMS: self.stub.streams}
        self.writer.write(SettingsFrame(0, settings=limit).serialize())

    def happened(self, event: Any) -> None:
        match event:
            case RequestReceived():
                self.began(event)
            case DataReceived():
                if event.stream_id in self.incoming:
                    self.incoming[event.stream_id].body += event.data
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case StreamEnded() if event.stream_id in self.incoming:
                asked = self.incoming.pop(event.stream_id)
                task = asyncio.ensure_future(self.answer(event.stream_id, asked))
                self.tasks[event.stream_id] = task
            case StreamReset():
                self.stub.resets.append(event.stream_id)
                self.stub.left.set()
                if event.stream_id in self.tasks:
                    self.tasks[event.stream_id].cancel()
            case WindowUpdated():
                self.widened.set()

    def began(self, event: RequestReceived) -> None:
        headers = {name.decode(): value.decode("latin-1") for name, value in event.headers}
        never = (each[0] for each in event.headers if isinstance(each, NeverIndexedHeaderTuple))
        self.stub.secret |= {name.decode() for name in never}
        if self.stub.refuses_early and headers[":method"] == "POST":
            self.h2.send_headers(event.stream_id, [(":status", "413")])
            self.h2.send_data(event.stream_id, b"too large", end_stream=True)
        elif len(self.unanswered()) + len(self.incoming) >= self.stub.streams:
            self.stub.refused += 1
            self.h2.reset_stream(event.stream_id, ErrorCodes.REFUSED_STREAM)
            self.tell_limit()
        else:
            self.incoming[event.stream_id] = _Incoming(headers)

    async def answer(self, stream: int, incoming: _Incoming) -> None:
        headers = incoming.headers
        asked = Asked(headers[":method"], headers[":path"], headers, bytes(incoming.body))
        self.stub.asked.append(asked)
        told = self.stub.answer(asked)
        if not told.status:
            return
        size = sum(len(piece) for piece in told.pieces if isinstance(piece, bytes))
        fields = [(":status", str(told.status))]
        fields += [(name.lower(), value) for name, value in told.headers.items()]
        if not told.is_chunked:
            fields.append(("content-length", str(size if told.length is None else told.length)))
        self.h2.send_headers(stream, fields)
        self.flush()
        for piece in told.pieces:
            if isinstance(piece, float):
                await asyncio.sleep(piece)
            elif isinstance(piece, asyncio.Event):
                await piece.wait()
            else:
                await self.send(stream, piece)
        if told.is_broken or told.length is not None:
            self.writer.close()
        else:
            self.h2.end_stream(stream)
            self.flush()

    async def send(self, stream: int, piece: bytes) -> None:
        while piece:
            room = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size)
            if not room:
                self.widened.clear()
                await self.widened.wait()
                continue
            self.h2.send_data(stream, piece[:room])
            self.flush()
            await self.writer.drain()
            piece = piece[room:]

    def unanswered(self) -> list[asyncio.Task[None]]:
        """What it has not answered whole."""
        return [task for task in self.tasks.values() if not task.done()]

    def flush(self) -> None:
        self.writer.write(self.h2.data_to_send())

    def stop(self) -> None:
        for task in self.tasks.values():
            task.cancel()


@asynccontextmanager
async def http2_stub(
    answer: Callable[[Asked], Told], folder: Path, chosen: str = "h2"
) -> AsyncIterator[Http2Stub]:
    """`folder / "ca.pem"` is the certificate to be trusted."""
    stub = Http2Stub(answer, chosen)
    tasks: set[asyncio.Task[None]] = set()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate(folder))
    context.set_alpn_protocols([chosen])

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.ensure_future(stub.serve(reader, writer)))

    server = await asyncio.start_server(begin, "127.0.0.1", 0, ssl=context)
    stub.url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield stub
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def certificate(folder: Path) -> tuple[Path, Path]:
    """One for 127.0.0.1 that vouches for itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "provider")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "ca.pem", folder / "key.pem"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths
