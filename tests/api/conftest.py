"""The app over fake engines, without a server and without Ray."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from argon2 import PasswordHasher

from deployments import fake
from serve_app.access.authentication import access_over
from serve_app.access.bootstrap import prepare_access
from serve_app.access.passwords import Passwords
from serve_app.api.app import create_app
from serve_app.api.context import Context
from serve_app.archive.archive import Archive
from serve_app.blobs.intake import MediaIntake
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.config import AppConfig
from serve_app.core.status import ModelStatus
from serve_app.database.connection import Database
from serve_app.database.migrate import migrate
from serve_app.models import Models

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
    {"name": "media", "options": {"engine": "fake", "task": "media"}},
]
ENGINES = {
    "chat": fake.FakeChat,
    "embeddings": fake.FakeEmbeddings,
    "rerank": fake.FakeRerank,
    "speech": fake.FakeSpeech,
    "transcription": fake.FakeTranscription,
    "media": fake.FakeMedia,
}
CHEAP = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
MakeContext = Callable[..., Context]


@pytest.fixture
def make_context(tmp_path: Path) -> Iterator[MakeContext]:
    """A context over fakes; keyword arguments replace sections of the configuration."""
    databases: list[Database] = []

    def make(
        *,
        environment: Mapping[str, str] | None = None,
        runs: Mapping[str, Any] | None = None,
        statuses: Mapping[str, ModelStatus] | None = None,
        video_dub: Any = None,
        **sections: Any,
    ) -> Context:
        values = {"families": FAMILIES, "auth": {"required": False}} | sections
        config = AppConfig.model_validate(values)
        blobs = FsspecBlobStore(tmp_path / "blobs")
        made: dict[str, Any] = {}
        for family in config.families:
            model = family.models[0] if family.models else None
            engine = ENGINES[family.options.task]
            made[family.name] = engine(family.options, model, blobs=blobs)  # type: ignore[arg-type]

        async def all_statuses() -> Mapping[str, ModelStatus]:
            return statuses or {}

        database = Database(f"sqlite:///{tmp_path / 'polyphony.sqlite'}")
        migrate(database)
        databases.append(database)
        prepare_access(database, environment or {}, passwords=CHEAP)
        archive = Archive(database, blobs, config.archive)
        return Context(
            config=config,
            models=Models(
                config, made | dict(runs or {}), statuses=all_statuses, video_dub=video_dub
            ),
            blobs=blobs,
            intake=MediaIntake(
                blobs,
                config.limits,
                public_url=config.server.public_url,
                find_archived=archive.find_file,
            ),
            access=access_over(database, config, passwords=CHEAP),
            database=database,
            archive=archive,
        )

    yield make
    for database in databases:
        database.close()


def client_of(context: Context) -> httpx.AsyncClient:
    """An HTTP client of an app over this context."""
    transport = httpx.ASGITransport(create_app(context), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000")


@pytest.fixture
async def client(make_context: MakeContext) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the app with its defaults and no token needed."""
    async with client_of(make_context()) as client:
        yield client
