"""llama.cpp's routes about tokens, prompts and embeddings."""

from typing import Any

import httpx
import pytest

from serve_app.api.velesio.prompt_formats import format_name
from serve_app.core.errors import ContextLengthExceeded
from serve_app.core.text.chat_model import ChatModel
from tests.api.conftest import FAMILIES, MakeContext, client_of

UNITY_NAMES = {
    *("chatml", "llama", "llama chat", "llama3 chat", "mistral instruct", "mistral chat", "gemma"),
    *("alpaca", "vicuna", "phi", "phi-3", "phi-3.5", "phi-4-mini", "phi-4", "zephyr"),
    *("deepseek-v2", "deepseek-v3", "deepseek-r1", "qwen3", "bitnet"),
}


@pytest.mark.covers("Velesio: POST /tokenize and /detokenize")
@pytest.mark.parametrize("text", ["", "hello", "Grüße, 世界 🙂!\n"])
async def test_tokens_and_back(client: httpx.AsyncClient, text: str) -> None:
    tokens = (await client.post("/tokenize", json={"content": text, "model": "echo"})).json()
    assert tokens == {"tokens": list(text.encode())}
    assert (await client.post("/detokenize", json=tokens)).json() == {"content": text}


@pytest.mark.parametrize(
    ("path", "body", "status", "code", "details"),
    [
        ("/tokenize", {}, 400, "invalid_request", "content"),
        ("/tokenize", {"content": 5}, 400, "invalid_request", "content"),
        ("/tokenize", {"content": "a", "model": "no"}, 404, "model_not_found", "model"),
        ("/tokenize", {"content": "a", "model": "squares"}, 400, "invalid_request", "model"),
        ("/detokenize", {}, 400, "invalid_request", "tokens"),
        ("/detokenize", {"tokens": "a"}, 400, "invalid_request", "tokens"),
        ("/detokenize", {"tokens": [-1]}, 400, "invalid_request", "tokens[0]"),
        ("/detokenize", {"tokens": [1, 10**9]}, 400, "invalid_request", "tokens[1]"),
        ("/detokenize", {"tokens": [1, 10**30]}, 400, "invalid_request", "tokens[1]"),
        ("/apply-template", {}, 400, "invalid_request", "messages"),
        ("/apply-template", {"messages": [{"role": "x"}]}, 400, "invalid_request", "messages[0]"),
        ("/embeddings", {}, 400, "invalid_request", "input"),
        ("/embeddings", {"content": ""}, 400, "invalid_request", "content"),
        ("/embeddings", {"input": "a", "model": "echo"}, 400, "invalid_request", "model"),
        ("/embeddings", {"input": "a", "dimensions": 10**6}, 400, "invalid_request", "dimensions"),
    ],
)
async def test_errors_name_the_field(
    client: httpx.AsyncClient,
    path: str,
    body: dict[str, Any],
    status: int,
    code: str,
    details: str,
) -> None:
    answer = await client.post(path, json=body)
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert error["code"] == code
    assert error["details"].startswith(details)


async def test_a_model_whose_tokenizer_is_elsewhere(make_context: MakeContext) -> None:
    class Upstream(ChatModel):
        context_length = None

    async with client_of(make_context(runs={"chat": Upstream()})) as client:  # type: ignore[abstract]
        for path, body in (
            ("/tokenize", {"content": "a"}),
            ("/detokenize", {"tokens": [1]}),
            ("/apply-template", {"messages": [{"role": "user", "content": "a"}]}),
            ("/template", {}),
            ("/props", {}),
        ):
            answer = await client.post(path, json=body)
            assert answer.status_code == 400, answer.text
            error = answer.json()["error"]
            assert (error["code"], error["details"][:5]) == ("invalid_request", "model")


async def test_a_conversation_as_the_model_reads_it(client: httpx.AsyncClient) -> None:
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    answer = await client.post("/apply-template", json={"messages": turns})
    expected = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
    assert answer.json() == {"prompt": f"{expected}<|im_start|>assistant\n"}


@pytest.mark.parametrize("content", [b"", b"{}"])
async def test_templates_and_props_need_no_body(client: httpx.AsyncClient, content: bytes) -> None:
    assert (await client.post("/template", content=content)).json() == {"template": "chatml"}
    assert (await client.get("/template")).json() == {"template": "chatml"}
    props = (await client.post("/props", content=content)).json()
    assert props == (await client.get("/props")).json()
    assert props.keys() == {"default_generation_settings", "chat_template", "total_slots"}


@pytest.mark.parametrize(
    ("template", "model", "name"),
    [
        ("", "anything", "chatml"),
        ("", "microsoft/phi-2", "phi"),
        ("", "Mistral-7B-v0.1", "mistral chat"),
        ("", "Llama-2-7b", "llama chat"),
        ("", "Qwen3-0.6B-Base", "qwen3"),
        ("", "DeepSeek-V2.5", "deepseek-v3"),
        ("{{ messages }}", "anything", "chatml"),
        ("<|im_start|>user", "SmolLM2", "chatml"),
        ("<|im_start|> {% if enable_thinking %}", "m", "qwen3"),
        ("<|im_start|>", "Qwen/Qwen3-0.6B", "qwen3"),
        ("<|start_header_id|>", "Llama-3.2-1B", "llama3 chat"),
        ("<|start_header_id|>", "BitNet-b1.58", "bitnet"),
        ("message['role'] | capitalize + ': ' + '<|eot_id|>'", "m", "bitnet"),
        ("[INST] <<SYS>>", "m", "llama"),
        ("[INST] <<SYS>> ### user:", "m", "llama chat"),
        ("[INST]", "m", "mistral instruct"),
        ("[INST] ### user:", "m", "mistral chat"),
        ("<start_of_turn>", "m", "gemma"),
        ("<|user|>\n<|end|>", "Phi-3-mini", "phi-3"),
        ("<|user|>\n<|end|>", "Phi-3.5-mini", "phi-3.5"),
        ("<|system|>\n<|user|>\n<|end|>", "m", "phi-3.5"),
        ("<|user|><|end|>", "Phi-4-mini-instruct", "phi-4-mini"),
        ("'<|' + message['role'] + '|>' <|tool|> <|end|>", "m", "phi-4-mini"),
        ("<|im_start|>user<|im_sep|>", "phi-4", "phi-4"),
        ("<|user|>\n", "zephyr-7b", "zephyr"),
        ("<｜User｜><｜Assistant｜>", "m", "deepseek-v3"),  # noqa: RUF001
        ("<｜User｜><｜Assistant｜></think>", "m", "deepseek-r1"),  # noqa: RUF001
        ("Assistant: <｜end▁of▁sentence｜>", "m", "deepseek-v2"),  # noqa: RUF001
        ("'User: ' 'Assistant: ' + eos_token", "m", "deepseek-v2"),
        ("### Instruction:", "m", "alpaca"),
        ("USER: ", "m", "vicuna"),
    ],
)
def test_the_nearest_name_of_a_template(template: str, model: str, name: str) -> None:
    assert format_name(template, model) == name
    assert name in UNITY_NAMES


@pytest.mark.covers("Velesio: POST /embeddings and /embedding")
async def test_embeddings_in_three_forms(client: httpx.AsyncClient) -> None:
    listed = (await client.post("/embeddings", json={"input": ["a", "b"]})).json()
    native = (
        await client.post("/v1/embeddings", json={"model": "digest", "input": ["a", "b"]})
    ).json()
    assert listed == native
    vector = listed["data"][0]["embedding"]
    older = (await client.post("/embeddings", json={"content": "a"})).json()
    assert older == {"embedding": vector}
    expected = [{"index": 0, "embedding": [vector]}]
    newer = await client.post("/embeddings", json={"content": "a", "stream": False})
    assert newer.json() == expected
    assert (await client.post("/embedding", json={"content": "a"})).json() == expected
    two = (await client.post("/embedding", json={"content": ["a", "b"]})).json()
    assert [each["index"] for each in two] == [0, 1]


@pytest.mark.parametrize("field", ["input", "content"])
async def test_a_text_that_is_too_long_is_named_as_it_was_sent(
    make_context: MakeContext, field: str
) -> None:
    class Short:
        async def embed(self, request: Any) -> Any:
            raise ContextLengthExceeded("the text is too long", param="texts[1]")

    async with client_of(make_context(runs={"embeddings": Short()})) as client:
        answer = await client.post("/embeddings", json={field: ["a", "b"]})
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["details"] == f"{field}[1]"


async def test_a_server_without_embeddings_says_so(make_context: MakeContext) -> None:
    families = [family for family in FAMILIES if family["name"] != "embeddings"]
    async with client_of(make_context(families=families)) as client:
        answer = await client.post("/embeddings", json={"content": "a"})
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "backend_unavailable"
    assert answer.headers["x-should-retry"] == "false"
