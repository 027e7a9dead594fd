"""What the server adds to an image, and what generating several at once gains: the starter image
model through HTTP, and the same pipeline called directly in this process, in turn; then a few
requests one after the other, and all at once.

    python benchmarks/images.py [--rounds 5]
"""

import argparse
import asyncio
import http.client
import json
import secrets
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

from load_generator import Load
from results import RESULTS, machine
from server_process import HERE, free_port, server, working_folder, write_config

sys.path.insert(0, str(HERE.parent))

PROBE = Load("probe", "fast", 1, tokens=1, stream=False, duration_s=5, limit=1)
PROMPT = "a red boat on a quiet lake"
LEAST_S = 3.0
"""How long the image takes whose cost is measured; the steps are chosen for it."""

GUIDANCE = 7.5
THREADS = 1
"""With more, the threads of both sides wait for each other wherever the machine does other work."""

SIDE_PX = 512
MOST_STEPS = 150
TOGETHER = 4
GAINS = ((64, 40), (256, 20))
"""Sides in pixels and steps of the images that are generated one by one and together."""

TIMEOUT_S = 600.0
Times = dict[str, list[float]]


def main() -> None:
    """Start the server, measure, print, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with working_folder() as folder:
        config = str(write_config(folder, more_families=(_family(),)))
        port, token = free_port(), f"sk-{secrets.token_hex(32)}"
        command = ["-m", "serve_app", "--config", config, "--port", str(port)]
        with server("c", command, port=port, token=token, folder=folder) as process:
            asyncio.run(process.until_it_answers(PROBE))
            client = Client(port, token)
            steps, cost = _cost(client, folder / "data" / "models" / "starter-images", rounds)
            gains = {
                f"{side}x{side}, {number} steps": _gain(client, side, number, rounds)
                for side, number in GAINS
            }
    about = machine() | {"rounds": rounds, "threads": THREADS}
    _show(about, steps, cost, gains)
    content = {"machine": about, "steps": steps, "cost_s": cost, "gain_s": gains}
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"images-{about['time'].replace(':', '')}.json"
    file.write_text(json.dumps(content, indent=1))
    print(f"written: {file}")


def _family() -> dict[str, object]:
    return {
        "name": "images",
        "options": {"engine": "diffusers", "threads": THREADS, "max_batch": TOGETHER},
        "models": [{"id": "noise", "source": "builtin:starter-images"}],
        "placement": {"max_ongoing_requests": 2 * TOGETHER},
    }


class Client:
    """Asks for images."""

    def __init__(self, port: int, token: str) -> None:
        self._port = port
        self._headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}

    def generate(self, *, side: int, steps: int, seed: int = 1) -> None:
        """One image, whose bytes stay where they are. Raises SystemExit for any other answer."""
        body = {"prompt": PROMPT, "size": f"{side}x{side}", "steps": steps, "seed": seed}
        body |= {"guidance_scale": GUIDANCE}
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT_S)
        connection.request("POST", "/v1/images/generations", json.dumps(body), self._headers)
        answer = connection.getresponse()
        content = json.loads(answer.read())
        connection.close()
        if answer.status != 200 or content["data"][0]["seed"] != seed:
            raise SystemExit(f"a wrong answer: {content}")


def _cost(client: Client, checkpoint: Path, rounds: int) -> tuple[int, Times]:
    """Seconds of one image, called directly and through HTTP, in turn; and its steps."""
    # The server makes the checkpoint for its first image.
    client.generate(side=SIDE_PX, steps=2)
    bare = _bare(checkpoint)
    tenth = min(_seconds(lambda: bare(10)) for _ in range(4))
    steps = min(MOST_STEPS, round(10 * LEAST_S * 1.6 / tenth))
    client.generate(side=SIDE_PX, steps=steps)
    times: Times = {"bare": [], "http": []}
    for number in range(rounds):
        times["bare"].append(_seconds(lambda: bare(steps)))
        times["http"].append(_seconds(lambda: client.generate(side=SIDE_PX, steps=steps)))
        print(f"round {number + 1} of {rounds}: {steps} steps", flush=True)
    return steps, times


def _bare(checkpoint: Path) -> Callable[[int], None]:
    """The pipeline as its documentation shows it."""
    import diffusers
    import torch

    torch.set_num_threads(THREADS)
    pipeline: Any = diffusers.AutoPipelineForText2Image.from_pretrained(checkpoint)
    pipeline.set_progress_bar_config(disable=True)

    def generate(steps: int) -> None:
        pipeline(
            PROMPT,
            num_inference_steps=steps,
            guidance_scale=GUIDANCE,
            width=SIDE_PX,
            height=SIDE_PX,
            generator=torch.Generator("cpu").manual_seed(1),
        )

    return generate


def _gain(client: Client, side: int, steps: int, rounds: int) -> Times:
    """Seconds of `TOGETHER` images, one after the other and all at once, in turn."""
    seeds = range(TOGETHER)
    times: Times = {"one by one": [], "together": []}

    def generate(seed: int) -> None:
        client.generate(side=side, steps=steps, seed=seed)

    with ThreadPoolExecutor(TOGETHER) as threads:
        for _ in range(rounds):
            times["one by one"].append(_seconds(lambda: [generate(seed) for seed in seeds]))
            times["together"].append(_seconds(lambda: list(threads.map(generate, seeds))))
    return times


def _seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _show(about: dict[str, Any], steps: int, cost: Times, gains: dict[str, Times]) -> None:
    print("\n".join(f"{name}: {value}" for name, value in about.items()))
    bare, through = median(cost["bare"]), median(cost["http"])
    print(f"one image of {steps} steps: bare {bare:.2f} s, through HTTP {through:.2f} s")
    # Of neighbours, because other work on the machine comes and goes.
    ratio = median(h / b for b, h in zip(cost["bare"], cost["http"], strict=True))
    print(f"ratio, median of the rounds': {ratio:.3f} (goal: at most 1.05)")
    for name, times in gains.items():
        apart, together = median(times["one by one"]), median(times["together"])
        print(f"{TOGETHER} of {name}: one by one {apart:.2f} s, together {together:.2f} s")
        print(f"gain: {apart / together:.2f} times as many images per second")


if __name__ == "__main__":
    main()
