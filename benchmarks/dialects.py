"""What a dialect costs beside the native route: the same operation of the same fake engine, asked
for in every dialect in turn, over one connection.

    python benchmarks/dialects.py [--calls 200]
"""

import argparse
import asyncio
import base64
import http.client
import io
import json
import random
import secrets
import signal
import statistics
import sys
import time
from dataclasses import dataclass, field
from typing import Any

from load_generator import Load
from PIL import Image
from results import machine
from server_process import free_port, server, working_folder, write_config

GOAL_MS = 0.5
PROBE = Load("probe", "fast", 1, tokens=1, stream=False, duration_s=5, limit=1)
WARM_UP = 20
FAMILIES = tuple(
    {
        "name": name,
        "options": {"engine": "fake", "task": task},
        "models": [{"id": name}] if task != "media" else [],
        "placement": {"max_ongoing_requests": 100, "min_replicas": 1},
    }
    for name, task in (("talk", "chat"), ("paint", "images"), ("media", "media"))
)
CONVERT = {"type": "convert", "format": "png"}
SAID = [{"role": "user", "content": "one two three"}]


@dataclass(frozen=True)
class Route:
    """A call; `native` is the one that it is compared with, itself if that is empty."""

    path: str
    body: dict[str, Any]
    native: str = ""
    times: list[float] = field(default_factory=list)


def routes() -> tuple[Route, ...]:
    """Every operation natively, and then in the dialects that have a word for it."""
    chat = {"model": "talk", "messages": SAID, "max_tokens": 3}
    prompt = {"model": "talk", "prompt": "one two three", "max_tokens": 3}
    size = {"width": 64, "height": 64, "seed": 1, "steps": 1}
    native = {"prompt": "a", "size": "64x64", "seed": 1, "steps": 1}
    image = _png()
    completion, painting = "/v1/completions", "/v1/images/generations"
    return (
        Route("/v1/chat/completions", chat),
        Route("/chat/completions", chat, "/v1/chat/completions"),
        Route("/api/OpenAiChatCompletion", chat, "/v1/chat/completions"),
        Route(completion, prompt),
        Route("/completion", prompt, completion),
        Route(painting, native | {"model": "paint", "response_format": "b64_json"}),
        Route("/sdapi/v1/txt2img", {"prompt": "a"} | size, painting),
        Route(f"{painting}?", native | {"model": "paint", "output_format": "webp"}),
        Route(
            "/api/TextToImage",
            {"positivePrompt": "a", "model": "paint", "width": 64, "height": 64, "seed": 1},
            f"{painting}?",
        ),
        Route("/v1/images/process", {"image": image, "steps": [CONVERT]}),
        Route("/api/ConvertImage", {"image": image, "outputFormat": "png"}, "/v1/images/process"),
    )


def main() -> None:
    """Start the server, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=200)
    calls = parser.parse_args().calls
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    asked = routes()
    with working_folder() as folder:
        config = str(write_config(folder, more_families=FAMILIES))
        port, token = free_port(), f"sk-{secrets.token_hex(32)}"
        command = ["-m", "serve_app", "--config", config, "--port", str(port)]
        with server("c", command, port=port, token=token, folder=folder) as process:
            asyncio.run(process.until_it_answers(PROBE))
            connection = http.client.HTTPConnection("127.0.0.1", port)
            for number in range(WARM_UP + calls):
                # What comes after a job pays for what the job leaves to be done.
                for route in random.sample(asked, len(asked)):
                    elapsed = _call(connection, token, route)
                    if number >= WARM_UP:
                        route.times.append(elapsed)
    print(f"machine: {json.dumps(machine())}")
    print(f"calls: {calls} each, in turn, one client; goal: at most {GOAL_MS} ms more")
    by_path = {route.path: route for route in asked}
    for route in asked:
        own = statistics.median(route.times)
        line = f"{route.path:30} median {own:6.2f} ms"
        if route.native:
            more = statistics.median(
                one - other
                for one, other in zip(route.times, by_path[route.native].times, strict=True)
            )
            line += f"   {more:+5.2f} ms beside {route.native}"
        print(line)


def _call(connection: http.client.HTTPConnection, token: str, route: Route) -> float:
    """Milliseconds of one call."""
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    body = json.dumps(route.body)
    begun = time.perf_counter()
    connection.request("POST", route.path, body, headers)
    answer = connection.getresponse()
    content = answer.read()
    elapsed = (time.perf_counter() - begun) * 1000
    if answer.status != 200:
        raise SystemExit(f"{route.path}: {answer.status} {content[:500]!r}")
    return elapsed


def _png() -> str:
    written = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(written, "PNG")
    return base64.b64encode(written.getvalue()).decode()


if __name__ == "__main__":
    main()
