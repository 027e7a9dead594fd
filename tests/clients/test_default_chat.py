"""The chat model of the local default answers with sense, by every name that clients know."""

import json
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionMessageParam, ChatCompletionToolParam

from tests.questions import BRIEFLY, QUESTIONS

MODEL = "SmolLM2-135M-Instruct"
CLIENTS = 12
"""More than there are slots."""
TOOL: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "maxLength": 20}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}


def asked(question: str) -> list[ChatCompletionMessageParam]:
    return [{"role": "system", "content": BRIEFLY}, {"role": "user", "content": question}]


def ask(client: openai.OpenAI, question: str, model: str = MODEL) -> ChatCompletion:
    return client.chat.completions.create(
        model=model, messages=asked(question), temperature=0, max_tokens=24
    )


@pytest.mark.parametrize(("question", "answer"), QUESTIONS.items())
def test_questions_are_answered_rightly(client: openai.OpenAI, question: str, answer: str) -> None:
    assert answer in (ask(client, question).choices[0].message.content or "")


def test_a_question_alone_is_answered_rightly_without_any_setting(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="auto",
        messages=[{"role": "user", "content": "What is the capital of France?"}],
        max_tokens=30,
        seed=1,
    )
    assert "Paris" in (answer.choices[0].message.content or "")


@pytest.mark.parametrize("name", ["auto", "local", "smollm2", "gpt-4o-mini", "gpt-3.5-turbo"])
def test_names_that_clients_have_by_default(client: openai.OpenAI, name: str) -> None:
    answer = ask(client, "What is the capital of Italy?", name)
    assert answer.model == MODEL
    assert "Rome" in (answer.choices[0].message.content or "")


def test_more_clients_than_slots_wait(client: openai.OpenAI) -> None:
    questions = [*QUESTIONS][:2] * (CLIENTS // 2)
    with ThreadPoolExecutor(CLIENTS) as threads:
        answers = list(threads.map(lambda question: ask(client, question), questions))
    for question, answer in zip(questions, answers, strict=True):
        assert QUESTIONS[question] in (answer.choices[0].message.content or "")


def test_a_tool_is_called_with_what_was_said(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model=MODEL,
        messages=asked("What is the weather in Rome?"),
        tools=[TOOL],
        tool_choice="required",
        temperature=0,
    )
    (choice,) = answer.choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.tool_calls
    call = choice.message.tool_calls[0]
    assert call.type == "function"
    assert json.loads(call.function.arguments) == {"city": "Rome"}


def test_a_stop_text_ends_the_answer(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model=MODEL, messages=asked("What is the capital of Italy?"), temperature=0, stop=["Rome"]
    )
    (choice,) = answer.choices
    assert choice.finish_reason == "stop"
    assert (choice.message.content or "").endswith("Italy is ")


def test_the_prompt_that_was_read_last_is_not_read_again(client: openai.OpenAI) -> None:
    usages = [ask(client, "How many days are in a week?").usage for _ in range(2)]
    again = usages[1]
    assert again is not None
    assert again.prompt_tokens_details is not None
    assert (again.prompt_tokens_details.cached_tokens or 0) >= again.prompt_tokens // 2


def test_a_grammar_that_cannot_be_followed_is_refused(client: openai.OpenAI) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        client.post(
            "/completions".replace("/completions", "/../completion"),
            body={"prompt": "a", "n_predict": 4, "grammar": 'root ::= "a'},
            cast_to=object,
        )
    assert caught.value.status_code == 400
