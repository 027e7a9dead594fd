import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from serve_app.core.errors import BackendUnavailable
from serve_app.core.status import ModelStatus
from serve_app.family.download_progress import DownloadProgress
from serve_app.family.model_files import Hub, locate, wanted_files
from tests.hubs import FILES, SHA, WEIGHTS, TinyHub


class Reports:
    def __init__(self) -> None:
        self.all: list[ModelStatus] = []

    def __call__(self, status: ModelStatus) -> None:
        self.all.append(status)


def located(
    source: str,
    tmp_path: Path,
    *,
    endpoint: str = "http://127.0.0.1:1",
    revision: str | None = None,
    reports: Reports | None = None,
) -> Path:
    return locate(
        source,
        revision=revision,
        model_id="tiny",
        data_dir=tmp_path,
        report=reports or Reports(),
        hub=Hub(endpoint=endpoint, cache_dir=tmp_path / "cache"),
    )


def test_a_directory_is_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models" / "mine").mkdir(parents=True)
    expected = tmp_path / "models" / "mine"
    assert located(str(expected), tmp_path) == expected
    assert located("models/mine", tmp_path) == expected
    monkeypatch.chdir(tmp_path / "models")
    assert located("./mine", tmp_path / "elsewhere") == expected


@pytest.mark.parametrize("source", ["./nowhere", "../nowhere", "/nowhere/at/all", "~/nowhere"])
def test_a_path_that_does_not_exist(source: str, tmp_path: Path) -> None:
    with pytest.raises(BackendUnavailable, match=re.escape(repr(source))) as caught:
        located(source, tmp_path)
    assert str(tmp_path) not in caught.value.message
    assert caught.value.retry_after_s is None


@pytest.mark.parametrize("source", ["a/b/c", "two words", "x" * 200])
def test_a_source_that_is_no_id(source: str, tmp_path: Path) -> None:
    with pytest.raises(BackendUnavailable, match="neither a directory nor a hub id"):
        located(source, tmp_path)


def test_only_what_is_needed_comes_and_is_counted(hub: TinyHub, tmp_path: Path) -> None:
    reports = Reports()
    path = located("org/tiny", tmp_path, endpoint=hub.url, reports=reports)
    names = {file.name for file in path.iterdir()}
    assert names == {"config.json", "tokenizer.json", "model.safetensors", "README.md"}
    assert (path / "model.safetensors").read_bytes() == WEIGHTS
    total = sum(len(FILES[name]) for name in names)
    downloading = [status for status in reports.all if status.state == "downloading"]
    assert (downloading[0].bytes_done, downloading[0].bytes_total) == (0, total)
    assert (downloading[-1].bytes_done, downloading[-1].bytes_total) == (total, total)
    assert [s.bytes_done for s in downloading] == sorted(s.bytes_done or 0 for s in downloading)
    assert reports.all[-1] == ModelStatus(id="tiny", state="loading")


def test_what_is_whole_in_the_cache_needs_no_hub(hub: TinyHub, tmp_path: Path) -> None:
    path = located("org/tiny", tmp_path, endpoint=hub.url)
    asked = len(hub.requests)
    assert located("org/tiny", tmp_path, endpoint=hub.url) == path
    assert len(hub.requests) == asked
    assert located("org/tiny", tmp_path) == path


def test_another_revision_is_another_matter(hub: TinyHub, tmp_path: Path) -> None:
    located("org/tiny", tmp_path, endpoint=hub.url)
    with pytest.raises(BackendUnavailable, match="hub is unreachable"):
        located("org/tiny", tmp_path, revision="v1")
    assert located("org/tiny", tmp_path, endpoint=hub.url, revision="v1").name == SHA
    assert located("org/tiny", tmp_path, revision="v1").name == SHA


def test_a_connection_that_breaks_is_resumed(hub: TinyHub, tmp_path: Path) -> None:
    hub.cut["model.safetensors"] = 1000
    reports = Reports()
    path = located("org/tiny", tmp_path, endpoint=hub.url, reports=reports)
    assert (path / "model.safetensors").read_bytes() == WEIGHTS
    last = [status for status in reports.all if status.state == "downloading"][-1]
    assert last.bytes_done == last.bytes_total


def test_a_download_that_failed_goes_on_with_the_next_file(hub: TinyHub, tmp_path: Path) -> None:
    hub.fails["/model.safetensors"] = (403, "")
    with pytest.raises(BackendUnavailable, match="refused by the hub"):
        located("org/tiny", tmp_path, endpoint=hub.url)
    hub.fails.clear()
    hub.requests.clear()
    reports = Reports()
    located("org/tiny", tmp_path, endpoint=hub.url, reports=reports)
    fetched = [line for line in hub.requests if line.startswith("GET") and "resolve" in line]
    assert fetched == [f"GET /org/tiny/resolve/{SHA}/model.safetensors"]
    small = sum(len(FILES[name]) for name in ("config.json", "tokenizer.json", "README.md"))
    assert reports.all[0].bytes_done == small


@pytest.mark.parametrize(
    ("end", "answer", "words"),
    [
        ("/tiny", (404, "RepoNotFound"), "is not on the hub, or is private"),
        ("/tiny", (401, ""), "is not on the hub, or is private: .* set HF_TOKEN"),
        ("/config.json", (401, "GatedRepo"), "is gated: accept its licence .* HF_TOKEN"),
        ("/tiny", (403, "GatedRepo"), "is gated: accept its licence .* HF_TOKEN"),
        ("/tiny", (403, ""), "refused by the hub: set HF_TOKEN"),
        ("/v1", (404, "RevisionNotFound"), "has no revision 'v1' on the hub"),
        ("/tiny", (503, ""), "the hub answered with status 503"),
    ],
)
def test_the_cause_and_the_remedy_are_named(
    hub: TinyHub, tmp_path: Path, end: str, answer: tuple[int, str], words: str
) -> None:
    hub.fails[end] = answer
    revision = "v1" if end == "/v1" else None
    with pytest.raises(BackendUnavailable, match=words) as caught:
        located("org/tiny", tmp_path, endpoint=hub.url, revision=revision)
    assert caught.value.retry_after_s is None
    assert "'tiny'" in caught.value.message
    assert "127.0.0.1" not in caught.value.message
    assert str(tmp_path) not in caught.value.message


def test_no_hub(tmp_path: Path) -> None:
    with pytest.raises(BackendUnavailable, match=r"hub is unreachable .* check the network"):
        located("org/tiny", tmp_path)


def test_a_repository_without_weights(hub: TinyHub, tmp_path: Path) -> None:
    hub.files = {"config.json": b"{}", "model.gguf": b"gguf"}
    with pytest.raises(BackendUnavailable, match="has no weights"):
        located("org/tiny", tmp_path, endpoint=hub.url)


def test_more_than_the_disk_has(hub: TinyHub, tmp_path: Path) -> None:
    class Huge(bytes):
        def __len__(self) -> int:
            return 2**60

    hub.files["model.safetensors"] = Huge()
    with pytest.raises(BackendUnavailable, match=r"more bytes on disk .* HF_HOME"):
        located("org/tiny", tmp_path, endpoint=hub.url)


def test_the_environment_names_hub_cache_and_offline(hub: TinyHub, tmp_path: Path) -> None:
    script = (
        "import sys\nfrom pathlib import Path\nfrom serve_app.family.model_files import locate\n"
        "from serve_app.core.errors import BackendUnavailable\n"
        "try:\n    print(locate('org/tiny', revision=None, model_id='tiny', "
        "data_dir=Path('.'), report=lambda status: None))\n"
        "except BackendUnavailable as error:\n    print(error.message)\n"
        "assert 'torch' not in sys.modules\n"
    )

    def run(**changes: str) -> str:
        changes |= {"HF_HOME": str(tmp_path / "home"), "HF_ENDPOINT": hub.url}
        done = subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, **changes},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    assert "HF_HUB_OFFLINE is set; unset it" in run(HF_HUB_OFFLINE="1")
    path = Path(run())
    assert path.is_relative_to(tmp_path / "home")
    assert run(HF_HUB_OFFLINE="1") == str(path)


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (["model.bin", "vocabulary.txt"], ["vocabulary.txt", "model.bin"]),
        (["pytorch_model.bin", "config.json"], ["config.json", "pytorch_model.bin"]),
        (
            ["model.safetensors", "2_Dense/pytorch_model.bin", "pytorch_model.bin"],
            ["2_Dense/pytorch_model.bin", "model.safetensors"],
        ),
        (
            ["consolidated.safetensors", "model-00001-of-00002.safetensors", "tekken.json"],
            ["tekken.json", "model-00001-of-00002.safetensors"],
        ),
        (["consolidated.safetensors"], ["consolidated.safetensors"]),
        (["train_log/flownet.pkl", "README.md"], ["README.md", "train_log/flownet.pkl"]),
        (["flownet.safetensors", "flownet.pkl"], ["flownet.safetensors"]),
        (["model.fp16.safetensors", "model.safetensors"], ["model.safetensors"]),
        (["original/consolidated.00.pth", "tf_model.h5", ".gitattributes"], []),
    ],
)
def test_which_files_are_wanted(names: list[str], wanted: list[str]) -> None:
    assert wanted_files(names) == wanted


def test_a_shard_that_is_missing_makes_the_cache_not_whole(hub: TinyHub, tmp_path: Path) -> None:
    shards = [f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    index = {"weight_map": dict(zip("ab", shards, strict=True))}
    hub.files = {"config.json": b"{}", "model.safetensors.index.json": json.dumps(index).encode()}
    hub.files |= {shard: shard.encode() for shard in shards}
    path = located("org/tiny", tmp_path, endpoint=hub.url)
    assert located("org/tiny", tmp_path) == path
    (path / shards[1]).unlink()
    with pytest.raises(BackendUnavailable, match="hub is unreachable"):
        located("org/tiny", tmp_path)
    assert located("org/tiny", tmp_path, endpoint=hub.url) == path
    assert (path / shards[1]).read_bytes() == shards[1].encode()


PIPELINE = {
    "_class_name": "StableDiffusionPipeline",
    "requires_safety_checker": False,
    "scheduler": ["diffusers", "DDIMScheduler"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
    "safety_checker": [None, None],
}
SHARDS = [f"diffusion_pytorch_model-0000{i}-of-00002.safetensors" for i in (1, 2)]
PARTS = {
    "model_index.json": json.dumps(PIPELINE).encode(),
    "scheduler/scheduler_config.json": b"{}",
    "tokenizer/tokenizer_config.json": b"{}",
    "unet/config.json": b"{}",
    "unet/diffusion_pytorch_model.safetensors.index.json": json.dumps(
        {"weight_map": dict(zip("ab", SHARDS, strict=True))}
    ).encode(),
    **{f"unet/{shard}": shard.encode() for shard in SHARDS},
    "vae/config.json": b"{}",
    "vae/diffusion_pytorch_model.safetensors": WEIGHTS,
}


@pytest.mark.parametrize(
    "missing",
    [
        "scheduler/scheduler_config.json",
        "tokenizer/tokenizer_config.json",
        f"unet/{SHARDS[1]}",
        "vae/diffusion_pytorch_model.safetensors",
    ],
)
def test_a_pipeline_is_whole_with_all_its_parts(hub: TinyHub, tmp_path: Path, missing: str) -> None:
    hub.files = PARTS
    path = located("org/tiny", tmp_path, endpoint=hub.url)
    assert located("org/tiny", tmp_path) == path
    (path / missing).unlink()
    with pytest.raises(BackendUnavailable, match="hub is unreachable"):
        located("org/tiny", tmp_path)
    assert located("org/tiny", tmp_path, endpoint=hub.url) == path
    assert (path / missing).read_bytes() == PARTS[missing]


@pytest.mark.parametrize(
    "files",
    [
        {"RealESRGAN_x4.pth": b"a"},
        {"pytorch_lora_weights.safetensors": b"a", "README.md": b"#"},
        {"train_log/flownet.pkl": b"a"},
        {"models/ip-adapter.safetensors": b"a", "sdxl/ip-adapter.safetensors": b"b"},
        {"modules.json": b"[]", "0_CLIP/config.json": b"{}", "0_CLIP/model.safetensors": b"a"},
        {"955717e8.th": b"a", "f7e0c4bc.th": b"b", "htdemucs_ft.yaml": b"models: []"},
        {"model.bin": b"a", "vocabulary.txt": b"b"},
        {"params.json": b"{}", "consolidated.safetensors": b"a"},
    ],
    ids=lambda files: next(iter(files)),
)
def test_whatever_came_whole_needs_no_hub(
    hub: TinyHub, tmp_path: Path, files: dict[str, bytes]
) -> None:
    hub.files = files
    path = located("org/tiny", tmp_path, endpoint=hub.url)
    assert located("org/tiny", tmp_path) == path


def test_weights_of_which_nothing_says_how_many_there_are(hub: TinyHub, tmp_path: Path) -> None:
    hub.files = {"a.pth": b"a", "b.pth": b"b"}
    hub.fails["/b.pth"] = (403, "")
    with pytest.raises(BackendUnavailable, match="refused by the hub"):
        located("org/tiny", tmp_path, endpoint=hub.url)
    for revision in (None, SHA):
        with pytest.raises(BackendUnavailable, match="hub is unreachable"):
            located("org/tiny", tmp_path, revision=revision)
    hub.fails.clear()
    path = located("org/tiny", tmp_path, endpoint=hub.url)
    for revision in (None, SHA):
        assert located("org/tiny", tmp_path, revision=revision) == path


def test_the_time_left_is_told_once_it_is_known() -> None:
    now = [0.0]
    reports = Reports()
    progress = DownloadProgress("m", reports, total=1000, done=200, clock=lambda: now[0])
    now[0] = 1.0
    progress.add(100)
    now[0] = 4.0
    progress.add(100)
    assert [(s.bytes_done, s.eta_s) for s in reports.all] == [(200, None), (300, None), (400, 12.0)]
    progress.add(-200)
    progress.finish_file(800)
    assert reports.all[-1].bytes_done == 1000
    assert reports.all[-1].eta_s == 0.0
