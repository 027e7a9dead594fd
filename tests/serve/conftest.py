"""One Ray cluster and one server on it for the whole folder, every family with `engine: fake`."""

import os
import signal
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

import httpx
import pytest

from serve_app.core.config import AppConfig
from serve_app.launch.environment import free_ports, one_machine, runtime_directory
from serve_app.launch.processes import adopt_orphans, descendants, kill_descendants
from serve_app.launch.ray_token import token_notices

TOKEN = "sk-serve-tests"
ADMIN_TOKEN = "sk-serve-tests-admin"
MAX_PENDING = 2
LOAD_WAIT_S = 1.5
LOAD_S = 4
CAUSE = "the weights of 'broken' are missing; put them into its source directory"


def chat_family(name: str, models: tuple[str, ...] = (), **options: object) -> dict[str, object]:
    """A family of the fake text engine; `placement` is taken out of the options."""
    placement = options.pop("placement", {})
    return {
        "name": name,
        "options": {"engine": "fake", "task": "chat", **options},
        "models": [{"id": model} for model in models or (name,)],
        "placement": placement,
    }


def family(name: str, task: str, **placement: object) -> dict[str, object]:
    """A family of any fake engine."""
    models = [] if task == "media" else [{"id": name}]
    return {
        "name": name,
        "options": {"engine": "fake", "task": task},
        "models": models,
        "placement": placement,
    }


def app_config(data_dir: Path) -> AppConfig:
    """Everything that the tests of this folder ask of."""
    return AppConfig.model_validate(
        {
            "storage": {"data_dir": data_dir},
            "limits": {"max_pending": MAX_PENDING, "load_wait_s": LOAD_WAIT_S, "rates": None},
            "ingress": {"min_replicas": 2, "max_replicas": 2},
            "defaults": {"chat": "echo"},
            "families": [
                chat_family("echo", context_length=64, placement={"max_ongoing_requests": 64}),
                chat_family("narrow", tokens_per_s=10, placement={"max_ongoing_requests": 1}),
                chat_family("mortal", tokens_per_s=10),
                chat_family("broken", fails_with=CAUSE),
                chat_family("several", ("one", "two", "three"), placement={"max_loaded_models": 2}),
                chat_family(
                    "spread",
                    ("left", "right"),
                    placement={"min_replicas": 2, "max_replicas": 2},
                    diary=data_dir / "spread",
                ),
                chat_family("lazy", load_s=LOAD_S, placement={"min_replicas": 0}),
                family("vectors", "embeddings", min_replicas=0, idle_unload_s=1),
                family("order", "rerank", min_replicas=0),
                family("voice", "speech", min_replicas=0),
                family("ears", "transcription", min_replicas=0),
                family("media", "media", min_replicas=0),
            ],
            "pipelines": [{"name": "video-dub", "placement": {"min_replicas": 0}}],
        }
    )


@pytest.fixture(scope="package")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything that the server keeps."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="package")
def base_url(data_dir: Path) -> Iterator[str]:
    """The running server. Serve's environment must be set before Serve is imported."""
    (port,) = free_ports(1)
    run = runtime_directory(port)
    os.environ |= one_machine(run)
    assert not token_notices(os.environ)
    os.environ |= {"API_TOKENS": TOKEN, "ADMIN_TOKEN": ADMIN_TOKEN}
    import ray
    from ray import serve

    from serve_app.build import build
    from serve_app.launch.forked_workers import fork_workers
    from serve_app.launch.ray_processes import leave_idle_ones_out

    adopt_orphans()
    others = descendants(os.getpid())
    leave_idle_ones_out(dashboard=False)
    fork_workers(run)
    ray.init(address="local", include_dashboard=False, log_to_driver=False, num_cpus=2)
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    serve.run(build(app_config(data_dir)), route_prefix="/")
    yield f"http://127.0.0.1:{port}"
    serve.shutdown()
    ray.shutdown()
    kill_descendants(os.getpid(), spare=others)


@pytest.fixture
async def http(base_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client with the server's token."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(
        base_url=base_url, headers=headers, timeout=120, trust_env=False
    ) as client:
        yield client


def said(text: str, model: str = "echo", **fields: object) -> Mapping[str, object]:
    """A chat request whose answer is `text`."""
    return {"model": model, "messages": [{"role": "user", "content": text}], **fields}


def replica_pids(deployment: str) -> list[int]:
    """The processes of a deployment's replicas."""
    found = []
    for pid in descendants(os.getpid()):
        try:
            title = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if title.startswith(f"ray::ServeReplica:default:{deployment}".encode()):
            found.append(pid)
    return found


def kill_replicas(deployment: str) -> None:
    """SIGKILL, as the kernel does when memory runs out."""
    pids = replica_pids(deployment)
    assert pids
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
