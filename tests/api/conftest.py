"""The app over fake engines, without a server and without Ray."""

import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from serve_app.access.authentication import access_over
from serve_app.access.bootstrap import prepare_access
from serve_app.api.app import create_app
from serve_app.api.context import Context
from serve_app.blobs.store import FsspecBlobStore
from serve_app.composition import PIPELINES
from serve_app.core.config import AppConfig, Model
from serve_app.core.media import BlobStore
from serve_app.core.pipelines import MakePipeline
from serve_app.core.stages import Stages
from serve_app.core.status import ModelStatus
from serve_app.core.video.dubbing import DubVideo
from serve_app.database.connection import Database
from serve_app.family.engines import make_engine
from serve_app.family.engines.given import CommonArguments, EngineSetup
from serve_app.one_process import one_process
from serve_app.upstreams.sealing import KeyRing
from tests.databases import CHEAP, Prepared, opened
from tests.providers import RING

FAMILIES: list[dict[str, Any]] = [
    {
        "name": "chat",
        "options": {"engine": "fake", "task": "chat"},
        "models": [{"id": "echo", "aliases": ["Parrot"], "created": 1}],
    },
    {
        "name": "vision",
        "options": {"engine": "fake", "task": "chat", "accepts_images": True},
        "models": [{"id": "org/eye", "capabilities": ["image_to_text"], "created": 1}],
    },
    {
        "name": "embeddings",
        "options": {"engine": "fake", "task": "embeddings"},
        "models": [{"id": "digest", "created": 1}],
    },
    {
        "name": "rerank",
        "options": {"engine": "fake", "task": "rerank"},
        "models": [{"id": "overlap", "created": 1}],
    },
    {
        "name": "speech",
        "options": {"engine": "fake", "task": "speech"},
        "models": [{"id": "hum", "created": 1}],
    },
    {
        "name": "transcription",
        "options": {"engine": "fake", "task": "transcription"},
        "models": [
            {
                "id": "whisper-base",
                "aliases": ["whisper-1"],
                "languages": ["en", "de"],
                "can_translate": True,
                "created": 1,
            }
        ],
    },
    {
        "name": "images",
        "options": {"engine": "fake", "task": "images"},
        "models": [{"id": "squares", "created": 1}],
    },
    {
        "name": "segmentation",
        "options": {"engine": "fake", "task": "segmentation"},
        "models": [{"id": "halves", "created": 1}],
    },
    {
        "name": "faces",
        "options": {"engine": "fake", "task": "faces"},
        "models": [{"id": "mirror", "created": 1}],
    },
    {
        "name": "upscaling",
        "options": {"engine": "fake", "task": "upscaling"},
        "models": [{"id": "repeater", "created": 1}],
    },
    {
        "name": "depth",
        "options": {"engine": "fake", "task": "depth"},
        "models": [{"id": "bright", "created": 1}],
    },
    {
        "name": "video",
        "options": {"engine": "fake", "task": "video"},
        "models": [{"id": "lights", "created": 1}],
    },
    {
        "name": "interpolation",
        "options": {"engine": "fake", "task": "interpolation"},
        "models": [{"id": "flow", "created": 1}],
    },
    {"name": "media", "options": {"engine": "fake", "task": "media"}},
]
MakeContext = Callable[..., Context]


@pytest.fixture
def make_context(tmp_path: Path, prepared: Prepared) -> Iterator[MakeContext]:
    """A context over fakes; keyword arguments replace sections of the configuration."""
    databases: list[Database] = []

    def make(
        *,
        environment: Mapping[str, str] | None = None,
        runs: Mapping[str, Any] | None = None,
        statuses: Mapping[str, ModelStatus] | None = None,
        video_dub: Any = None,
        database_url: str | None = None,
        ticks: Callable[[], float] = time.monotonic,
        **sections: Any,
    ) -> Context:
        values = {
            "families": FAMILIES,
            "auth": {"required": False},
            "storage": {"data_dir": tmp_path},
        } | sections
        config = AppConfig.model_validate(values)
        blobs = FsspecBlobStore(tmp_path / "blobs")
        made: dict[str, Any] = {}
        for family in config.families:
            if family.name in (runs or {}):
                continue
            model = family.models[0] if family.models else Model(id=family.name)
            given = EngineSetup(
                config.storage, CommonArguments(model=model, path=None, blobs=blobs)
            )
            made[family.name] = make_engine(family.options, given)

        file = tmp_path / "polyphony.sqlite"
        is_new = not file.exists()
        if is_new:
            shutil.copyfile(prepared(environment or {}), file)
        database = Database(database_url) if database_url else opened(file)
        databases.append(database)
        if database_url or not is_new:
            prepare_access(database, environment or {}, passwords=CHEAP)
        return one_process(
            config,
            made | dict(runs or {}),
            database=database,
            blobs=blobs,
            access=access_over(
                database,
                config,
                passwords=CHEAP,
                forward_secret=(environment or {}).get("FORWARD_AUTH_SECRET"),
            ),
            statuses=statuses,
            pipelines=pipelines_with(video_dub),
            ring=KeyRing([RING]),
            ticks=ticks,
        )

    yield make
    for database in databases:
        database.close(wait=True)


def pipelines_with(dubber: Any) -> tuple[MakePipeline, ...]:
    """All of them, with a test's dubber in place of the real one."""
    if dubber is None:
        return PIPELINES
    others = [made for made in PIPELINES if made.operation is not DubVideo]
    return (*others, AlwaysThis(dubber))


class AlwaysThis:
    """A MakePipeline that answers with one object."""

    operation = DubVideo

    def __init__(self, dubber: Any) -> None:
        self._dubber = dubber

    def __call__(self, stage: Stages, blobs: BlobStore) -> Any:
        return self._dubber


def client_of(context: Context) -> httpx.AsyncClient:
    """An HTTP client of an app over this context."""
    transport = httpx.ASGITransport(create_app(context), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000")


@pytest.fixture
async def client(make_context: MakeContext) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the app with its defaults and no token needed."""
    async with client_of(make_context()) as client:
        yield client
