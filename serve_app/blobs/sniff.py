"""What the first bytes of a file say for certain: its media type, and the extension that goes with
it. What they leave open, the demuxer tells; see `recognition`.
"""

from serve_app.core.media import MediaKind

HEAD_BYTES = 4096
"""How much of a file's beginning `sniff` wants to see."""

EXTENSIONS: dict[str, str] = {
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/gif": "gif",
    "image/webp": "webp",
    "image/avif": "avif",
    "image/heic": "heic",
    "image/bmp": "bmp",
    "image/tiff": "tiff",
    "image/jp2": "jp2",
    "image/x-jp2-codestream": "j2k",
    "image/vnd.microsoft.icon": "ico",
    "image/jxl": "jxl",
    "image/x-canon-cr3": "cr3",
    "audio/mpeg": "mp3",
    "audio/wav": "wav",
    "audio/ogg": "ogg",
    "audio/flac": "flac",
    "audio/aac": "aac",
    "audio/mp4": "m4a",
    "audio/quicktime": "qta",
    "audio/webm": "weba",
    "audio/x-matroska": "mka",
    "audio/x-ms-wma": "wma",
    "audio/aiff": "aiff",
    "audio/amr": "amr",
    "audio/ac3": "ac3",
    "audio/eac3": "eac3",
    "audio/basic": "au",
    "audio/vnd.dolby.mlp": "mlp",
    "audio/vnd.dts": "dts",
    "audio/x-ape": "ape",
    "audio/x-caf": "caf",
    "audio/x-dsf": "dsf",
    "audio/x-dss": "dss",
    "audio/x-musepack": "mpc",
    "audio/x-nist": "sph",
    "audio/x-oma": "oma",
    "audio/x-tak": "tak",
    "audio/x-tta": "tta",
    "audio/x-voc": "voc",
    "audio/x-w64": "w64",
    "audio/x-wavpack": "wv",
    "audio/pcm": "pcm",
    "video/mp4": "mp4",
    "video/quicktime": "mov",
    "video/webm": "webm",
    "video/x-matroska": "mkv",
    "video/ogg": "ogv",
    "video/x-msvideo": "avi",
    "video/mpeg": "mpg",
    "video/mp2t": "ts",
    "video/x-flv": "flv",
    "video/x-ms-wmv": "wmv",
    "video/av1": "obu",
    "video/h264": "h264",
    "video/h265": "h265",
    "video/mp4v-es": "m4v",
    "video/vnd.rn-realvideo": "rm",
    "video/x-dhav": "dav",
    "video/x-dv": "dv",
    "video/x-ivf": "ivf",
    "video/x-mjpeg": "mjpeg",
    "video/x-mxf": "mxf",
    "video/x-nut": "nut",
    "video/x-wtv": "wtv",
    "video/x-yuv4mpeg": "y4m",
    "text/plain": "txt",
    "text/vtt": "vtt",
    "application/x-subrip": "srt",
    "application/json": "json",
    "application/octet-stream": "bin",
}
ALSO_NAMED: dict[str, str] = {"mpeg": "mpg", "ogg": "ogv", "jpeg": "jpg", "oga": "ogg"}
"""Other extensions by which files are asked for, and that of the store."""
MIME_TYPES: dict[str, str] = {extension: mime for mime, extension in EXTENSIONS.items()}

_PREFIXES: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"II+\x00", "image/tiff"),
    (b"MM\x00+", "image/tiff"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "image/jp2"),
    (b"\xffO\xffQ", "image/x-jp2-codestream"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "image/jxl"),
    (b"\xff\n", "image/jxl"),
    (b"fLaC", "audio/flac"),
    (b"ID3", "audio/mpeg"),
    (b"#!AMR", "audio/amr"),
    (b".snd", "audio/basic"),
    (b"caff\0\x01\0\0", "audio/x-caf"),
    (b"riff.\x91\xcf\x11\xa5\xd6(\xdb", "audio/x-w64"),
    (b"wvpk", "audio/x-wavpack"),
    (b"TTA1", "audio/x-tta"),
    (b"MAC ", "audio/x-ape"),
    (b"MPCK", "audio/x-musepack"),
    (b"tBaK", "audio/x-tak"),
    (b"DSD ", "audio/x-dsf"),
    (b"NIST_1A\n", "audio/x-nist"),
    (b"Creative Voice File\x1a", "audio/x-voc"),
    (b"\x7f\xfe\x80\x01", "audio/vnd.dts"),
    (b"FLV\x01", "video/x-flv"),
    (b"\x00\x00\x01\xba", "video/mpeg"),
    (b"\x00\x00\x01\xb3", "video/mpeg"),
    (b"0&\xb2u\x8ef\xcf\x11", "video/x-ms-wmv"),
    (b".RMF\0\0\0", "video/vnd.rn-realvideo"),
    (b"DKIF\0\0", "video/x-ivf"),
    (b"YUV4MPEG2 ", "video/x-yuv4mpeg"),
    (b"\x06\x0e+4\x02\x05\x01\x01\r\x01\x02\x01\x01\x02", "video/x-mxf"),
)
_QUICKTIME_ATOMS = frozenset({b"wide", b"mdat", b"moov", b"free", b"skip", b"pnot"})
"""What a QuickTime file without `ftyp`, which is older than that, begins with."""
_TRANSPORT_PACKETS = ((0, 188), (4, 192))
"""Where the sync bytes lie: in transport streams, and in those of camcorders, with times before."""
_RIFF = {b"WAVE": "audio/wav", b"WEBP": "image/webp", b"AVI ": "video/x-msvideo"}
_BRANDS = {
    b"avif": "image/avif",
    b"avis": "image/avif",
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"heim": "image/heic",
    b"heis": "image/heic",
    b"hevc": "image/heic",
    b"hevx": "image/heic",
    b"crx ": "image/x-canon-cr3",
    b"M4A ": "audio/mp4",
    b"M4B ": "audio/mp4",
    b"qt  ": "video/quicktime",
}


def sniff(head: bytes) -> str | None:
    """The media type of a file that begins with `head`, None when it is no known medium.

    Signatures are those of the formats' own specifications. An Ogg or Matroska file counts as
    video when a video codec is named in its head.
    """
    for prefix, mime in _PREFIXES:
        if head.startswith(prefix):
            return mime
    if head[:4] in (b"RIFF", b"RF64", b"RIFX", b"BW64"):
        return _RIFF.get(head[8:12])
    if head[4:8] == b"ftyp":
        return _branded(head)
    if head[4:8] in _QUICKTIME_ATOMS:
        return "video/quicktime"
    if head.startswith(b"OggS"):
        return "video/ogg" if b"\x80theora" in head else "audio/ogg"
    if head.startswith(b"\x1aE\xdf\xa3"):
        return "video/webm" if b"webm" in head[:64] else "video/x-matroska"
    if head.startswith(b"FORM") and head[8:12] in (b"AIFF", b"AIFC"):
        return "audio/aiff"
    if head.startswith(b"BM") and len(head) >= 26 and head[6:10] == b"\0\0\0\0":
        return "image/bmp"
    if head[:4] == b"\0\0\1\0" and len(head) >= 22 and head[4] and head[5] == head[9] == 0:
        return "image/vnd.microsoft.icon"
    if any(head[start::size][:3] == b"GGG" for start, size in _TRANSPORT_PACKETS):
        return "video/mp2t"
    return _sync_word(head)


def _branded(head: bytes) -> str:
    """By the first brand, or by those it says to go with where that is one of many images."""
    # The size is the file's own claim.
    end = min(int.from_bytes(head[:4]), len(head))
    brands = [head[place : place + 4] for place in range(8, end, 4)]
    if brands[:1] not in ([b"mif1"], [b"msf1"]):
        return _BRANDS.get(head[8:12], "video/mp4")
    kinds = (_BRANDS.get(brand) for brand in brands[2:])
    return next((kind for kind in kinds if kind == "image/avif"), "image/heic")


def _sync_word(head: bytes) -> str | None:
    """MPEG audio and ADTS have no magic number, only the sync bits of their first frame."""
    # MPEG's layer I begins as text in UTF-16 does.
    if len(head) < 4 or head[0] != 0xFF or head[1] == 0xFE:
        return None
    if head[1] & 0xF6 == 0xF0:
        return "audio/aac"
    layer, bitrate, rate = (head[1] >> 1) & 3, head[2] >> 4, (head[2] >> 2) & 3
    if head[1] & 0xE0 == 0xE0 and layer and bitrate not in (0, 15) and rate != 3:
        return "audio/mpeg"
    return None


def kind_of(mime: str) -> MediaKind | None:
    """image, audio or video, by the type's first word."""
    word = mime.partition("/")[0]
    match word:
        case "image" | "audio" | "video":
            return word
    return None


def extension_of(mime: str) -> str:
    """The file extension for a type, `bin` for an unknown one."""
    return EXTENSIONS.get(mime, "bin")
