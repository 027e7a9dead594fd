"""What `make models` and the start say of models in packages."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from serve_app.core.config import AppConfig
from serve_app.launch.config_file import read_plan
from serve_app.launch.fetch_models import main
from serve_app.launch.model_files_here import first_use_lines
from serve_app.launch.package_table import BEGIN, END, replaced
from tests.packages import LICENCE, PackageIndex, sha256

ROOT = Path(__file__).parents[2]
WEIGHTS = b"weights" * 300_000


def families() -> list[dict[str, Any]]:
    packaged = {
        "package": "tiny==1.0",
        "files": {"model.bin": sha256(WEIGHTS)},
        "size_bytes": len(WEIGHTS),
        **LICENCE,
    }
    options = {"engine": "fake", "task": "chat"}
    return [
        {"name": "built-in", "options": options, "models": [{"id": "built-in"}]},
        {"name": "one", "options": options, "models": [{"id": "one", "source": packaged}]},
        {"name": "two", "options": options, "models": [{"id": "two", "source": packaged}]},
        {"name": "hub", "options": options, "models": [{"id": "far", "source": "org/far"}]},
    ]


def configuration(folder: Path) -> Path:
    args = {"families": families(), "storage": {"data_dir": str(folder / "data")}}
    args["auth"] = {"required": False}
    entry = {"import_path": "serve_app.build:build", "route_prefix": "/", "args": args}
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump({"applications": [entry]}))
    return path


def test_everything_in_packages_is_fetched(
    package_index: PackageIndex, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configuration(tmp_path)
    assert main(["--config", str(config)]) == 1
    assert "one: model 'one': package 'tiny==1.0' cannot be downloaded" in capsys.readouterr().out

    package_index.add("tiny", {"tiny/model.bin": WEIGHTS})
    before = list(first_use_lines(read_plan(config).application.args))
    assert before == [
        "  here:",
        "    chat           built-in",
        "  fetched at first use, 2 MB in all, or now by `make models`:",
        "    chat           one (2 MB), two (with one)",
        "  with access to a model hub only:",
        "    chat           far",
    ]
    assert main(["--config", str(config)]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "one: 2 MB, MIT, https://example.com/tiny"
    assert "one: 100 %" in printed
    assert printed[-1] == f"all models in packages are here: 2 MB in {tmp_path / 'data/models'}"
    after = list(first_use_lines(read_plan(config).application.args))
    assert after[:2] == ["  here:", "    chat           built-in, one, two"]
    assert main(["--config", str(config)]) == 0
    assert "one: here already" in capsys.readouterr().out
    assert len(package_index.sent) == 1


def test_the_start_lists_models_in_the_order_of_the_tour() -> None:
    config = read_plan(ROOT / "serve_config.local.yaml").application.args
    lines = list(first_use_lines(config))
    headings = [line for line in lines if line.endswith(":")]
    assert headings[0] == "  here:"
    assert headings[-1] == "  with access to a model hub only:"
    here = [line.split()[0] for line in lines[1 : lines.index(headings[1])]]
    order = ["chat", "embeddings", "speech", "transcription", "images", "video", "media"]
    assert [task for task in order if task in here] == [task for task in here if task in order]
    listed = " ".join(lines)
    for family in config.families:
        assert all(model.id in listed for model in family.models)


def test_a_wrong_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config", str(tmp_path / "none.yaml")]) == 2
    assert "No such file" in capsys.readouterr().err


def test_the_page_has_every_package_of_the_local_default() -> None:
    config = read_plan(ROOT / "serve_config.local.yaml").application.args
    text = (ROOT / "docs" / "models.md").read_text()
    assert BEGIN in text
    assert END in text
    assert replaced(text, config) == text, (
        "run: python -m serve_app.launch.package_table serve_config.local.yaml docs/models.md"
    )


def test_no_package_is_there_without_a_licence_and_an_origin() -> None:
    text = (ROOT / "docs" / "models.md").read_text()
    config = read_plan(ROOT / "serve_config.local.yaml").application.args
    packaged = [m.packaged for f in config.families for m in f.models if m.packaged is not None]
    assert packaged
    for source in packaged:
        for package in source.package:
            assert f"`{package}`" in text
        assert source.licence in text
        assert source.origin in text


def test_models_of_one_source_share_a_row() -> None:
    config = AppConfig.model_validate({"families": families()})
    assert replaced(f"a{BEGIN}old{END}b", config).count("`one`, `two`") == 1
