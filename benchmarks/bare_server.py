"""The same routes and the same fake engine in one uvicorn process, without a hop: what the HTTP
surface itself costs. Started by `overhead.py` as `bare_server.py <config> <port>`.
"""

import os
import sys
import tempfile
from pathlib import Path

import uvicorn
import yaml

from deployments.fakes.engine import FakeChat
from serve_app.access.authentication import access_over
from serve_app.access.bootstrap import prepare_access
from serve_app.api.app import create_app
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.config import AppConfig, Family
from serve_app.core.options.fake import FakeOptions
from serve_app.database.connection import Database
from serve_app.database.migrate import migrate
from serve_app.one_process import one_process


def main(config_file: str, port: int) -> None:
    """Serve until told to stop."""
    args = yaml.safe_load(Path(config_file).read_text())["applications"][0]["args"]
    with tempfile.TemporaryDirectory() as data:
        database = Database(f"sqlite:///{data}/polyphony.sqlite")
        migrate(database)
        prepare_access(database, os.environ)
        blobs = FsspecBlobStore(f"{data}/blobs")
        config = AppConfig.model_validate(args)
        context = one_process(
            config,
            {family.name: _engine(family, blobs) for family in config.families},
            database=database,
            blobs=blobs,
            access=access_over(database, config),
        )
        app = create_app(context)
        uvicorn.run(
            app, port=port, loop="uvloop", http="httptools", log_level="error", access_log=False
        )


def _engine(family: Family, blobs: FsspecBlobStore) -> FakeChat:
    assert isinstance(family.options, FakeOptions)
    return FakeChat(family.options, family.models[0], blobs=blobs)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
