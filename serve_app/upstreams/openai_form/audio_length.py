"""How long encoded audio is, of its first bytes and its size."""

from serve_app.core.audio.speech import AudioFormat
from serve_app.core.audio.wav import HEADER_BYTES

PCM_BYTES_PER_S = 48_000
HEAD_BYTES = 8192
MPEG1_KBITS = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
MPEG2_KBITS = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
USUAL_KBITS = 64
"""Of formats whose rate is not in their head."""


class AudioLength:
    """Exact for PCM and WAV and for MP3 at a constant rate, an estimate for all others."""

    def __init__(self, file_format: AudioFormat) -> None:
        self.size = 0
        self._format = file_format
        self._head = b""

    def add(self, data: bytes) -> None:
        """The next bytes."""
        self.size += len(data)
        if len(self._head) < HEAD_BYTES:
            self._head += data[: HEAD_BYTES - len(self._head)]

    @property
    def seconds(self) -> float:
        """Of all that was added."""
        match self._format:
            case "pcm":
                return self.size / PCM_BYTES_PER_S
            case "wav" if self._head[:4] == b"RIFF":
                rate = int.from_bytes(self._head[28:32], "little")
                return max(0, self.size - HEADER_BYTES) / rate if rate else 0.0
            case "mp3":
                return self.size * 8 / (1000 * _mp3_kbits(self._head))
        return self.size * 8 / (1000 * USUAL_KBITS)


def _mp3_kbits(head: bytes) -> int:
    """Of the first frame of layer III. http://www.mp3-tech.org/programmer/frame_header.html"""
    at = head.find(b"\xff")
    while 0 <= at < len(head) - 2:
        second, third = head[at + 1], head[at + 2]
        if second & 0xE6 == 0xE2 and 0 < third >> 4 < 15:
            return (MPEG1_KBITS if second & 0x18 == 0x18 else MPEG2_KBITS)[third >> 4]
        at = head.find(b"\xff", at + 1)
    return USUAL_KBITS
