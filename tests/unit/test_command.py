"""The command `polyphony`, as far as it starts no server."""

from pathlib import Path

import pytest
import yaml

from serve_app import __version__
from serve_app.launch.command import main
from serve_app.launch.shipped import shipped_file, usual_configuration

ROOT = Path(__file__).parents[2]


def written(folder: Path, **args: object) -> str:
    """A configuration with a chat family on a share of a GPU."""
    family = {
        "name": "chat",
        "options": {"engine": "fake", "task": "chat"},
        "models": [{"id": "echo"}],
        "placement": {"gpus": 0.5, "cpus": 2, "min_replicas": 1, "max_replicas": 3},
    }
    content = {"auth": {"required": False}, "families": [family], **args}
    application = {"import_path": "serve_app.build:build", "args": content}
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump({"applications": [application]}))
    return str(file)


def test_what_a_configuration_needs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", written(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["deployment", "engine", "models", "GPUs", "CPUs", "replicas"]
    row = next(line for line in lines if line.startswith("chat"))
    assert row.split() == ["chat", "fake", "echo", "0.5", "2", "1", "to", "3"]
    assert lines[-1] == (
        "always there: 0.5 GPUs and 2 CPUs; with every replica: 1.5 GPUs and 6 CPUs"
    )


@pytest.mark.parametrize(
    ("nodes", "status", "last"),
    [
        (["1:1"], 1, "no room for chat"),
        (["0:8"], 1, "no room for chat"),
        (["1:4"], 0, "not all replicas fit at the same time: chat would wait"),
        (["1:2"], 0, "not all replicas fit at the same time: chat (2 replicas) would wait"),
        (["2:6"], 0, "what is always there fits"),
    ],
)
def test_whether_it_fits(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    nodes: list[str],
    status: int,
    last: str,
) -> None:
    arguments = [f"--node={node}" for node in nodes]
    assert main(["check", written(tmp_path), *arguments]) == status
    assert capsys.readouterr().out.splitlines()[-1] == last


@pytest.mark.parametrize(
    ("args", "nodes", "message"),
    [
        ({"familys": []}, [], "unknown key 'familys'"),
        ({}, ["1"], "'1' is not GPUS:CPUS, such as 8:96"),
        ({}, ["1:8", "1:8"], "storage.database_url: SQLite works on one node only"),
    ],
)
def test_what_is_wrong(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    args: dict[str, object],
    nodes: list[str],
    message: str,
) -> None:
    arguments = [f"--node={node}" for node in nodes]
    assert main(["check", written(tmp_path, **args), *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_share_of_more_than_one_gpu(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", written(tmp_path, ingress={"gpus": 1.5})]) == 2
    assert "1.5 GPUs: a share of one is below 1, more than one are whole" in capsys.readouterr().err


def test_missing_credentials_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("API_TOKENS", raising=False)
    monkeypatch.delenv("ADMIN_TOKEN", raising=False)
    config = written(tmp_path, auth={"required": True})
    assert main(["check", config]) == 0
    assert "the first start makes an admin token" in capsys.readouterr().out
    monkeypatch.setenv("API_TOKENS", "sk-a")
    assert main(["check", config]) == 0
    assert "admin token" not in capsys.readouterr().out


@pytest.mark.parametrize(("node", "status"), [("1:16", 1), ("8:96", 0)])
def test_the_shipped_configuration_for_clusters(node: str, status: int) -> None:
    """The chat model has a GPU of its own, and others are there besides."""
    assert main(["check", str(ROOT / "serve_config.yaml"), "--node", node]) == status


def test_models_are_fetched(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", written(tmp_path)]) == 0
    assert "all models in packages are here: 0 MB" in capsys.readouterr().out


def test_the_database_is_copied(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    urls = [f"sqlite:///{tmp_path / name}.sqlite" for name in ("one", "two")]
    assert main(["db", "copy", *urls]) == 0
    assert "tokens: 0" in capsys.readouterr().out


def test_a_configuration_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "nothing.yaml"]) == 2
    assert capsys.readouterr().err == "nothing.yaml: No such file or directory\n"


@pytest.mark.parametrize("arguments", [[], ["begin"], ["db"], ["check", "a", "b"]])
def test_wrong_arguments(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("usage: polyphony")


def test_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"polyphony {__version__}\n"


def test_the_usual_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert usual_configuration() == ROOT / "serve_config.local.yaml"
    (tmp_path / "serve_config.local.yaml").write_text("")
    assert usual_configuration() == Path("serve_config.local.yaml")
    assert shipped_file("serve.env") == ROOT / "serve.env"
