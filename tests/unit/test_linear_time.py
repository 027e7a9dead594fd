"""Whatever reads a text of a caller or of a model does so in a time that grows with its length."""

import ast
import base64
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from deployments.audio.sentences import sentences
from deployments.fakes.replies import tokens_of
from deployments.media.prompt_schedules import composed_texts, prompt_stretches
from deployments.text.generation.tool_format import calls_in
from pipelines.story_answers import repeats_itself, spread_over_scenes
from serve_app.api.byte_ranges import requested
from serve_app.api.disposition import parameters
from serve_app.api.long_texts import JsonStringScanner
from serve_app.blobs.inline_text import NotBase64, beginning, decoded, text_pieces, unquoted
from serve_app.core.audio.transcription import TranscriptSegment
from serve_app.core.text.chat import Tool
from serve_app.core.video.subtitles import cues, srt, vtt
from serve_app.database.text import storable
from serve_app.observability.masking import is_secret, masked_query
from serve_app.upstreams.aws_event_stream import EventStreamReader
from serve_app.upstreams.openai_form.exchange import OpenAIExchange
from serve_app.upstreams.openai_form.passed_events import PassedEvents
from serve_app.upstreams.server_sent_events import EventReader
from tests.upstreams.bedrock_stub import frame
from tests.upstreams.targets import target

ROOT = Path(__file__).parents[2]
PRODUCT = ("serve_app", "deployments", "pipelines")
CALLS = {"compile", "findall", "finditer", "fullmatch", "match", "search", "split", "sub", "subn"}
SIZES = (1_000, 10_000, 100_000, 1_000_000)
MOST_GROWTH = 55.0
"""Of the time, where the text grows tenfold: what is quadratic takes a hundred times as long, and
what is linear up to forty where the larger text no longer fits the processor's cache.
"""
LEAST_S = 0.001
"""What takes less is nothing: the clock and the machine's other work would be measured."""
Reader = Callable[[str], object]


class Pattern(NamedTuple):
    """A call of `re` in the product; `text` is None where it is put together as it runs."""

    where: str
    text: str | None
    flags: int


OURS = {
    "serve_app/core/model_sources.py:SPECIFICATION": "the configuration",
    "serve_app/core/model_sources.py:PackageSource": "the configuration",
    "serve_app/family/packages/pip_download.py:UNREACHABLE": "what pip says",
    "serve_app/family/packages/pip_download.py:FULL": "what pip says",
    "serve_app/family/packages/pip_download.py:WITHOUT_PIP": "what pip says",
    "serve_app/launch/placements.py:NODE": "the command line",
    "serve_app/launch/settings_table.py:replaced": "the page of settings",
    "serve_app/launch/task_table.py:replaced": "the page of engines",
    "serve_app/api/velesio/models.py:SIZE": "the names of configured models",
    "serve_app/launch/haproxy.py:corrected": "a configuration that Ray writes",
    "deployments/transformers_checkpoint.py:check_complete": "the names of a checkpoint's weights",
    "deployments/text/transformers_encoder.py:_check_complete": "the same",
    "deployments/text/translation_checkpoint.py:NLLB_CODE": "a tokenizer's vocabulary",
    "deployments/text/generation/text.py:BYTE_PIECE": "a tokenizer's vocabulary",
    "deployments/audio/ffmpeg_child.py:REPORT": "what ffmpeg reports, in which only numbers differ",
    "deployments/video/h264_pieces.py:START_CODE": "bytes of an encoder of ours",
    "serve_app/blobs/inline_text.py:CODE": "bytes, by the readers below",
    "serve_app/api/long_texts.py:INSIDE": "bytes, by the readers below",
    "deployments/image/learned_words.py:_pattern": "the names of a family's embeddings",
    "serve_app/api/ai_server/operation_route.py:OperationRoute": "the names of our operations",
    "serve_app/api/ai_server/service_body.py:CAPITAL": "the names of fields of ours",
    "serve_app/upstreams/encryption_keys.py:HEX": "the keys of the server's environment",
    "serve_app/upstreams/openai_form/passed_events.py:AFTER_END": "bytes, by the readers below",
    "serve_app/upstreams/openai_form/passed_events.py:DONE_LINE": "bytes, by the readers below",
    "serve_app/upstreams/openai_form/passed_events.py:ERROR": "bytes, by the readers below",
    "serve_app/upstreams/openai_form/passed_events.py:FINISHED": "bytes, by the readers below",
    "serve_app/upstreams/openai_form/passed_events.py:USAGE": "bytes, by the readers below",
}
"""Patterns that never meet a text that a caller or a model has written, and what they meet."""

WORST: dict[str, tuple[str, list[tuple[str, str, str]]]] = {
    "deployments/audio/sentences.py:_SENTENCE": (
        "finditer",
        [("", '."', ""), (".", '"', "x"), ("", " ", "x"), ("。", "」", "x"), (".", " ", "x")],
    ),
    "deployments/audio/sentences.py:_CLAUSE": ("finditer", [(",", " ", "x"), ("", ", ", "")]),
    "deployments/fakes/replies.py:TOKEN": ("finditer", [("a", " ", "b"), ("", "a ", "")]),
    "deployments/image/poster/prompts.py:WORD": (
        "findall",
        [("", "a", "_"), ("", "1", "a"), ("", "a1", ""), ("", "_", "")],
    ),
    "deployments/image/diffusers_schedulers.py:SEPARATORS": (
        "finditer",
        [("a", " ", ""), ("a", "_-", "b"), ("", "a_", "")],
    ),
    "deployments/media/weighted_prompts.py:TOKEN": (
        "finditer",
        [(":", "1", "x"), (":", " ", "x"), (":1", " ", "x"), ("", ":1.", ""), ("", "B", "")],
    ),
    "deployments/media/prompt_schedules.py:TOKEN": (
        "finditer",
        [("", "\\\\", ""), ("", "[", ""), ("", "a", ""), ("", ":|", "")],
    ),
    "deployments/media/prompt_schedules.py:NUMBER": (
        "fullmatch",
        [("", " ", "x"), ("", "1", "x"), ("1.", "1", "x"), ("1", " ", "x")],
    ),
    "deployments/media/prompt_schedules.py:AND": ("split", [("", "AND", ""), ("", "AND ", "")]),
    "serve_app/api/automatic1111/sampler_names.py:SEPARATORS": (
        "finditer",
        [("a", " ", ""), ("a", "_-", "b"), ("", "a_", "")],
    ),
    "serve_app/api/automatic1111/prompts.py:NETWORK": (
        "finditer",
        [("", "<lora:", ""), ("<lora:a", ":", ""), ("", "<lora:a:1", ""), ("", "<", "")],
    ),
    "serve_app/api/automatic1111/prompts.py:WEIGHT": (
        "fullmatch",
        [("", "1", "."), (".", "1", "x")],
    ),
    "serve_app/api/automatic1111/numbers.py:NUMERIC": (
        "fullmatch",
        [("", " ", "1"), ("", "1", "x"), ("1.", "1", "x"), ("1e", "1", ""), ("1", " ", "x")],
    ),
    "serve_app/api/automatic1111/task_names.py:TASK": (
        "fullmatch",
        [("task(", "a", ""), ("task(", "a", "("), ("", "task(", "")],
    ),
    "serve_app/api/automatic1111/infotext.py:MARKS": ("search", [("", "a", "")]),
    "serve_app/api/automatic1111/infotext.py:SIZE": (
        "fullmatch",
        [("", "1", "x"), ("1x", "1", "x")],
    ),
    "serve_app/api/automatic1111/infotext.py:KEY": ("fullmatch", [("", "a ", ":"), ("a", " ", "")]),
    "serve_app/api/automatic1111/interrogation.py:WORD": (
        "finditer",
        [("", "a", ""), ("", "a ", ""), ("", "_", "")],
    ),
    "deployments/text/vllm_stream.py:OVERFLOW": (
        "search",
        [("", "maximum context lengt ", ""), ("", "longer than the maximu", "")],
    ),
    "deployments/transformers_checkpoint.py:PATH": (
        "finditer",
        [("/", "a", ""), ("/", "a/", " "), ("", "/", ""), ("", "/a:", "")],
    ),
    "deployments/audio/ffmpeg_child.py:TOLD": (
        "findall",
        [("frame=", " ", "x"), ("frame=", "\n", "x"), ("", "frame= ", "")],
    ),
    "deployments/video/subtitle_burning.py:NO_GLYPH": (
        "search",
        [("", "failed to find any fallback with glyph 0x", "")],
    ),
    "deployments/text/schema_gaps.py:COUNTED": (
        "search",
        [("", " (1", ""), ("", " (123456789 times)", "x"), ("", " ", "")],
    ),
    "pipelines/story_answers.py:SENTENCE": (
        "finditer",
        [("", "a.", ""), ("", ".", "a"), ("a.", '"', "."), ("", "a", "")],
    ),
    "pipelines/story_answers.py:WORD": ("finditer", [("", "ab ", ""), ("", "a", "")]),
    "pipelines/story_answers.py:LINE": (
        "findall",
        [
            ("", '"line": "', ""),
            ('"line": "', "\\\\", ""),
            ('"line": "', "a", ""),
            ('"line":', " ", ""),
        ],
    ),
    "pipelines/story_answers.py:LETTERS": ("search", [("", "a1", ""), ("", "1", "")]),
    "pipelines/story_answers.py:FINISHED": (
        "search",
        [("", ".", "a"), ("", '"', "a"), ("", '."', "a")],
    ),
    "serve_app/api/ai_server/artifact_links.py:HOST": (
        "fullmatch",
        [("", "a", "!"), ("a:", "1", ""), ("[", "1", "!"), ("[", ":", "]:")],
    ),
    "serve_app/api/ai_server/artifact_links.py:PREFIX": (
        "fullmatch",
        [("/", "a", "!"), ("", "/a", "!"), ("", "/", "")],
    ),
    "serve_app/api/ai_server/artifact_links.py:PLACE": (
        "fullmatch",
        [("input/2026/01/01/", "0", "/"), ("2026/01/01/0/", "a", ".png"), ("", "input/", "")],
    ),
    "serve_app/api/ai_server/given_files.py:UNSAFE": ("findall", [("", "/", ""), ("", "a", "/")]),
    "serve_app/api/ai_server/scalars.py:WHOLE": (
        "fullmatch",
        [("", "1", "x"), ("1.", "0", "x"), ("+", "-", "1")],
    ),
    "serve_app/api/ai_server/variants.py:OPTION": (
        "fullmatch",
        [("width=", "1", "x"), ("", "width=", "1")],
    ),
    "serve_app/api/ai_server/video_processing.py:TIME": (
        "fullmatch",
        [("", "1", ":00"), ("", "1:", ""), ("1:00.", "0", "x")],
    ),
    "serve_app/access/users.py:USERNAME": ("fullmatch", [("", "a", "!")]),
    "serve_app/core/error_fields.py:ROOT": ("match", [("", "a", ""), ("", "a", "[")]),
    "serve_app/core/upstreams/base_url.py:SECRET": ("search", [("", "ke", ""), ("", "secre", "")]),
    "serve_app/upstreams/claude_models.py:VERSION": (
        "search",
        [("", "claude-", ""), ("claude-", "a", "!"), ("claude-", "1", "!"), ("", "claude-a-", "")],
    ),
    "serve_app/upstreams/bedrock_places.py:MAKER": ("match", [("", "a", ""), ("us-", "a.", "")]),
    "serve_app/core/upstreams/upstream_errors.py:TOO_LONG": (
        "search",
        [("", "context ", ""), ("", "exceeds the model ", ""), ("", "token count ", "")],
    ),
    "serve_app/core/upstreams/upstream_errors.py:KEY_LIKE": (
        "search",
        [("", "sk-", ""), ("", "sk-a ", ""), ("", "key_key-k!", "")],
    ),
    "serve_app/core/upstreams/provider_names.py:NAME": (
        "fullmatch",
        [("", "a", "!"), ("", "a-", "!"), ("", "a-", ""), ("a", "-", "")],
    ),
    "serve_app/core/upstreams/provider_names.py:HYPHENATED": (
        "fullmatch",
        [("", "a", "!"), ("aaaaaaaa", "-aaaa", "")],
    ),
    "serve_app/core/upstreams/provider_names.py:DIGITS": ("fullmatch", [("", "a", "!")]),
    "serve_app/core/upstreams/provider_rules.py:ROLE_ARN": (
        "fullmatch",
        [("arn:aws", "-", ":"), ("arn:aws:iam::123456789012:role/", "a", "!")],
    ),
    "serve_app/api/conditions.py:TAG": (
        "finditer",
        [("", '"', ""), ("", "W/", ""), ("", 'W/"', "a"), ('"', "a", "")],
    ),
    "serve_app/api/form_parts.py:NUMBERED": (
        "search",
        [("", "[", ""), ("", "[0000", ""), ("", "[]", "x")],
    ),
    "serve_app/api/middleware.py:REQUEST_ID": ("fullmatch", [("", ".", "a"), ("", ".", "")]),
    "serve_app/api/v1/images/image_extras.py:HUB_ID": (
        "fullmatch",
        [("", "a", "!"), ("a/", "a", "!"), ("", "a/", "")],
    ),
    "serve_app/api/v1/images/sizes.py:SIZE": ("fullmatch", [("", "1", "x"), ("", "1x", "")]),
    "serve_app/api/v1/audio/spoken_models.py:LOCALE": ("fullmatch", [("aa", "-aa", "!")]),
    "serve_app/archive/entries.py:FILE_NAME": ("fullmatch", [("", "a", ".png")]),
    "serve_app/blobs/intake.py:OWN_PATH": (
        "fullmatch",
        [("/", "a", "#"), ("/a?", "?", "#")],
    ),
    "serve_app/blobs/intake.py:WHOLE_URL": (
        "fullmatch",
        [("http://", "a", ""), ("http://a", "/", "\n")],
    ),
    "serve_app/blobs/intake.py:STORED": ("fullmatch", [("sha256:", "a", "")]),
    "serve_app/blobs/store.py:FILE_NAME": ("fullmatch", [("up-", "a", ".png")]),
    "serve_app/blobs/store.py:SHA256": ("fullmatch", [("", "a", "")]),
    "serve_app/core/video/subtitles.py:WORD": (
        "finditer",
        [("", "a", ""), ("", "a ", ""), ("", "字", "")],
    ),
    "serve_app/core/video/subtitles.py:SENTENCE_END": (
        "search",
        [("", ".", "x"), (".", ")", "x"), ("", ".)", "x")],
    ),
    "serve_app/observability/masking.py:SECRET_NAME": (
        "search",
        [("", "ke", ""), ("", "^sig", "")],
    ),
    "serve_app/observability/masking.py:SECRET_VALUE": (
        "search",
        [("", "eyJ-", ""), ("", "eyJ", ""), ("", "sk-a.", ""), ("://", "a", ""), ("", "://", "")],
    ),
    "serve_app/profiles/profile.py:NAME": ("fullmatch", [("", "a ", "!")]),
    "serve_app/profiles/profile.py:VOICE_NAME": ("fullmatch", [("", "a", "!")]),
}
"""How a pattern is used, and the beginnings, repeated middles and ends that cost it most."""

WORD = "a" * 60
TOOLS = (Tool(name="f"),)
TIMES: dict[str, Any] = {"id": 0, "start": 0.0, "end": 1e6}


def spoken(text: str) -> tuple[TranscriptSegment, ...]:
    """Cues of a text without times of words."""
    return cues((TranscriptSegment.model_validate(TIMES | {"text": text}),), "subtitle")


def changing(text: str) -> object:
    return prompt_stretches(text, 3)


def base64_bytes(text: str) -> int | None:
    try:
        return sum(map(len, decoded(text_pieces(text))))
    except NotBase64:
        return None


def sifted(text: str) -> bytes:
    """A body as the server gets it, in pieces of 64 KiB."""
    sieve, body = JsonStringScanner(Path(), {}), text.encode()
    pieces = [sieve.feed(body[i : i + 65536]) for i in range(0, len(body), 65536)]
    return b"".join((*pieces, sieve.finish()))


def events(text: str) -> int:
    """A stream of events, as slow servers send it."""
    reader, body = EventReader(), text.encode()
    found = [reader.feed(body[i : i + 16]) for i in range(0, len(body), 16)]
    return sum(map(len, found)) + len(reader.finish())


def messages(text: str) -> int:
    """Of Amazon's event streams, as slow servers send them: a large one, or many small ones."""
    reader, found = EventStreamReader(), 0
    parts = (text,) if text[0] == "a" else text.split()
    body = b"".join(frame(part.encode()) for part in parts)
    for i in range(0, len(body), 64):
        found += len(reader.feed(body[i : i + 64]))
    return found


def passed(text: str) -> int:
    """A stream that is passed on, in pieces of 64 KiB."""
    calls: Any = None
    events = PassedEvents(OpenAIExchange(target("openai", "http://x"), calls), wants_usage=False)
    body = text.encode()
    found = [events.feed(body[i : i + 65536]) for i in range(0, len(body), 65536)]
    return sum(map(len, found)) + len(events.finish())


READERS: dict[str, tuple[Reader, tuple[str, str, str]]] = {
    "base64 with white space in it": (base64_bytes, ("A", " ", "!")),
    "base64 with line ends": (base64_bytes, ("", "QUJD\r\n", "")),
    "base64 that is padding": (base64_bytes, ("", "=", "")),
    "white space before base64": (base64_bytes, ("", " ", "AAAA")),
    "white space before a medium": (lambda text: beginning(text_pieces(text)), ("", " ", "A")),
    "strings in JSON": (sifted, ("", '"a",', "")),
    "an escape after the other in JSON": (sifted, ('"', "\\\\", "")),
    "half an escape after the other": (sifted, ('"', '\\"', "\\")),
    "a percent-encoded data URL": (
        lambda text: sum(map(len, unquoted(text_pieces(text)))),
        ("", "%41", "%"),
    ),
    "percent signs": (lambda text: sum(map(len, unquoted(text_pieces(text)))), ("", "%", "")),
    "what is stored": (storable, ("", "\0", "")),
    "a header that is masked": (lambda text: is_secret("a", text), ("", "eyJ-", "")),
    "a query that is masked": (lambda text: masked_query(text.encode()), ("", "a=eyJ-&", "")),
    "a fake's tokens": (tokens_of, ("a", " ", "")),
    "sentences": (sentences, ("", ".", "")),
    "sentences without an end": (sentences, ("", "a", "")),
    "sentences of spaces and dots": (sentences, ("", ". ", "")),
    "the sentences of a story": (lambda text: spread_over_scenes(text, 8), ("", "!?", "")),
    "an answer in circles": (repeats_itself, ("", "ab", "")),
    "tool calls": (lambda text: calls_in(text, TOOLS), ("", '{"name":"f"};', "")),
    "brackets that a model opens": (lambda text: calls_in(text, TOOLS), ("", "[", "")),
    "a prompt that changes": (changing, ("", "[a:b:1]", "")),
    "brackets in a prompt": (changing, ("", "[x:(y", "")),
    "brackets in a prompt that close": (changing, ("[" * 60, "(]:1]", "")),
    "marks in the bracket of a prompt": (changing, ("[", ":|", "1]")),
    "parts of a prompt": (composed_texts, ("", "a:1 AND ", "")),
    "cues": (spoken, ("", f"{WORD} ", "")),
    "cues of one word": (spoken, ("", "a", "")),
    "SubRip": (lambda text: srt(spoken(text)), ("", f"{WORD}. ", "")),
    "WebVTT": (lambda text: vtt(spoken(text)), ("", "<-->", "")),
    "a part's parameters": (lambda text: parameters(text.encode()), ("form-data", ";a=b", "")),
    "a part's quotes": (lambda text: parameters(text.encode()), ('form-data; a="', '" ', "")),
    "a part's escapes": (lambda text: parameters(text.encode()), ('form-data; a="', '\\";', "")),
    "a part's spaces": (lambda text: parameters(text.encode()), ('form-data; a="b"', " ", "c")),
    "events of a stream": (events, ("", "data: a\n\n", "")),
    "an event of many lines": (events, ("", "data:a\n", "")),
    "an event of one line": (events, ("data: ", "a", "\n\n")),
    "a large message of an event stream": (messages, ("", "a", "")),
    "small messages of an event stream": (messages, ("", "bcdefghij ", "")),
    "events that are passed on": (passed, ("", "data: a\n\n", "")),
    "comments that are not": (passed, ("", ": a\n\n", "")),
    "an event that does not end": (passed, ("data: ", '"usage"', "")),
    "spaces before usage": (passed, ('data: "usage":', " ", "\n\n")),
    "spaces before an end": (passed, ("data:", " ", "\n\n")),
    "ends that are none": (passed, ("", 'data: "finish_reason" \n\n', "")),
    "ranges": (lambda text: requested(text, 100), ("bytes=", "0-1,", "")),
    "a number in a range": (lambda text: requested(text, 100), ("bytes=", "9", "-")),
}
"""Functions that go through a text in more ways than by a pattern."""


def patterns() -> Iterator[Pattern]:
    """Every pattern of the product, by the name that it is given or the function that it is in."""
    for path in sorted(path for folder in PRODUCT for path in (ROOT / folder).rglob("*.py")):
        source, nameless = path.read_text(), 0
        # Reading all modules takes a second of every collection.
        for statement in ast.parse(source).body if "\nimport re\n" in source else ():
            for call in _calls(statement):
                name = _name(statement)
                if not name or isinstance(getattr(statement, "value", None), ast.Tuple):
                    name, nameless = str(nameless), nameless + 1
                yield Pattern(f"{path.relative_to(ROOT)}:{name}", _text(call), _flags(call))


def _calls(statement: ast.stmt) -> list[ast.Call]:
    return [
        node
        for node in ast.walk(statement)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "re"
        and node.func.attr in CALLS
    ]


def _name(statement: ast.stmt) -> str:
    if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
        return statement.targets[0].id
    return getattr(statement, "name", "")


def _text(call: ast.Call) -> str | None:
    try:
        return str(ast.literal_eval(call.args[0]))
    except ValueError:
        return None


def _flags(call: ast.Call) -> int:
    names = [node.attr for node in ast.walk(call) if isinstance(node, ast.Attribute)]
    return sum(getattr(re, name) for name in names if name.isupper())


PATTERNS = {pattern.where: pattern for pattern in patterns()}


def check_growth(read: Reader, worst: tuple[str, str, str]) -> None:
    """Tenfold text, less than MOST_GROWTH times the time, up to a million characters. Small texts
    come first, so that what is quadratic is told and not waited for.
    """
    begin, middle, end = worst
    taken = LEAST_S
    for size in SIZES:
        text = begin + middle * (size // len(middle)) + end
        before, taken = taken, _fastest(read, text, at_most_s=taken * MOST_GROWTH)
        assert taken < before * MOST_GROWTH, f"{size} characters: {taken:.4f} s after {before:.4f}"


def _fastest(read: Reader, text: str, *, at_most_s: float) -> float:
    """The thread's own time, since others use the machine too: of up to five tries, and no less
    than what can be measured.
    """
    fastest = float("inf")
    for _ in range(5):
        begun = time.thread_time()
        read(text)
        fastest = min(fastest, time.thread_time() - begun)
        if fastest < at_most_s / 2:
            break
    return max(fastest, LEAST_S)


def test_every_pattern_is_accounted_for() -> None:
    assert PATTERNS.keys() == WORST.keys() | OURS.keys(), (
        "a pattern that meets the text of a caller or of a model needs its worst input in WORST"
    )
    assert not [where for where in WORST if PATTERNS[where].text is None]


def test_no_pattern_of_pydantic_backtracks() -> None:
    """Its own engine takes linear time; Python's, which can be chosen, does not."""
    for folder in PRODUCT:
        for path in (ROOT / folder).rglob("*.py"):
            assert "python-re" not in path.read_text(), path


CASES = [(where, worst) for where, (_, all_worst) in WORST.items() for worst in all_worst]


@pytest.mark.parametrize(("where", "worst"), CASES)
def test_patterns_take_linear_time(where: str, worst: tuple[str, str, str]) -> None:
    compiled = re.compile(PATTERNS[where].text or "", PATTERNS[where].flags)
    method = getattr(compiled, WORST[where][0])
    check_growth(
        lambda text: sum(1 for _ in method(text) or ()) if _is_iterator(method) else method(text),
        worst,
    )


def _is_iterator(method: Any) -> bool:
    return bool(method.__name__ == "finditer")


@pytest.mark.parametrize("name", READERS)
def test_readers_take_linear_time(name: str) -> None:
    check_growth(*READERS[name])


def test_the_measure_tells_a_pattern_that_backtracks() -> None:
    backtracking = re.compile(r"[A-Za-z0-9+/_\-\s]*={0,2}\s*")
    with pytest.raises(AssertionError, match="characters"):
        check_growth(backtracking.fullmatch, ("A", " ", "!"))


def test_base64_of_both_alphabets_is_read_over_the_edges_of_pieces() -> None:
    data = bytes(range(256)) * 700
    for text in (base64.b64encode(data).decode(), base64.urlsafe_b64encode(data).decode()):
        assert b"".join(decoded(text_pieces(text.rstrip("=")))) == data
        assert b"".join(decoded(text_pieces("\n".join(text)))) == data
    quoted = "".join(f"%{byte:02x}" for byte in data)
    assert b"".join(unquoted(text_pieces(quoted))) == data
