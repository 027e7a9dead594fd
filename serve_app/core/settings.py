"""What is configured of the server itself: access, limits, storage, jobs, archive."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, IPvAnyNetwork, field_validator, model_validator

from serve_app.core.options.engine import Section
from serve_app.core.upstreams.timeouts import Seconds, UpstreamTimeouts

HEADER_NAME = r"^[A-Za-z0-9-]{1,100}$"
GIB = 1024**3
MIB = 1024**2
Retention = Literal["1h", "1d", "2d", "1w", "1m", "3m", "6m", "1y", "never"]
DAY_S = 86_400.0
RETENTION_S: dict[Retention, float | None] = {
    "1h": 3600.0,
    "1d": DAY_S,
    "2d": 2 * DAY_S,
    "1w": 7 * DAY_S,
    "1m": 30 * DAY_S,
    "3m": 91 * DAY_S,
    "6m": 182 * DAY_S,
    "1y": 365 * DAY_S,
    "never": None,
}


class Placement(Section):
    """Where a deployment runs, and in how many replicas. `gpus` and `cpus` are per replica and may
    be fractions. With `min_replicas` 0, a family starts with its first request and stops after
    `idle_unload_s` without one. `max_ongoing_requests` is the concurrency of a replica.
    """

    gpus: float = Field(default=0, ge=0)
    cpus: float = Field(default=0, ge=0)
    min_replicas: int = Field(default=1, ge=0)
    max_replicas: int = Field(default=1, ge=1)
    max_ongoing_requests: int = Field(default=16, ge=1)
    max_loaded_models: int = Field(default=1, ge=1)
    idle_unload_s: float = Field(default=600, ge=1)

    @field_validator("gpus")
    @classmethod
    def _gpus_are_whole_or_a_share(cls, gpus: float) -> float:
        if gpus > 1 and gpus != int(gpus):
            raise ValueError(f"{gpus:g} GPUs: a share of one is below 1, more than one are whole")
        return gpus

    @model_validator(mode="after")
    def _replicas_are_a_range(self) -> Self:
        if self.max_replicas < self.min_replicas:
            raise ValueError(
                f"max_replicas {self.max_replicas} is below min_replicas {self.min_replicas}"
            )
        return self


class Server(Section):
    """`public_url` makes file URLs absolute. With `files_access: public`, `/v1/files` can be read
    without a token. `trusted_proxies` are addresses or networks whose forwarding headers are used.
    `cors_origins` are the origins of other web pages that may use the server.
    """

    public_url: str | None = Field(default=None, pattern=r"^https?://[^\s/]+(/[^\s]*[^/\s])?$")
    trusted_proxies: tuple[IPvAnyNetwork, ...] = ()
    cors_origins: tuple[str, ...] = ()
    expose_hostname: bool = False
    files_access: Literal["token", "public"] = "token"


class ForwardAuth(Section):
    """What is believed of `proxies` (addresses or networks) that sign people in, and that send the
    secret of `FORWARD_AUTH_SECRET` along. Off without proxies.
    """

    proxies: tuple[IPvAnyNetwork, ...] = ()
    user_header: str = Field(default="X-Forwarded-User", pattern=HEADER_NAME)
    group_header: str = Field(default="X-Forwarded-Groups", pattern=HEADER_NAME)
    secret_header: str = Field(default="X-Forwarded-Secret", pattern=HEADER_NAME)
    admin_groups: tuple[str, ...] = ()


class Auth(Section):
    """With `required: false`, every client on this machine may use the `inference` routes. Rate
    limits are then off if several ingress replicas share no storage. `forward` lets `proxies`
    (addresses or networks) sign users in by headers; they must send the secret of
    `FORWARD_AUTH_SECRET`. Without `proxies` it is off.
    """

    required: bool = True
    forward: ForwardAuth = ForwardAuth()


class Rate(Section):
    """What one token may do: requests begun in a minute, and requests under way at once."""

    requests_per_minute: int = Field(default=60, ge=1)
    concurrent: int = Field(default=10, ge=1)


class Rates(Section):
    """The rates by class of route; `read` is polling and downloads."""

    default: Rate = Rate()
    embeddings: Rate = Rate(requests_per_minute=1200)
    read: Rate = Rate(requests_per_minute=600)


class ScopedRates(Section):
    """The rates by scope of the credential."""

    inference: Rates = Rates()
    admin: Rates = Rates()


class Limits(Section):
    """Sizes are in bytes unless the name says otherwise. A request over a limit is refused with
    413, or with 503 for `max_pending` (requests that wait for one model). `load_wait_s` is how long
    a request waits for its model to load before it gets a 503 with `Retry-After`. `rates: null`
    turns rate limits off. `storage_url` is where requests are counted: null is the memory of the
    ingress and allows one ingress replica; `redis://…` allows any number. `upload_bytes` limits one
    file, `upload_quota_bytes` all uploads of one user; null is no limit. `fetch_allow` lists hosts,
    addresses and networks that media may be fetched from although they are not public. `file_roots`
    lists directories whose files requests may name.
    """

    upload_bytes: int = Field(default=2 * GIB, ge=1)
    upload_quota_bytes: int | None = Field(default=None, ge=1)
    base64_bytes: int = Field(default=256 * MIB, ge=1)
    image_pixels: int = Field(default=64_000_000, ge=1)
    fetch_timeout_s: float = Field(default=60, gt=0)
    fetch_redirects: int = Field(default=5, ge=0)
    fetch_allow: tuple[str, ...] = ()
    file_roots: tuple[Path, ...] = ()
    max_pending: int = Field(default=100, ge=1)
    load_wait_s: float = Field(default=30, ge=0)
    rates: ScopedRates | None = ScopedRates()
    storage_url: str | None = Field(default=None, pattern=r"^rediss?(\+\w+)?://\S+$")


class Storage(Section):
    """`data_dir` holds everything that must survive a restart. `blobs_url` is any fsspec URL; null
    is `data_dir`/blobs. `database_url` is a SQLAlchemy URL for SQLite or Postgres; null is
    `data_dir`/polyphony.sqlite. Uploads are kept for `uploads_retention` after they were last
    downloaded or named in a request.
    """

    data_dir: Path = Path(".data")
    blobs_url: str | None = None
    uploads_retention: Retention = "1w"
    database_url: str | None = Field(
        default=None, pattern=r"^(sqlite|postgres(ql)?(\+psycopg)?)://"
    )

    @property
    def blobs_location(self) -> str:
        """The blob store's fsspec URL or directory."""
        return self.blobs_url or str(self.data_dir / "blobs")

    @property
    def database_location(self) -> str:
        """The database's URL."""
        return self.database_url or f"sqlite:///{self.data_dir / 'polyphony.sqlite'}"


class Jobs(Section):
    """Durable runs. `sync_timeout_s` maps a dialect to the seconds that a synchronous request
    waits for its job; other dialects have their own default. Finished jobs are kept for
    `retention`. With `on_disconnect: continue`, a job continues when its client disconnects.
    `stage_attempts` is how often a stage is tried if its process dies. A callback is tried
    `callback_attempts` times, with pauses that begin at `callback_pause_s` and double.
    """

    placement: Placement = Placement(max_ongoing_requests=1000)
    sync_timeout_s: dict[str, Annotated[float, Field(gt=0)]] = Field(default={})
    retention: Retention = "1w"
    on_disconnect: Literal["cancel", "continue"] = "cancel"
    stage_attempts: int = Field(default=5, ge=1)
    callback_attempts: int = Field(default=5, ge=1)
    callback_pause_s: float = Field(default=2, gt=0)


class ModelTimeouts(Section):
    """Those of one model of a provider; null is as for all."""

    connect_s: Seconds | None = None
    read_s: Seconds | None = None
    total_s: Seconds | None = None


class UpstreamSettings(Section):
    """Calls of registered providers. In seconds: to connect, between two pieces of a response, and
    for a whole one. `model_timeouts` are those of single models, by `<provider>/<model>`, with
    `connect_s`, `read_s` and `total_s`. `placement` is that of the deployment which calls providers
    for media and for jobs; with `placement.min_replicas: 1`, the first of them after a pause does
    not wait for a process to start. Lists of models are read again after `listing_age_s`.
    With `instance_credentials`, providers of Amazon Bedrock without credentials of their own may
    use the role of the machine (EC2). With `http2`, providers that choose HTTP/2 are called in it.
    """

    placement: Placement = Placement(min_replicas=0, max_ongoing_requests=1000)
    connect_timeout_s: Seconds = 10
    read_timeout_s: Seconds = 300
    total_timeout_s: Seconds = 600
    model_timeouts: dict[str, ModelTimeouts] = Field(default={})
    listing_age_s: Seconds = 60
    instance_credentials: bool = False
    http2: bool = True

    def timeouts_of(self, model: str) -> UpstreamTimeouts:
        """Those of a model, by its id."""
        own = self.model_timeouts.get(model, ModelTimeouts())
        return UpstreamTimeouts(
            connect_s=own.connect_s or self.connect_timeout_s,
            read_s=own.read_s or self.read_timeout_s,
            total_s=own.total_s or self.total_timeout_s,
        )


class Metrics(Section):
    """The addresses or networks that may read `/metrics` without a credential. `OBS_` variables in
    the environment set what is recorded.
    """

    allow_from: tuple[IPvAnyNetwork, ...] = ()


class PromptStyle(Section):
    """Texts that a request adds to its own by the name of a style: where `{prompt}` stands in one,
    the request's text is put there, else the style's follows it.
    """

    name: str = Field(min_length=1, max_length=200)
    prompt: str = ""
    negative_prompt: str = ""


class Sdapi(Section):
    """The Automatic1111 API. With `error_style: velesio`, its errors have the shape that Velesio's
    clients read. `styles` are the saved prompt styles: a list of objects with `name`, `prompt` and
    `negative_prompt`.
    """

    error_style: Literal["automatic1111", "velesio"] = "automatic1111"
    styles: tuple[PromptStyle, ...] = ()


class Artifacts(Section):
    """The addresses of generated files that nobody can guess, `/artifacts/…`: with `access: token`,
    they cannot be read without a token. Uploads always need the credential of their owner.
    """

    access: Literal["public", "token"] = "public"


class ArchiveDefaults(Section):
    """The record of every generated file; `retention` is how long files are kept."""

    enabled: bool = True
    retention: Retention = "never"
