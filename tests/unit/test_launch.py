"""What happens before anything is started: the file, the port, the environment."""

import json
import os
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from serve_app.launch.config_file import ConfigurationError, read_plan
from serve_app.launch.environment import (
    OWN_PORTS,
    free_ports,
    load_environment,
    one_machine,
    parse_environment,
    runtime_directory,
)
from serve_app.launch.haproxy import binary, corrected, write_errors
from serve_app.launch.phases import first_line
from serve_app.launch.ports import holder_of, port_problem
from serve_app.launch.processes import descendants, end_descendants
from serve_app.launch.ray_token import token_notices
from serve_app.launch.second_try import started
from serve_app.launch.start import CONFIGURATION, main, prepare

ROOT = Path(__file__).parents[2]
VALID = """
http_options: {host: 127.0.0.1, port: 8123}
applications:
- import_path: serve_app.build:build
  args:
    auth: {required: false}
    families: [{name: text, options: {engine: fake, task: chat}, models: [{id: echo}]}]
"""
SLEEPER = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"


def plan_of(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "config.yaml"
    file.write_text(text)
    return file


def error_of(file: Path) -> str:
    with pytest.raises(ConfigurationError) as caught:
        read_plan(file)
    return str(caught.value).replace(str(file), "FILE")


@pytest.mark.parametrize(
    "name", ["serve_config.yaml", "serve_config.local.yaml", "serve_config.hub.yaml"]
)
def test_the_shipped_configurations_are_valid(name: str) -> None:
    plan = read_plan(ROOT / name)
    assert plan.application.args.names_for("chat")


def test_the_cluster_configuration_needs_credentials_and_shares_gpus() -> None:
    config = read_plan(ROOT / "serve_config.yaml").application.args
    assert config.auth.required
    shares = [family.placement.gpus for family in config.families]
    assert any(0 < share < 1 for share in shares)


def test_the_local_configuration_needs_no_hub_for_its_defaults() -> None:
    config = read_plan(ROOT / "serve_config.local.yaml").application.args
    models = {name: m for f in config.families for m in f.models for name in (m.id, *m.aliases)}
    for name in (config.defaults.model_extra or {}).values():
        source = models[name].source
        assert source is None or models[name].packaged or str(source).startswith("builtin:")


def test_only_chat_is_there_before_it_is_asked_for() -> None:
    config = read_plan(ROOT / "serve_config.local.yaml").application.args
    (chat,) = (family for family in config.families if family.placement.min_replicas > 0)
    assert config.defaults.of("chat") in {model.id for model in chat.models}
    assert all(family.placement.cpus == 0 for family in config.families)


def test_the_configuration_for_the_hub_does_what_the_local_one_does() -> None:
    local, hub = (
        read_plan(ROOT / f"serve_config.{name}.yaml").application.args for name in ("local", "hub")
    )
    tasks = {family.options.task for family in hub.families}
    assert tasks >= {family.options.task for family in local.families}
    assert hub.pipelines == local.pipelines
    trained = {model.id: model.source for family in local.families for model in family.models}
    shared = [m for f in hub.families for m in f.models if m.packaged is not None]
    assert {model.id for model in shared} >= {"kokoro", "span", "u2netp", "rife-4.25"}
    assert all(model.source == trained[model.id] for model in shared)
    sources = [str(s) for f in hub.families for m in f.models for s in m.sources]
    assert not [source for source in sources if source.startswith("builtin:")]


def test_host_and_port_can_be_replaced(tmp_path: Path) -> None:
    plan = read_plan(plan_of(tmp_path, VALID), port=9999)
    assert (plan.http.host, plan.http.port) == ("127.0.0.1", 9999)
    assert plan.application.route_prefix == "/"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("fake, task: chat}", "fake, task: chat", "FILE: line 7, column 86: expected ',' or '}'"),
        ("127.0.0.1", "0.0.0.0", "http_options.host: '0.0.0.0' is not a loopback address"),
        ("8123", "80000", "FILE: http_options.port: input should be less than or equal to 65535"),
        ("serve_app.build:build", "x:y", "FILE: applications.0.import_path: input should be"),
        ("engine: fake", "engine: fakes", "FILE: applications.0.args.families.0.options: "),
        ("auth:", "auths:", "FILE: applications.0.args: unknown key 'auths'; keys: server, auth"),
    ],
)
def test_wrong_files(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert error_of(plan_of(tmp_path, VALID.replace(old, new, 1))).startswith(message)


def test_a_missing_file(tmp_path: Path) -> None:
    assert error_of(tmp_path / "nothing.yaml") == "FILE: No such file or directory"


def test_a_wrong_file_ends_with_its_status_and_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = plan_of(tmp_path, VALID.replace("echo", "no good"))
    assert main(["--config", str(file)]) == CONFIGURATION
    assert capsys.readouterr().err.count("\n") == 1


def test_a_taken_port_names_its_holder() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        problem = port_problem("127.0.0.1", port)
        assert problem is not None
        assert f"(pid {os.getpid()})" in problem
        assert "make serve PORT=" in problem
        holder = holder_of(port)
        assert holder is not None
        assert holder.pid == os.getpid()
    assert port_problem("127.0.0.1", port) is None


def test_an_orphaned_haproxy_is_recognised(tmp_path: Path) -> None:
    """The name is that of the program, as the kernel tells it."""
    program = tmp_path / "haproxy"
    program.symlink_to(sys.executable)
    (port,) = free_ports(1)
    code = (
        "import socket; s = socket.socket(); "
        f"s.bind(('127.0.0.1', {port})); s.listen(); print('up', flush=True); input()"
    )
    with subprocess.Popen(
        [program, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as orphan:
        assert orphan.stdout is not None
        assert orphan.stdout.readline() == b"up\n"
        problem = port_problem("127.0.0.1", port)
        orphan.kill()
    assert problem == (
        f"port {port} is held by an HAProxy (pid {orphan.pid}) that a killed server left behind; "
        f"end it with: kill {orphan.pid}"
    )


def test_the_environment_file_is_read_by_shells_and_by_us() -> None:
    file = ROOT / "serve.env"
    ours = dict(parse_environment(file.read_text()))
    assert ours["RAY_SERVE_THROUGHPUT_OPTIMIZED"] == "1"
    assert ours["RAY_SERVE_ENABLE_HA_PROXY"] == "1"
    script = "set -a; . ./serve.env; set +a; env"
    shell = subprocess.run(
        ["sh", "-c", script], cwd=ROOT, capture_output=True, check=True, text=True
    )
    assert {f"{name}={value}" for name, value in ours.items()} <= set(shell.stdout.splitlines())


def test_what_is_set_already_wins(tmp_path: Path) -> None:
    file = tmp_path / "serve.env"
    file.write_text("# comment=1\nA=file\nB=file\nC=$(command)\n")
    environment = {"A": "outside"}
    load_environment(file, environment)
    assert environment == {"A": "outside", "B": "file"}


def notices_of(tmp_path: Path, environment: dict[str, str]) -> list[str]:
    """What the start says of a configuration in a directory of its own."""
    (port,) = free_ports(1)
    plan = read_plan(plan_of(tmp_path, VALID), port=port)
    environment.setdefault("HOME", str(tmp_path))
    return prepare(plan, directories=(tmp_path,), environment=environment)


def test_a_missing_environment_file_is_said(tmp_path: Path) -> None:
    (notice,) = notices_of(tmp_path, {})
    assert notice.startswith(f"no serve.env in {tmp_path}: ")
    (tmp_path / "serve.env").write_text("A=1\n")
    environment: dict[str, str] = {}
    assert notices_of(tmp_path, environment) == []
    assert environment["A"] == "1"


def test_rays_doors_left_open_by_the_environment_are_said(tmp_path: Path) -> None:
    (tmp_path / "serve.env").write_text((ROOT / "serve.env").read_text())
    environment: dict[str, str] = {}
    assert notices_of(tmp_path, environment) == []
    assert environment["RAY_AUTH_MODE"] == "token"
    (notice,) = notices_of(tmp_path, {"RAY_AUTH_MODE": "Disabled"})
    assert notice.startswith("RAY_AUTH_MODE=Disabled is set: Ray's own ports need no token")


def test_rays_token_is_made_and_kept_to_its_owner(tmp_path: Path) -> None:
    usual, other = tmp_path / ".ray" / "auth_token", tmp_path / "other"
    environment = {"HOME": str(tmp_path)}
    assert token_notices(environment) == []
    token = usual.read_text()
    assert len(token) == 64
    assert stat.S_IMODE(usual.stat().st_mode) == 0o600
    usual.chmod(0o644)
    assert token_notices(environment) == []
    assert stat.S_IMODE(usual.stat().st_mode) == 0o600
    assert usual.read_text() == token
    assert token_notices({**environment, "RAY_AUTH_TOKEN_PATH": str(other)}) == []
    assert stat.S_IMODE(other.stat().st_mode) == 0o600
    assert [path.name for path in usual.parent.iterdir()] == ["auth_token"]
    usual.unlink()
    assert token_notices({**environment, "RAY_AUTH_TOKEN": "x"}) == []
    assert not usual.exists()


def test_sockets_have_short_paths_wherever_temporary_files_are(tmp_path: Path) -> None:
    # No port of a server, whose directory in /tmp may hold something.
    port = 100_000 + os.getpid()
    said = (
        "from serve_app.launch.environment import runtime_directory;"
        f"print(runtime_directory({port}))"
    )
    environment = os.environ | {"TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    folder = Path(
        subprocess.check_output([sys.executable, "-c", said], env=environment, text=True).strip()
    )
    assert len(f"{folder}/{'0' * 56}/metrics.sock") <= 97
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.rmdir()


def test_free_ports_are_no_ones_that_the_system_gives_away() -> None:
    with socket.socket() as listener:
        ports = free_ports(3)
        assert len(set(ports)) == 3
        assert all(port in OWN_PORTS for port in ports)
        listener.bind(("127.0.0.1", ports[0]))
        taken = set(free_ports(len(OWN_PORTS) // 20))
        assert ports[0] not in taken
    local = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    assert OWN_PORTS[-1] < int(local[0])


def test_servers_on_two_ports_share_nothing() -> None:
    first, second = (one_machine(runtime_directory(port)) for port in free_ports(2))
    own = {name for name in first if "DRAINING" not in name}
    assert all(first[name] != second[name] for name in own)
    directory = Path(first["RAY_SERVE_HAPROXY_SERVER_STATE_BASE"])
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    directory.chmod(0o755)
    runtime_directory(int(directory.name.rpartition("-")[2]))
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    # Ray puts a directory of 56 hex digits between; HAProxy allows 97 characters.
    assert len(first["RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH"]) + 57 <= 97
    assert os.access(first["RAY_SERVE_HAPROXY_BINARY_PATH"], os.X_OK)


def test_haproxy_listens_on_loopback_and_answers_in_our_shape() -> None:
    config = (
        "global\n    maxconn 4096\n"
        "defaults\n    mode http\n    option splice-request\n    option abortonclose\n"
        "frontend prometheus\n    bind :9101\n    mode http\n"
        "frontend http_frontend\n    bind *:8000\n"
        "backend default_backend\n    http-request return status 404 content-type text/plain\n"
        "listen stats\n  bind *:8404\n"
    )
    lines = corrected(config, folder="/run").splitlines()
    ours = [*lines[1:2], *lines[5:9], *lines[14 : lines.index("    bind *:8000")]]
    assert ours[:5] == [
        "    tune.http.maxhdr 32767",
        "    option forwardfor",
        "    errorfile 400 /run/400.json",
        "    errorfile 408 /run/408.json",
        "    errorfile 413 /run/413.json",
    ]
    assert [line for line in lines if line not in ours] == [
        "global",
        "    maxconn 4096",
        "defaults",
        "    mode http",
        "    option abortonclose",
        "frontend prometheus",
        "    bind 127.0.0.1:9101",
        "    mode http",
        "frontend http_frontend",
        "    bind *:8000",
        "backend default_backend",
        "    http-request return status 503 errorfile /run/500.http",
        "listen stats",
        "  bind 127.0.0.1:8404",
    ]


def test_haproxy_takes_its_corrected_configuration(tmp_path: Path) -> None:
    """And with it the files of all errors."""
    file = tmp_path / "haproxy.cfg"
    config = (
        "defaults\n    mode http\n    timeout connect 1s\n    timeout client 1s\n"
        "    timeout server 1s\nfrontend http_frontend\n    bind 127.0.0.1:8000\n"
    )
    write_errors(tmp_path)
    file.write_text(corrected(config, folder=str(tmp_path)))
    checked = subprocess.run((binary(), "-c", "-f", str(file)), capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr


def test_haproxys_own_answers_are_errors_of_the_contract(tmp_path: Path) -> None:
    write_errors(tmp_path)
    for file in tmp_path.iterdir():
        head, _, body = file.read_bytes().decode().partition("\r\n\r\n")
        assert f"Content-Length: {len(body)}" in head
        assert ("Retry-After: " in head) != ("x-should-retry: false" in head)
        error = json.loads(body)["error"]
        assert set(error) == {"message", "type", "code", "param", "kind", "provider"}
    assert (tmp_path / "500.http").read_text().startswith("HTTP/1.1 503 ")


def test_descendants_are_found_and_ended() -> None:
    with subprocess.Popen([sys.executable, "-c", SLEEPER], stdin=subprocess.PIPE) as child:
        deadline = time.monotonic() + 20
        while len(descendants(child.pid)) < 1 and time.monotonic() < deadline:
            time.sleep(0.05)
        (grandchild,) = descendants(child.pid)
        end_descendants(child.pid, patience_s=5)
        assert grandchild not in descendants(os.getpid())
        child.kill()


def test_a_folder_that_somebody_else_has_laid_out_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "trap").mkdir()
    (tmp_path / f"polyphony-{os.getuid()}").symlink_to(tmp_path / "trap")
    (port,) = free_ports(1)
    command = (sys.executable, "-m", "serve_app", "--config", str(plan_of(tmp_path, VALID)))
    ended = subprocess.run(
        (*command, "--port", str(port)),
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == CONFIGURATION
    assert "set TMPDIR to a folder of your own" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_the_launcher_keeps_nothing_in_memory_that_only_the_application_needs() -> None:
    program = (
        "import sys, serve_app.launch.server\n"
        "print([name for name in ('ray.serve', 'fastapi', 'sqlalchemy') if name in sys.modules])"
    )
    ran = subprocess.run(
        (sys.executable, "-c", program), cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ran.stdout == "[]\n"


def test_the_reason_is_the_first_line_of_an_error() -> None:
    assert first_line(RuntimeError("\nno port is free\n  at one place\n")) == "no port is free"
    assert first_line(RuntimeError()) == ""


class Starter:
    """Starts, after it has failed so often."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.cleanings = 0
        self.lines: list[str] = []

    def start(self) -> str:
        if self.failures:
            raise self.failures.pop(0)
        return "started"

    def clean_up(self) -> None:
        self.cleanings += 1

    def result(self) -> str:
        return started(self.start, self.clean_up, tell=self.lines.append)


LATE = Exception("The current node timed out during startup. This could happen because\nmore")


def test_ray_that_starts_is_started_once() -> None:
    starter = Starter()
    assert (starter.result(), starter.cleanings, starter.lines) == ("started", 0, [])


def test_ray_that_is_late_is_told_ended_and_started_again() -> None:
    starter = Starter(LATE)
    assert (starter.result(), starter.cleanings) == ("started", 1)
    assert starter.lines == [
        "  Ray did not start: The current node timed out during startup. This could happen because",
        "  ending its processes and trying once more",
    ]


def test_ray_that_is_late_twice_is_a_line_for_the_user() -> None:
    starter = Starter(LATE, ConnectionError("nobody is there"))
    with pytest.raises(RuntimeError) as caught:
        starter.result()
    assert first_line(caught.value).startswith(
        "Ray did not start at the second attempt either: nobody is there"
    )
    assert starter.cleanings == 2


def test_who_stops_the_server_meanwhile_waits_for_no_second_try() -> None:
    starter = Starter(LATE)

    def stop() -> str:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        started(stop, starter.clean_up, tell=starter.lines.append)
    assert (starter.cleanings, starter.lines) == (0, [])
