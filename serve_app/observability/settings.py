"""What is observed, from the environment, so that it can be changed without the configuration."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Switch = Literal["metrics", "access_log", "payload"]
SWITCHES: tuple[Switch, ...] = ("metrics", "access_log", "payload")
ON, OFF = frozenset({"1", "on", "true", "yes", "y"}), frozenset({"0", "off", "false", "no", "n"})
MIB, GIB, DAY_S = 1024**2, 1024**3, 86_400.0


class UnusableSetting(RuntimeError):
    """An OBS_ variable has a value that means nothing."""


@dataclass(frozen=True)
class ObservabilitySettings:
    """The switches as they are at the start, where files go, and how much of them is kept."""

    log_dir: Path
    payload_dir: Path
    metrics: bool = True
    access_log: bool = True
    payload: bool = False
    payload_most_bytes: int = 5 * GIB
    payload_most_age_s: float = 7 * DAY_S
    payload_body_bytes: int = 50 * MIB
    window_s: float = 3600.0


def from_environment(environment: Mapping[str, str], data_dir: Path) -> ObservabilitySettings:
    """The settings of a server. Raises UnusableSetting, naming the variable."""
    return ObservabilitySettings(
        log_dir=Path(environment.get("OBS_LOG_DIR") or data_dir / "logs"),
        payload_dir=Path(environment.get("OBS_PAYLOAD_DIR") or data_dir / "payloads"),
        metrics=_flag(environment, "OBS_METRICS", default=True),
        access_log=_flag(environment, "OBS_ACCESS_LOG", default=True),
        payload=_flag(environment, "OBS_PAYLOAD", default=False),
        payload_most_bytes=int(_number(environment, "OBS_PAYLOAD_MAX_GB", 5) * GIB),
        payload_most_age_s=_number(environment, "OBS_PAYLOAD_MAX_DAYS", 7) * DAY_S,
        payload_body_bytes=int(_number(environment, "OBS_PAYLOAD_RESP_MAX_MB", 50) * MIB),
        window_s=_number(environment, "OBS_METRICS_WINDOW_MIN", 60) * 60,
    )


def is_on(value: str) -> bool:
    """Whether a word switches on; every other word switches off."""
    return value.strip().lower() in ON


def _flag(environment: Mapping[str, str], name: str, *, default: bool) -> bool:
    text = environment.get(name, "").strip().lower()
    if text not in ON | OFF | {""}:
        raise UnusableSetting(f"{name}: {text!r} is neither on nor off; use 1 or 0")
    return text in ON if text else default


def _number(environment: Mapping[str, str], name: str, default: float) -> float:
    text = environment.get(name, "").strip()
    try:
        value = float(text) if text else default
    except ValueError:
        value = 0.0
    if not 0 < value < 1_000_000:
        raise UnusableSetting(f"{name}: {text!r} is not a number above 0")
    return value
