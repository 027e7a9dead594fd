"""Whether OpenCV and PyAV are here, asked where an engine is made rather than in the middle of a
job. Imports neither before that.
"""

from serve_app.core.errors import BackendUnavailable


def check_opencv(engine: str) -> None:
    """BackendUnavailable when OpenCV or PyAV cannot be imported."""
    try:
        import av  # noqa: F401
        import cv2  # noqa: F401
    except ImportError as error:
        raise BackendUnavailable(
            "OpenCV or PyAV is not installed; install the local extra: "
            "pip install 'polyphony[local]'",
            provider=engine,
        ) from error
