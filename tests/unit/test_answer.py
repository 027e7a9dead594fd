from collections.abc import Iterable

import pytest

from deployments.text.generation.answer import AnswerParser
from deployments.text.generation.tool_format import HERMES, LLAMA, MISTRAL, ToolFormat
from serve_app.core.text.chat import ChatDelta, Tool

TOOLS = (Tool(name="weather"), Tool(name="clock"))
ROME = '{"name": "weather", "arguments": {"city": "Rome"}}'
NOON = '{"name": "clock", "arguments": {}}'
ARGUMENTS = '{"city": "Rome"}'
SIZES = (1, 2, 3, 5, 7, 1000)
Read = tuple[str, str, list[tuple[str | None, str]]]


def pieces(text: str, size: int) -> Iterable[str]:
    return (text[i : i + size] for i in range(0, len(text), size))


def joined(deltas: Iterable[ChatDelta]) -> Read:
    text, reasoning, calls = "", "", []
    for delta in deltas:
        text += delta.text
        reasoning += delta.reasoning
        calls += [(call.name, call.arguments) for call in delta.tool_calls]
    return reasoning, text, calls


def read(parser: AnswerParser, text: str, size: int = 1) -> Read:
    deltas = [delta for piece in pieces(text, size) for delta in parser.push(piece)]
    return joined(deltas + parser.finish())


def with_tools(form: ToolFormat, *, allows_several: bool = True) -> AnswerParser:
    return AnswerParser(0, TOOLS, form, allows_several=allows_several)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("answer", "reasoning", "text"),
    [
        ("Hello.", "", "Hello."),
        ("", "", ""),
        ("  indented", "", "  indented"),
        ("a < b and <thin>", "", "a < b and <thin>"),
        ("<thi", "", "<thi"),
        ("<think>\nhm, hm\n</think>\n\nFine.", "hm, hm\n", "Fine."),
        ("\n<think>hm</think>Fine.", "hm", "Fine."),
        ("<think>never ended", "never ended", ""),
        ("<think>a </thin b</think>c", "a </thin b", "c"),
        ("I said <think>no</think>.", "", "I said <think>no</think>."),
    ],
)
def test_reasoning_is_told_from_text(answer: str, reasoning: str, text: str, size: int) -> None:
    assert read(AnswerParser(0), answer, size) == (reasoning, text, [])


@pytest.mark.parametrize("size", SIZES)
def test_reasoning_that_the_prompt_opened_goes_on_to_its_end(size: int) -> None:
    parser = AnswerParser(0, is_thinking=True)
    assert parser.is_reasoning
    assert read(parser, "hm\n</think>\n\nFine.", size) == ("hm\n", "Fine.", [])
    assert not parser.is_reasoning


def test_text_and_reasoning_are_passed_on_as_soon_as_they_are_certain() -> None:
    parser = AnswerParser(0, TOOLS, HERMES)
    assert joined(parser.push("Hello <")) == ("", "Hello ", [])
    assert joined(parser.push("b>")) == ("", "<b>", [])
    parser = AnswerParser(0, is_thinking=True)
    assert joined(parser.push("hm </th")) == ("hm ", "", [])
    assert joined(parser.push("ink>yes")) == ("", "yes", [])


def test_plain_completions_are_text_whatever_they_begin_with() -> None:
    assert read(AnswerParser(0).as_text(), "<think>hm</think>") == ("", "<think>hm</think>", [])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("form", "answer", "text"),
    [
        (HERMES, f"<tool_call>\n{ROME}\n</tool_call>", ""),
        (HERMES, f"I look.\n<tool_call>{ROME}</tool_call>", "I look.\n"),
        (HERMES, f"<tool_call>{ROME}", ""),
        (MISTRAL, f"[TOOL_CALLS][{ROME}]", ""),
        (MISTRAL, f"[TOOL_CALLS] [{ROME}]", ""),
        (MISTRAL, f"I look.[TOOL_CALLS][{ROME}]", "I look."),
        (LLAMA, ROME.replace("arguments", "parameters"), ""),
        (LLAMA, f"\n {ROME}", ""),
        (LLAMA, f"<|python_tag|>{ROME}", ""),
    ],
)
def test_a_call_is_found_in_every_form(form: ToolFormat, answer: str, text: str, size: int) -> None:
    assert read(with_tools(form), answer, size) == ("", text, [("weather", ARGUMENTS)])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("form", "answer"),
    [
        (HERMES, f"<tool_call>{ROME}</tool_call>\n<tool_call>{NOON}</tool_call>"),
        (HERMES, f"<tool_call>{ROME}\n{NOON}</tool_call>"),
        (MISTRAL, f"[TOOL_CALLS][{ROME}, {NOON}]"),
        (LLAMA, f"{ROME}; {NOON}"),
    ],
)
def test_several_calls_are_numbered_and_have_ids_of_their_own(
    form: ToolFormat, answer: str, size: int
) -> None:
    parser = with_tools(form)
    deltas = [delta for piece in pieces(answer, size) for delta in parser.push(piece)]
    deltas += parser.finish()
    assert joined(deltas) == ("", "", [("weather", ARGUMENTS), ("clock", "{}")])
    calls = [call for delta in deltas for call in delta.tool_calls]
    assert [call.index for call in calls] == [0, 1]
    assert len({call.id for call in calls}) == 2
    assert parser.calls == 2


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("form", "answer"),
    [
        (HERMES, f"<tool_call>{ROME}</tool_call>\n<tool_call>{NOON}</tool_call>"),
        (MISTRAL, f"[TOOL_CALLS][{ROME}, {NOON}]"),
    ],
)
def test_one_call_is_enough_where_several_are_not_allowed(
    form: ToolFormat, answer: str, size: int
) -> None:
    parser = with_tools(form, allows_several=False)
    calls: list[tuple[str | None, str]] = []
    for piece in pieces(answer, size):
        if not parser.is_done:
            calls += joined(parser.push(piece))[2]
    calls += joined(parser.finish())[2]
    assert calls == [("weather", ARGUMENTS)]
    assert parser.is_done


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("form", "answer"),
    [
        (HERMES, "<tool_call>nonsense</tool_call>"),
        (HERMES, '<tool_call>{"name": "stranger", "arguments": {}}</tool_call>'),
        (HERMES, 'Look: <tool_call>{"name": "weather", "argum'),
        (HERMES, "<tool_call"),
        (MISTRAL, "[TOOL_CALLS] of yesterday"),
        (MISTRAL, "[TOOL"),
        (LLAMA, '{"weather": "sunny"}'),
        (LLAMA, "[1] says so."),
        (LLAMA, "It is {sunny}."),
    ],
)
def test_what_only_looks_like_a_call_stays_text(form: ToolFormat, answer: str, size: int) -> None:
    parser = with_tools(form)
    assert read(parser, answer, size) == ("", answer, [])
    assert parser.calls == 0


@pytest.mark.parametrize("size", SIZES)
def test_text_after_an_unreadable_call_may_hold_a_call(size: int) -> None:
    answer = f"<tool_call>oh</tool_call> Again: <tool_call>{NOON}</tool_call> Done."
    expected = ("", "<tool_call>oh</tool_call> Again: Done.", [("clock", "{}")])
    assert read(with_tools(HERMES), answer, size) == expected


def test_without_tools_marks_are_text() -> None:
    answer = f"<tool_call>{ROME}</tool_call>"
    assert read(AnswerParser(0, (), HERMES), answer) == ("", answer, [])


@pytest.mark.parametrize("size", SIZES)
def test_calls_come_after_reasoning_and_none_is_looked_for_inside(size: int) -> None:
    answer = f"<think><tool_call>{NOON}</tool_call>?</think>\n<tool_call>{ROME}</tool_call>"
    expected = (f"<tool_call>{NOON}</tool_call>?", "", [("weather", ARGUMENTS)])
    assert read(with_tools(HERMES), answer, size) == expected


@pytest.mark.parametrize("size", SIZES)
def test_a_call_that_the_prompt_opened_needs_no_mark(size: int) -> None:
    form = ToolFormat("hermes", "<tool_call>", None)
    parser = with_tools(form).inside_call()
    assert read(parser, ROME, size) == ("", "", [("weather", ARGUMENTS)])


def test_every_delta_bears_the_number_of_its_choice() -> None:
    parser = AnswerParser(3, TOOLS, HERMES)
    deltas = parser.push(f"<think>a</think>b<tool_call>{NOON}</tool_call>") + parser.finish()
    assert [delta.index for delta in deltas] == [3] * 3
