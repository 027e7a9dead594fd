"""llama.cpp's server in this process. It always opens a listener: here a Unix socket in a folder
of this user's, with a key, which only its tokenizer is asked through.
"""

import asyncio
import http.client
import json
import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

from deployments.text.checkpoint_sampling import gguf_sampling
from deployments.text.llama_cpp.errors import error_of
from deployments.text.llama_cpp.files import beside, weights_file
from deployments.text.llama_cpp.gguf_file import GgufFile, read_gguf
from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable
from serve_app.core.options.sampling import SettledSampling, settled
from serve_app.core.options.text import LlamaCppOptions
from serve_app.core.text.chat import Sampling
from serve_app.runtime.threads import unloaded

BATCH_TOKENS = 512
"""Of a prompt at a time: a caller who has gone is noticed in between."""
ERRORS_ONLY = 1
SPINS = "300"
"""How often a thread looks for the others before it sleeps. They meet some hundred times for a
token. With the usual 300,000, two threads on two cores that others use too wrote 1 to 25 tokens a
second in place of 32: whoever waits holds the core that the late one needs.
"""
SOCKET = "llama.sock"
"""llama.cpp takes an address for a path by its ending."""


class LlamaServer:
    """One loaded model. `slots` answers are written at once; `threads` has a thread for each."""

    def __init__(self, options: LlamaCppOptions, model: Model, path: Path | None) -> None:
        weights = weights_file(model, path, options)
        self.file: GgufFile = read_gguf(weights)
        self.model_id = model.id
        self.slots = options.slots
        self._sampling = (options.sampling, gguf_sampling(self.file.metadata))
        self.context_length = context_length(options, self.file)
        self._key = secrets.token_hex(16)
        self._folder = Path(tempfile.mkdtemp(prefix="llama-"))
        self._server: Any = None
        try:
            self._server = self._started(options, model, weights)
        finally:
            if self._server is None:
                shutil.rmtree(self._folder, ignore_errors=True)
        self.threads = ThreadPoolExecutor(self.slots, thread_name_prefix="llama")

    @property
    def running(self) -> Any:
        """The library's server. BackendUnavailable once the model is unloaded."""
        if self._server is None:
            raise unloaded()
        return self._server

    def settled(self, sampling: Sampling) -> SettledSampling:
        """With what the request leaves open as the configuration or the file says."""
        return settled(sampling, *self._sampling)

    def close(self) -> None:
        """Stop it and free the weights. Blocks until what runs has noticed."""
        self.threads.shutdown(wait=True, cancel_futures=True)
        self._server = None
        shutil.rmtree(self._folder, ignore_errors=True)

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """What one of its small routes answers. Blocks."""
        if self._server is None:
            raise unloaded()
        connection = _UnixConnection(str(self._folder / SOCKET))
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        try:
            connection.request(
                "GET" if body is None else "POST", path, json.dumps(body or {}), headers
            )
            return json.loads(connection.getresponse().read())
        except (OSError, http.client.HTTPException) as error:
            raise BackendUnavailable(
                "llama.cpp does not answer", remedy="try again", retry_after_s=1
            ) from error
        finally:
            connection.close()

    async def asked(
        self, verb: Callable[[dict[str, Any]], Any], body: dict[str, Any], *, param: str
    ) -> Any:
        """What one of the library's verbs answers, in a thread. `param` is the field to blame."""
        loop = asyncio.get_running_loop()
        try:
            answer = await loop.run_in_executor(self.threads, verb, body)
        except RuntimeError:
            raise unloaded() from None
        if isinstance(answer, dict) and "error" in answer:
            raise error_of(answer["error"], param=param)
        return answer

    def _started(self, options: LlamaCppOptions, model: Model, weights: Path) -> Any:
        if "OMP_WAIT_POLICY" not in os.environ:
            # OpenMP reads it once, when the library is loaded.
            os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
        import xllamacpp

        params = xllamacpp.CommonParams()
        params.model.path = str(weights)
        params.hostnames = [str(self._folder / SOCKET)]
        params.api_keys = [self._key]
        params.ui = params.endpoint_slots = False
        params.verbosity = ERRORS_ONLY
        _size(params, options, self.context_length)
        _attach(params, options, model, self.file)
        for name, value in options.extra.items():
            setattr(params, name, value)
        try:
            return xllamacpp.Server(params)
        except RuntimeError as error:
            raise BackendUnavailable(
                f"{weights.name!r} cannot be loaded by llama.cpp: its architecture is "
                f"{self.file.architecture!r}",
                remedy=(
                    "the server's log says why: often an architecture that llama.cpp does not "
                    "know, or too little memory (lower context_length or slots)"
                ),
            ) from error


def context_length(options: LlamaCppOptions, file: GgufFile) -> int:
    """Tokens of one conversation."""
    trained = file.context_length
    if options.context_length is not None:
        return options.context_length
    return min(trained or options.longest_context, options.longest_context)


def _size(params: Any, options: LlamaCppOptions, length: int) -> None:
    params.n_ctx = length * options.slots
    params.n_parallel = options.slots
    params.n_batch = BATCH_TOKENS
    if options.task != "chat":
        # An encoder reads a text whole.
        params.n_batch = params.n_ubatch = length
    # What is asked for is had, or loading fails: fitting would shorten the context by itself.
    params.fit_params = False
    params.cache_ram_mib = options.prompt_cache_mb
    threads = options.threads or len(os.sched_getaffinity(0))
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.n_gpu_layers = 0 if options.device == "cpu" else options.gpu_layers


def _attach(params: Any, options: LlamaCppOptions, model: Model, file: GgufFile) -> None:
    import xllamacpp

    if options.mmproj is not None:
        params.mmproj.path = str(_readable(beside(model, file.path, options.mmproj)))
    adapters = []
    for adapter in options.adapters:
        info = xllamacpp.CommonAdapterLoraInfo()
        info.path = str(_readable(beside(model, file.path, adapter.file)))
        info.scale = adapter.scale
        adapters.append(info)
    if adapters:
        params.lora_adapters = adapters
    if options.task == "embeddings":
        params.embedding = True
        if file.own("pooling_type") is None:
            params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    if options.task == "rerank":
        params.embedding = True
        params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_RANK


def _readable(path: Path) -> Path:
    """BackendUnavailable, which names the file, unless it is a whole GGUF file."""
    return read_gguf(path).path


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        self.sock = cast("Any", socket.socket(socket.AF_UNIX))
        self.sock.connect(self._path)
