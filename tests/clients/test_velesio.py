"""Velesio's clients and LLM for Unity, over a real server."""

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from typing import Any
from urllib.parse import urlsplit

import openai
import pytest

from tests.clients.conftest import ROOT, Server

CLIENTS = ROOT / "docs/examples/clients"
FRAME_BYTES = 4000
TURNS = [{"role": "user", "content": "Say something."}]
JAVASCRIPT = """
import { VelesioClient } from %s;
const client = new VelesioClient(%s, "none");
let streamed = "";
for await (const text of client.stream("The sea", { max_tokens: 8, seed: 1 })) streamed += text;
const whole = await client.complete("The sea", { max_tokens: 8, seed: 1 });
const reply = await client.chat([{ role: "user", content: "Hi" }], { max_tokens: 4 });
console.log(JSON.stringify({ streamed, whole, reply }));
"""


def python_client() -> Any:
    """The class on the page of clients."""
    spec = spec_from_file_location("velesio_client", CLIENTS / "velesio.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.VelesioClient


@pytest.mark.covers("Velesio: Python and JavaScript clients")
def test_the_python_client(server: Server) -> None:
    client = python_client()(server.url, "none")
    assert client.health() in ("healthy", "degraded")
    asked = {"max_tokens": 8, "temperature": 0.7, "top_p": 0.9, "top_k": 40, "seed": 1}
    text = client.complete("The sea", **asked)
    assert text
    assert client.complete("The sea", **asked) == text
    assert isinstance(client.chat(TURNS, max_tokens=8), str)


@pytest.mark.covers("Velesio: Python and JavaScript clients")
@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_the_javascript_client(server: Server) -> None:
    module = json.dumps((CLIENTS / "velesio.mjs").as_uri())
    script = JAVASCRIPT % (module, json.dumps(server.url))
    command = ("node", "--input-type=module", "--eval", script)
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    said = json.loads(done.stdout)
    assert said["streamed"] == said["whole"]
    assert isinstance(said["reply"], str)


def test_the_openai_sdk_at_the_root(server: Server) -> None:
    with openai.OpenAI(base_url=server.url, api_key="none", timeout=120) as client:
        assert "SmolLM2-135M-Instruct" in {model.id for model in client.models.list()}
        asked = {"model": "gpt-3.5-turbo", "max_tokens": 5, "seed": 1}
        whole = client.completions.create(prompt="The sea", **asked)  # type: ignore[call-overload]
        assert whole.usage.completion_tokens <= 5
        chunks = client.chat.completions.create(messages=TURNS, stream=True, **asked)  # type: ignore[call-overload]
        assert [*chunks][-1].choices[0].finish_reason in ("stop", "length")


@pytest.mark.covers("Velesio: LLM for Unity, version 3")
def test_every_chunk_is_one_event(server: Server) -> None:
    body = {"prompt": "The sea", "n_predict": 24, "seed": 1, "stream": True, "cache_prompt": True}
    events = []
    for chunk in chunks_of(server, "/completion", body):
        assert len(chunk) <= FRAME_BYTES
        assert chunk.startswith(b"data: ")
        assert chunk.endswith(b"\n\n")
        events.append(json.loads(chunk[len(b"data: ") :]))
    assert len(events) > 2
    assert [event["stop"] for event in events] == [False] * (len(events) - 1) + [True]
    assert events[-1]["tokens_predicted"] <= 24


def chunks_of(server: Server, path: str, body: dict[str, Any]) -> Iterator[bytes]:
    """The chunks of an answer as they are on the wire."""
    address = urlsplit(server.url)
    content = json.dumps(body).encode()
    lines = (
        f"POST {path} HTTP/1.1",
        f"Host: {address.netloc}",
        "Content-Type: application/json",
        f"Content-Length: {len(content)}",
        "",
        "",
    )
    assert address.hostname is not None
    with socket.create_connection((address.hostname, address.port or 80), timeout=60) as wire:
        wire.sendall("\r\n".join(lines).encode() + content)
        answer = wire.makefile("rb")
        assert b" 200 " in answer.readline()
        headers = [*iter(answer.readline, b"\r\n")]
        assert any(header.lower() == b"transfer-encoding: chunked\r\n" for header in headers)
        while size := int(answer.readline(), 16):
            yield answer.read(size)
            assert answer.readline() == b"\r\n"
