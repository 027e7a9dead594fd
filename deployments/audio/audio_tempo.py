"""Faster or slower audio at the same pitch, by ffmpeg's atempo filter inside PyAV."""

from typing import Any

from deployments.audio.audio_encoding import AudioFrames

SLOWEST, FASTEST = 0.5, 2.0
"""What one atempo does without skipping samples; more is reached by a chain."""


class TempoFilter:
    """Signed 16-bit mono samples in and out; a factor of 2 halves the duration."""

    def __init__(self, sample_rate: int, factor: float) -> None:
        self._frames = AudioFrames(sample_rate)
        self._graph: Any = None if abs(factor - 1) < 0.01 else _graph(sample_rate, factor)

    def push(self, pcm: bytes) -> bytes:
        """The samples that are ready."""
        if self._graph is None or not pcm:
            return pcm
        self._graph.push(self._frames.frame(pcm))
        return self._pulled()

    def finish(self) -> bytes:
        """The rest."""
        if self._graph is None:
            return b""
        self._graph.push(None)
        return self._pulled()

    def _pulled(self) -> bytes:
        import av

        parts = []
        while True:
            try:
                parts.append(self._graph.pull().to_ndarray().astype("<i2").tobytes())
            except (av.BlockingIOError, av.EOFError):
                return b"".join(parts)


def _graph(sample_rate: int, factor: float) -> Any:
    import av.filter

    graph = av.filter.Graph()
    nodes = [graph.add_abuffer(sample_rate=sample_rate, format="s16", layout="mono")]
    for step in _steps(factor):
        nodes.append(graph.add("atempo", f"{step:.6f}"))
    nodes.append(graph.add("aformat", "sample_fmts=s16:channel_layouts=mono"))
    nodes.append(graph.add("abuffersink"))
    graph.link_nodes(*nodes).configure()
    return graph


def _steps(factor: float) -> list[float]:
    steps = []
    while not SLOWEST <= factor <= FASTEST:
        step = SLOWEST if factor < SLOWEST else FASTEST
        steps.append(step)
        factor /= step
    return [*steps, factor]
