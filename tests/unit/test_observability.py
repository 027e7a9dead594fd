"""What becomes of requests: counting, masking, capturing and writing, without an app."""

import json
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from serve_app.core.operation import OPERATIONS
from serve_app.observability.access_log import AccessLog, log_fields
from serve_app.observability.classes import category_of_operation, outcome_of
from serve_app.observability.histogram import Histogram, from_json
from serve_app.observability.masking import masked_headers, masked_query
from serve_app.observability.observed import Observed
from serve_app.observability.payloads import Capture, clear, sweep
from serve_app.observability.settings import UnusableSetting, from_environment
from serve_app.observability.summary import summary
from serve_app.observability.tally import Tally
from serve_app.observability.writer import MOST_BYTES, Writer

BEGIN = 1_800_000_000.0


class Clock:
    def __init__(self) -> None:
        self.now = BEGIN

    def __call__(self) -> float:
        return self.now


def ended(latency_ms: float = 5.0, *, status: int = 200, wait_ms: float | None = None) -> Observed:
    request = Observed("POST", "/v1/chat/completions", request_id="r")
    request.category = "llm"
    request.status, request.latency_ms, request.slot_wait_ms = status, latency_ms, wait_ms
    return request


@pytest.mark.parametrize(
    ("value", "key"),
    [
        (0, "<=10"),
        (10, "<=10"),
        (10.001, "<=25"),
        (1000, "<=1000"),
        (59_999, "<=60000"),
        (60_000, "<=60000"),
        (60_001, ">60000"),
        (10**9, ">60000"),
    ],
)
def test_a_duration_is_in_exactly_one_class(value: float, key: str) -> None:
    histogram = Histogram()
    histogram.add(value)
    assert {name for name, count in histogram.shown().items() if count} == {key}


def test_percentiles_are_right_within_one_percent() -> None:
    histogram = Histogram()
    for value in range(1, 1001):
        histogram.add(value)
    for percent in (1, 50, 95, 99):
        assert histogram.percentile(percent) == pytest.approx(percent * 10, rel=0.011)
    assert histogram.percentile(100) == 1000
    assert Histogram().percentile(50) is None


def test_merged_histograms_are_those_of_all_values() -> None:
    one, two, both = Histogram(), Histogram(), Histogram()
    for number in range(200):
        value = 1.07**number
        (one if number % 2 else two).add(value)
        both.add(value)
    two.merge(from_json(json.loads(json.dumps(one.to_json()))))
    assert (two.bins, two.classes, two.count, two.most_ms) == (
        *(both.bins, both.classes, both.count),
        both.most_ms,
    )


def test_percentiles_forget_what_left_the_window_and_totals_do_not() -> None:
    clock = Clock()
    tally = Tally(window_s=3600, clock=clock)
    tally.add(ended(5000, wait_ms=100))
    clock.now += 3599
    tally.add(ended(10))
    assert summary(tally)["categories"]["llm"]["latency_ms"]["max"] == 5000
    clock.now += 61
    llm = summary(tally)["categories"]["llm"]
    assert llm["total"] == 2
    assert (llm["latency_ms"]["max"], llm["latency_ms"]["samples"]) == (10, 1)
    assert llm["slot_wait_ms"]["samples"] == 0
    assert llm["throughput_per_min"] == round(1 / 60, 3)


def test_an_hour_of_many_requests_stays_small() -> None:
    clock = Clock()
    tally = Tally(window_s=3600, clock=clock)
    for number in range(7200):
        clock.now += 1
        tally.add(ended(number % 977))
    assert len(tally.to_json()) < 400_000


def test_a_tally_survives_its_journey() -> None:
    tally = Tally(window_s=3600)
    tally.add(ended(12, wait_ms=3))
    tally.add(ended(30, status=503))
    other = Tally(window_s=3600)
    other.read(tally.to_json())
    assert summary(other)["categories"] == summary(tally)["categories"]


@pytest.mark.parametrize(
    ("status", "may_pass", "has_left", "outcome"),
    [
        (200, False, False, "2xx"),
        (302, False, False, "2xx"),
        (404, False, False, "4xx"),
        (429, True, False, "4xx"),
        (499, False, False, "4xx"),
        (500, False, False, "5xx"),
        (503, False, False, "5xx"),
        (503, True, False, "503-busy"),
        (504, True, False, "5xx"),
        (200, False, True, "client-disconnect"),
        (503, True, True, "client-disconnect"),
    ],
)
def test_outcomes_are_disjoint(status: int, may_pass: bool, has_left: bool, outcome: str) -> None:
    assert outcome_of(status, may_pass=may_pass, has_left=has_left) == outcome


def test_every_operation_that_a_model_does_has_a_category() -> None:
    without = {name for name in OPERATIONS if category_of_operation(name) is None}
    assert {name for name in without if not name.startswith("media.")} == set()


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        (b"", ""),
        (b"limit=5&offset=0", "limit=5&offset=0"),
        (b"api_key=abc&x=1", "api_key=***&x=1"),
        (b"API%5FKEY=abc", "API%5FKEY=***"),
        (b"X-Amz-Signature=abc&X-Amz-Credential=k", "X-Amz-Signature=***&X-Amz-Credential=***"),
        (b"password=&token", "password=&token"),
        (b"q=sk-0123456789", "q=***"),
        (b"q=%2573k-0123456789", "q=***"),
        (b"sk-0123456789", "***"),
        (b"q=eyJhbGciOiJI.eyJzdWIi.x", "q=***"),
        (b"u=https%3A%2F%2Fme%3Apw%40host%2F", "u=***"),
        (b"q=Bearer+abcdefgh", "q=***"),
        (b"max_tokens=5&model=task-1", "max_tokens=5&model=task-1"),
        (b"a=\xff\xfe", "a=\xff\xfe"),
    ],
)
def test_queries_lose_their_secrets(query: bytes, shown: str) -> None:
    assert masked_query(query) == shown


@pytest.mark.parametrize(
    "name",
    ["Authorization", "X-Api-Key", "Coder-Session-Token", "Cookie", "Set-Cookie", "X-CSRF-Token"],
)
def test_headers_lose_their_secrets(name: str) -> None:
    headers = [(name.lower().encode(), b"whatever"), (b"accept", b"*/*")]
    assert masked_headers(headers) == [(name.lower(), "***"), ("accept", "*/*")]


def test_several_processes_write_whole_lines_into_one_log(tmp_path: Path) -> None:
    logs = [AccessLog(tmp_path, lambda request: request.client) for _ in range(4)]
    threads = [
        threading.Thread(target=lambda log=log: [log.write([ended()] * 50) for _ in range(20)])
        for log in logs
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    written = [line for file in tmp_path.iterdir() for line in file.read_text().splitlines()]
    assert len(written) == 4 * 20 * 50
    assert all(json.loads(line)["path"] == "/v1/chat/completions" for line in written)


def test_a_line_is_in_the_file_of_its_day_in_utc(tmp_path: Path) -> None:
    late, early = ended(), ended()
    late.ts, early.ts = BEGIN // 86400 * 86400 - 0.25, BEGIN // 86400 * 86400 + 0.25
    AccessLog(tmp_path, lambda _: "c").write([late, early])
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "access-2027-01-14.jsonl",
        "access-2027-01-15.jsonl",
    ]


def test_half_characters_do_not_stop_the_log() -> None:
    request = ended()
    request.path = "/\ud800\n"
    assert "\n" not in json.dumps(log_fields(request, None))


def test_a_writer_keeps_the_order_and_gives_up_what_is_too_much() -> None:
    written: list[int] = []
    writer: Writer[int] = Writer(lambda items: written.extend(items))
    assert all(writer.offer(number) for number in range(100))
    assert not writer.offer(100, size=MOST_BYTES + 1)
    assert writer.offer(101)
    writer.close()
    writer.close()
    assert written == [*range(100), 101]
    assert writer.dropped == 1


def test_a_writer_outlives_a_disk_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    written: list[int] = []
    failed = threading.Event()

    def write(items: Sequence[int]) -> None:
        if not failed.is_set():
            failed.set()
            raise OSError(28, "no space left")
        written.extend(items)

    writer: Writer[int] = Writer(write)
    writer.offer(1)
    assert failed.wait(60)
    writer.offer(2)
    writer.close()
    assert written == [2]
    assert "could not be written" in caplog.text


def test_housekeeping_runs_at_the_start() -> None:
    done = threading.Event()
    writer: Writer[int] = Writer(lambda _: None, housekeeping=done.set)
    writer.start()
    assert done.wait(60)
    writer.close()


def captured(directory: Path, name: str, *, size: int, age_s: float) -> Path:
    request = ended()
    request.request_id = name
    capture = Capture(directory, request, most_bytes=10**9)
    capture.write("response", capture.take("response", bytes(size)))
    capture.finish(None)
    for file in (directory / name).iterdir():
        os.utime(file, (BEGIN - age_s, BEGIN - age_s))
    return directory / name


def test_captures_may_be_removed_by_several_at_once(tmp_path: Path) -> None:
    for number in range(400):
        (tmp_path / f"{number}").mkdir()
        for name in ("meta.json", "request.bin", "response.bin"):
            (tmp_path / f"{number}" / name).touch()
    with ThreadPoolExecutor(4) as replicas:
        cleared = [replicas.submit(clear, tmp_path) for _ in range(2)]
        swept = [
            replicas.submit(sweep, tmp_path, most_bytes=0, most_age_s=0, now=2e9) for _ in range(2)
        ]
    assert all(each.result() <= 400 for each in (*cleared, *swept))
    assert list(tmp_path.iterdir()) == []


def test_a_sweep_takes_the_old_and_then_the_oldest(tmp_path: Path) -> None:
    for name, age_s in (("new", 10), ("middle", 20), ("last", 30), ("old", 8 * 86400)):
        captured(tmp_path, name, size=10_000, age_s=age_s)
    week = 7 * 86400
    assert sweep(tmp_path, most_bytes=10**9, most_age_s=week, now=BEGIN) == 1
    assert sweep(tmp_path, most_bytes=25_000, most_age_s=week, now=BEGIN) == 1
    assert sorted(folder.name for folder in tmp_path.iterdir()) == ["middle", "new"]


def test_nothing_but_captures_is_ever_removed(tmp_path: Path) -> None:
    captured(tmp_path, "one", size=1, age_s=10**9)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").write_text("dear")
    (tmp_path / "file").write_text("kept")
    (tmp_path / "link").symlink_to(tmp_path / "home")
    assert sweep(tmp_path, most_bytes=1, most_age_s=1, now=BEGIN) == 1
    captured(tmp_path, "two", size=1, age_s=1)
    assert clear(tmp_path) == 1
    assert clear(tmp_path / "nowhere") == 0
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "home", "link"]


def test_the_environment_sets_what_is_kept(tmp_path: Path) -> None:
    default = from_environment({}, tmp_path)
    assert (default.metrics, default.access_log, default.payload) == (True, True, False)
    assert (default.payload_most_bytes, default.payload_body_bytes) == (5 * 1024**3, 50 * 1024**2)
    assert (default.payload_most_age_s, default.window_s) == (7 * 86400, 3600)
    assert default.log_dir.parent == default.payload_dir.parent == tmp_path
    names = {
        "OBS_METRICS": "off",
        "OBS_ACCESS_LOG": "no",
        "OBS_PAYLOAD": "YES",
        "OBS_LOG_DIR": "/l",
        "OBS_PAYLOAD_DIR": "/p",
        "OBS_PAYLOAD_MAX_GB": "0.5",
        "OBS_PAYLOAD_MAX_DAYS": "1",
        "OBS_PAYLOAD_RESP_MAX_MB": "2",
        "OBS_METRICS_WINDOW_MIN": "5",
    }
    chosen = from_environment(names, tmp_path)
    assert (chosen.metrics, chosen.access_log, chosen.payload) == (False, False, True)
    assert (chosen.log_dir, chosen.payload_dir) == (Path("/l"), Path("/p"))
    assert (chosen.payload_most_bytes, chosen.payload_body_bytes) == (1024**3 // 2, 2 * 1024**2)
    assert (chosen.payload_most_age_s, chosen.window_s) == (86400, 300)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OBS_METRICS", "perhaps"),
        ("OBS_PAYLOAD_MAX_GB", "lots"),
        ("OBS_PAYLOAD_MAX_DAYS", "-1"),
        ("OBS_METRICS_WINDOW_MIN", "0"),
        ("OBS_METRICS_WINDOW_MIN", "nan"),
        ("OBS_PAYLOAD_RESP_MAX_MB", "inf"),
    ],
)
def test_a_variable_that_means_nothing_is_refused(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(UnusableSetting, match=name):
        from_environment({name: value}, tmp_path)
