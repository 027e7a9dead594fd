"""`python -m serve_app`: start the server on this machine from a Serve configuration file."""

import sys

from serve_app.launch.start import main

if __name__ == "__main__":
    sys.exit(main())
