"""llama.cpp's own HTTP server in a process of its own, for benchmarks/chat_model.py.

python benchmarks/llama_server.py FILE PORT TOKEN CONTEXT SLOTS THREADS
"""

import signal
import sys


def main() -> None:
    """Serve until SIGTERM comes."""
    import xllamacpp

    file, port, token, context, slots, threads = sys.argv[1:]
    params = xllamacpp.CommonParams()
    params.model.path = file
    params.hostnames, params.port = ["127.0.0.1"], int(port)
    params.api_keys = [token]
    params.ui, params.verbosity, params.cache_ram_mib = False, 1, 0
    params.n_ctx, params.n_parallel = int(context) * int(slots), int(slots)
    params.fit_params = False
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = int(threads)
    running = xllamacpp.Server(params)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    del running


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    main()
