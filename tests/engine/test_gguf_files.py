"""Files that llama.cpp cannot load."""

import struct
from pathlib import Path

import pytest

from deployments.text.llama_cpp.gguf_file import read_gguf
from deployments.text.llama_cpp_chat import LlamaCppChat
from deployments.text.llama_cpp_rerank import LlamaCppRerank
from serve_app.core.config import Family, Model
from serve_app.core.errors import BackendUnavailable
from serve_app.core.options.text import LlamaCppOptions
from serve_app.core.settings import Storage
from serve_app.family.memory.ledger import MemoryLedger
from serve_app.family.memory.loader import FamilyLoader
from tests.engine.gguf_writer import text_of


def gguf(architecture: str = "rubbish", *, length: int = 64) -> bytes:
    """A file with one tensor of `length` bytes."""
    entries = {"general.architecture": architecture, "tokenizer.chat_template": "hi"}
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, len(entries))
    for key, value in entries.items():
        head += text_of(key) + struct.pack("<I", 8) + text_of(value)
    head += text_of("weight") + struct.pack("<IQIQ", 1, length // 4, 0, 0)
    return head + b"\0" * (-len(head) % 32) + b"\1" * length


def load(path: Path, **options: object) -> None:
    chosen = LlamaCppOptions.model_validate({"task": "chat"} | options)
    LlamaCppChat(chosen, Model(id="m"), path=path, blobs=None)  # type: ignore[arg-type]


def test_metadata_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.gguf"
    path.write_bytes(gguf())
    file = read_gguf(path)
    assert (file.architecture, file.chat_template, file.vocabulary) == ("rubbish", "hi", 0)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no GGUF file"),
        (b"hello" * 100, "no GGUF file"),
        (gguf()[:60], "cut off or damaged"),
        (gguf()[:-128], "cut off"),
        (b"GGUF" + struct.pack("<IQQ", 9, 0, 0), "version 9"),
        (b"GGUF" + struct.pack("<IQQ", 3, 2**60, 2**60), "damaged"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 2**60), "damaged"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "broken.gguf"
    path.write_bytes(content)
    with pytest.raises(BackendUnavailable, match=rf"'broken.gguf' cannot be loaded: .*{reason}"):
        load(path)


def test_an_architecture_that_is_not_known_is_named(tmp_path: Path) -> None:
    path = tmp_path / "odd.gguf"
    path.write_bytes(gguf())
    with pytest.raises(BackendUnavailable, match=r"'odd.gguf' .*'rubbish'"):
        load(tmp_path)


def test_one_of_several_files_is_named_by_the_options(tmp_path: Path) -> None:
    for name in ("a.gguf", "b.gguf", "mmproj.gguf"):
        (tmp_path / name).write_bytes(gguf())
    with pytest.raises(BackendUnavailable, match=r"several GGUF files: a.gguf, b.gguf"):
        load(tmp_path)
    with pytest.raises(BackendUnavailable, match=r"'b.gguf' cannot be loaded"):
        load(tmp_path, file="b.gguf")
    with pytest.raises(BackendUnavailable, match=r"no file 'c.gguf'"):
        load(tmp_path, file="c.gguf")


def test_a_directory_without_one(tmp_path: Path) -> None:
    with pytest.raises(BackendUnavailable, match="no GGUF file"):
        load(tmp_path)


def test_a_model_that_scores_nothing_is_no_reranker(tmp_path: Path) -> None:
    path = tmp_path / "a.gguf"
    path.write_bytes(gguf())
    options = LlamaCppOptions(task="rerank")
    with pytest.raises(BackendUnavailable, match="no reranker"):
        LlamaCppRerank(options, Model(id="m"), path=path, blobs=None)  # type: ignore[arg-type]


def test_a_file_larger_than_memory_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.gguf"
    path.write_bytes(gguf())
    with path.open("r+b") as file:
        file.truncate(2**40)
    family = {
        "name": "huge",
        "options": {"engine": "llama_cpp", "task": "chat"},
        "models": [{"id": "huge", "source": str(path)}],
    }
    loader = FamilyLoader(
        Family.model_validate(family),
        Storage(data_dir=tmp_path),
        MemoryLedger(tmp_path / "ledger.sqlite"),
        {},
        free=lambda _: 4096.0,
        wait_s=0.0,
    )
    with pytest.raises(BackendUnavailable, match=r"'huge' needs about 1,?228.8 GiB") as caught:
        loader.load(Model(id="huge", source=str(path)), lambda _: None)
    assert caught.value.code == "out_of_memory"
