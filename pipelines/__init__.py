"""One file per pipeline: plain classes over the Protocols of `serve_app.core`."""
