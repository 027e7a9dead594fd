"""What durability costs: the same call of the same fake engine, straight to its family and as a
job that the client waits for (`ref_id` makes it one), in turn, over one connection.

    python benchmarks/jobs.py [--calls 200]
"""

import argparse
import asyncio
import http.client
import json
import secrets
import signal
import statistics
import sys
import time

from load_generator import Load
from results import machine
from server_process import free_port, server, working_folder, write_config

BODY = {"model": "order", "query": "a b c", "documents": ["a", "b c", "a b c"]}
PROBE = Load("probe", "fast", 1, tokens=1, stream=False, duration_s=5, limit=1)
WARM_UP = 20
RERANK = {
    "name": "order",
    "options": {"engine": "fake", "task": "rerank"},
    "models": [{"id": "order"}],
    "placement": {"max_ongoing_requests": 100},
}


def main() -> None:
    """Start the server, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=200)
    calls = parser.parse_args().calls
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with working_folder() as folder:
        config = str(write_config(folder, more_families=(RERANK,)))
        port, token = free_port(), f"sk-{secrets.token_hex(32)}"
        command = ["-m", "serve_app", "--config", config, "--port", str(port)]
        with server("c", command, port=port, token=token, folder=folder) as process:
            asyncio.run(process.until_it_answers(PROBE))
            direct, job = _measure(port, token, calls)
    print(f"machine: {json.dumps(machine())}")
    print(f"calls: {calls} each, in turn, one client")
    for name, times in (("direct", direct), ("job", job)):
        p99 = statistics.quantiles(times, n=100)[98]
        print(f"{name:8} median {statistics.median(times):6.2f} ms   p99 {p99:6.2f} ms")
    print(f"a job adds {statistics.median(job) - statistics.median(direct):.2f} ms (median)")


def _measure(port: int, token: str, calls: int) -> tuple[list[float], list[float]]:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    for number in range(WARM_UP):
        _call(connection, token, BODY)
        _call(connection, token, BODY | {"ref_id": f"warm-up-{number}"})
    direct, job = [], []
    for number in range(calls):
        direct.append(_call(connection, token, BODY))
        job.append(_call(connection, token, BODY | {"ref_id": f"call-{number}"}))
    return direct, job


def _call(connection: http.client.HTTPConnection, token: str, body: dict[str, object]) -> float:
    """Milliseconds of one call."""
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    begun = time.perf_counter()
    connection.request("POST", "/v1/rerank", json.dumps(body), headers)
    answer = connection.getresponse()
    content = json.loads(answer.read())
    elapsed = (time.perf_counter() - begun) * 1000
    if [result["index"] for result in content["results"]] != [2, 1, 0]:
        raise SystemExit(f"a wrong answer: {content}")
    return elapsed


if __name__ == "__main__":
    main()
