"""One file per engine: plain classes that satisfy a Protocol of `serve_app.core`."""
