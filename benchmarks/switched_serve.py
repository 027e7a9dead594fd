"""`plain_serve.py` with the switches that this server sets, HAProxy included: how fast Ray Serve is
when nothing is checked, counted or logged. Started by `overhead.py` as
`switched_serve.py <config> <port>`.
"""

import os
import sys
from pathlib import Path

from serve_app.launch.environment import load_environment, one_machine, runtime_directory

SWITCHES = Path(__file__).parents[1] / "serve.env"


def main(config_file: str, port: int) -> None:
    """Serve until told to stop."""
    load_environment(SWITCHES, os.environ)
    os.environ.update(one_machine(runtime_directory(port)))
    # Ray reads the environment when it is imported.
    import plain_serve

    plain_serve.main(config_file, port)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
