"""Starting and stopping the server on one machine: `python -m serve_app`."""
