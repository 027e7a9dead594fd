"""The AI Server dialect: transport, names, errors, and what generates."""

import io
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from PIL import Image

from serve_app.access.token_store import NewToken, add_token
from serve_app.api.ai_server.results import xsd_duration
from serve_app.api.ai_server.table import ROWS
from serve_app.api.ai_server.video_processing import seconds_of
from serve_app.api.context import Context
from tests.ai_server import ended, form, refused, results
from tests.api.conftest import FAMILIES, MakeContext, client_of
from tests.images import data_url, png
from tests.material import tone, wav

RED = png("red", (60, 40))
PROMPT = {"positivePrompt": "a boat"}
SMALL = PROMPT | {"width": 64, "height": 64, "seed": 7}
AUDIO = wav(tone(0.2))


def slow(task: str, delay_s: float) -> list[dict[str, Any]]:
    return [
        each | {"options": each["options"] | {"delay_s": delay_s}} if each["name"] == task else each
        for each in FAMILIES
    ]


async def image_of(client: httpx.AsyncClient, url: str) -> Image.Image:
    answer = await client.get(url)
    assert answer.status_code == 200, answer.text
    return Image.open(io.BytesIO(answer.content))


@pytest.mark.covers("AI Server: synchronous requests", "AI Server: TextToImage")
async def test_images_are_generated(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/TextToImage", json=SMALL | {"batchSize": 2})
    first, second = results(answer)
    url = r"http://127\.0\.0\.1:8000/artifacts/\d{4}/\d\d/\d\d/0/[0-9a-f]{64}\.webp"
    assert re.fullmatch(url, first["url"])
    assert first["fileName"] == first["url"].rpartition("/")[2]
    assert first["url"] != second["url"]
    assert answer.headers["x-job-id"].startswith("job-")
    image = await image_of(client, first["url"])
    assert (image.format, image.size) == ("WEBP", (64, 64))


@pytest.mark.parametrize(
    ("method", "path", "request_"),
    [
        ("POST", "/api/TextToImage", {"json": SMALL}),
        ("POST", "/api/texttoimage", {"json": SMALL}),
        ("POST", "/json/reply/TextToImage", {"json": SMALL}),
        ("GET", "/api/TextToImage", {"params": SMALL}),
        ("PUT", "/api/TextToImage", {"data": SMALL}),
        ("PATCH", "/api/TextToImage", form(("PositivePrompt", "a boat"), ("Seed", "7"))),
        ("POST", "/api/TextToImage?positivePrompt=a+boat&seed&jsconfig=x", {"content": b""}),
        ("POST", "/api/TextToImage?seed=9", {"json": {"Positive_Prompt": "a boat", "SEED": 7}}),
        ("POST", "/api/TextToImage?width=64&height=64", {"data": SMALL | {"width": "", "tag": ""}}),
        ("POST", "/api/TextToImage", {"json": SMALL | {"model": None, "negativePrompt": ""}}),
        ("POST", "/api/TextToImage", {"json": SMALL | {"arguments": {"steps": "2"}}}),
        ("POST", "/api/TextToImage", {"data": SMALL | {"arguments": "{steps:2,cfg_scale:3}"}}),
    ],
)
async def test_every_way_to_ask(
    client: httpx.AsyncClient, method: str, path: str, request_: dict[str, Any]
) -> None:
    (made,) = results(await client.request(method, path, **request_))
    assert made["fileName"].endswith(".webp")


async def test_the_body_goes_before_the_query(client: httpx.AsyncClient) -> None:
    first = results(await client.post("/api/TextToImage", json=SMALL))
    again = await client.post("/api/TextToImage?seed=9&width=128&height=128", json=SMALL)
    assert results(again) == first


async def test_many_at_once_are_answered_in_order(client: httpx.AsyncClient) -> None:
    one = results(await client.post("/api/TextToImage", json=SMALL))
    for path in ("/api/TextToImage[]", "/json/reply/texttoimage%5B%5D"):
        answer = await client.post(path, json=[SMALL | {"seed": 9}, SMALL])
        assert answer.status_code == 200, answer.text
        assert [each["results"] for each in answer.json()][1] == one
        assert answer.headers["x-autobatch-completed"] == "2"
    assert (await client.post("/api/TextToImage[]", json=[])).json() == []
    refused(await client.post("/api/TextToImage[]", json=SMALL), 400, "SerializationException")
    refused(await client.post("/api/TextToImage[]", json=[SMALL] * 101), 400, "ArgumentException")
    refused(await client.post("/api/TextToImage[]", json=[{}]), 400, "NotEmpty")


async def test_the_first_of_many_that_fails_answers_for_all(client: httpx.AsyncClient) -> None:
    calls = [SMALL, SMALL | {"seed": -1}, SMALL | {"refId": "never"}]
    answer = await client.post("/api/QueueTextToImage[]", json=calls)
    told = refused(answer, 400, "InclusiveBetween", field="Seed")
    assert told["meta"] == {"AutoBatchIndex": "1"}
    assert answer.headers["x-autobatch-completed"] == "1"
    assert (await client.get("/v1/jobs")).json()["total"] == 1


@pytest.mark.covers("AI Server: queued requests")
async def test_a_queued_call_is_asked_for(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/QueueTextToImage", json=SMALL | {"refId": "mine", "tag": "t"})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert isinstance(told["jobId"], int)
    assert told["refId"] == "mine"
    assert told["jobState"] in ("Queued", "Started", "Completed")
    base = "http://127.0.0.1:8000/api/GetArtifactGenerationStatus"
    assert told["statusUrl"] == f"{base}?RefId=mine"
    status = (await ended(client, told["statusUrl"])).json()
    assert (status["jobState"], status["jobId"]) == ("Completed", told["jobId"])
    assert len(status["results"]) == 1
    assert status["duration"].startswith("PT")
    for query in (f"jobId={told['jobId']}&refId=other", "jobId=0&refId=mine", "jobId&RefId=mine"):
        assert (await client.get(f"{base}?{query}")).json() == status
    generation = (await client.get("/generation/ref/mine")).json()
    assert generation["outputs"][0]["url"] == status["results"][0]["url"]
    assert generation["request"]["positivePrompt"] == "a boat"
    assert (await client.get(f"/generation/{told['jobId']}")).json() == generation
    assert (await client.get("/api/GetGeneration?refId=mine")).json() == generation
    refused(
        await client.post("/api/QueueTextToImage", json=SMALL | {"refId": "mine"}),
        409,
        "Conflict",
        field="RefId",
    )


async def test_a_caller_who_does_not_wait(client: httpx.AsyncClient) -> None:
    headers = {"Prefer": "respond-async"}
    answer = await client.post("/api/TextToImage", json=SMALL, headers=headers)
    assert (answer.status_code, answer.headers["preference-applied"]) == (202, "respond-async")
    assert answer.headers["location"] == answer.json()["statusUrl"]
    assert (await ended(client, answer.json()["statusUrl"])).json()["jobState"] == "Completed"


async def test_a_call_that_is_repeated(client: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": "once"}
    prompt = {"json": PROMPT | {"width": 64}, "headers": headers}
    first = await client.post("/api/TextToImage", **prompt)
    again = await client.post("/api/TextToImage", **prompt)
    assert results(again) == results(first)
    assert again.headers["x-job-id"] == first.headers["x-job-id"]
    other = await client.post("/api/TextToImage?height=128", **prompt)
    refused(other, 409, "Conflict")


async def test_a_name_is_given_to_who_gives_none(client: httpx.AsyncClient) -> None:
    told = (await client.post("/api/QueueTextToImage", json=SMALL)).json()
    assert re.fullmatch("[0-9a-f]{32}", told["refId"])


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("GetArtifactGenerationStatus", "refId=nobody"),
        ("GetArtifactGenerationStatus", "jobId=999"),
        ("GetArtifactGenerationStatus", ""),
        ("GetArtifactGenerationStatus", "jobId=0"),
        ("GetTextGenerationStatus", "refId=mine"),
        ("GetOpenAiChatStatus", "refId=mine"),
        ("GetOpenAiChat", "id=999"),
        ("GetGeneration", "id=999"),
    ],
)
async def test_a_job_that_is_not_there(client: httpx.AsyncClient, path: str, name: str) -> None:
    await client.post("/api/TextToImage", json=SMALL | {"refId": "mine"})
    refused(await client.get(f"/api/{path}?{name}"), 404, "NotFound", "Job not found")


async def test_another_owners_job_is_not_there(make_context: MakeContext) -> None:
    context = make_context(
        environment={"API_TOKENS": "sk-one", "ADMIN_TOKEN": "sk-boss"}, auth={"required": False}
    )
    async with client_of(context) as client:
        await client.post("/api/TextToImage", json=SMALL | {"refId": "mine"})
        url = "/api/GetArtifactGenerationStatus?refId=mine"
        for headers in ({"X-Api-Key": "sk-one"}, {"Authorization": "Bearer sk-one"}):
            refused(await client.get(url, headers=headers), 404, "NotFound", "Job not found")
        assert (await client.get(url)).status_code == 200
        assert (await client.get(url, headers={"X-Api-Key": "sk-boss"})).status_code == 200


async def test_a_job_that_failed_is_an_error(make_context: MakeContext) -> None:
    class Broken:
        async def text_to_image(self, request: object) -> AsyncIterator[object]:
            raise RuntimeError("lost")
            yield

    async with client_of(make_context(runs={"images": Broken()})) as client:
        refused(await client.post("/api/TextToImage", json=SMALL), 500, "Exception", "Job failed: ")
        told = (await client.post("/api/QueueTextToImage", json=SMALL | {"refId": "f"})).json()
        answer = await ended(client, told["statusUrl"])
        refused(answer, 500, "Exception", "Job failed: ")
        assert answer.headers["x-should-retry"] == "false"
        names = {name: answer.json()[name] for name in ("jobId", "refId", "jobState")}
        assert names == {"jobId": told["jobId"], "refId": "f", "jobState": "Failed"}


async def test_a_job_that_was_cancelled_is_an_error(make_context: MakeContext) -> None:
    async with client_of(make_context(families=slow("images", 30))) as client:
        told = (await client.post("/api/QueueTextToImage", json=SMALL | {"refId": "c"})).json()
        job = (await client.get("/v1/jobs/c")).json()["id"]
        refused(await client.get("/generation/ref/c"), 404, "NotFound")
        assert (await client.post(f"/v1/jobs/{job}/cancel")).status_code == 200
        answer = await ended(client, told["statusUrl"])
        refused(answer, 500, "Exception", "Job was cancelled")
        assert answer.json()["jobState"] == "Cancelled"


@pytest.mark.covers("AI Server: the limit of synchronous requests")
async def test_the_limit_of_a_synchronous_call(make_context: MakeContext) -> None:
    context = make_context(families=slow("images", 0.5), jobs={"sync_timeout_s": {"api": 0.05}})
    async with client_of(context) as client:
        answer = await client.post("/api/TextToImage", json=SMALL | {"refId": "late"})
        meta = refused(answer, 504, "TimeoutException")["meta"]
        assert answer.headers["x-job-id"].startswith("job-")
        assert answer.headers["x-should-retry"] == "false"
        assert meta["refId"] == "late"
        status = (await ended(client, meta["statusUrl"])).json()
    assert (status["jobState"], str(status["jobId"])) == ("Completed", meta["jobId"])


def test_the_limit_is_a_minute(make_context: MakeContext) -> None:
    from serve_app.api.ai_server.dialect import AI_SERVER

    assert (AI_SERVER.name, AI_SERVER.sync_timeout_s) == ("api", 60)


@pytest.mark.parametrize(
    ("body", "code", "field", "message"),
    [
        ({}, "NotEmpty", "PositivePrompt", "'Positive Prompt' must not be empty."),
        ({"positivePrompt": " "}, "NotEmpty", "PositivePrompt", None),
        (SMALL | {"width": 63}, "InclusiveBetween", "Width", "'Width' must be between 64 and 2048"),
        (SMALL | {"height": 2049}, "InclusiveBetween", "Height", None),
        (SMALL | {"batchSize": 0}, "InclusiveBetween", "BatchSize", "'Batch Size'"),
        (SMALL | {"batchSize": 11}, "InclusiveBetween", "BatchSize", None),
        (SMALL | {"seed": -1}, "InclusiveBetween", "Seed", None),
        (SMALL | {"seed": 2**31}, "InclusiveBetween", "Seed", None),
        (SMALL | {"seed": 10**30}, "FormatException", "Seed", None),
        (SMALL | {"seed": "x"}, "FormatException", "Seed", None),
        (SMALL | {"seed": 1.5}, "FormatException", "Seed", None),
        (SMALL | {"seed": {"a": 1}}, "FormatException", "Seed", None),
        (SMALL | {"positivePrompt": {"a": 1}}, "FormatException", "PositivePrompt", None),
        (SMALL | {"arguments": {"steps": "many"}}, "FormatException", None, None),
        (SMALL | {"refId": "12"}, "ArgumentException", "RefId", None),
        (SMALL | {"refId": "a b"}, "ArgumentException", "RefId", None),
        (SMALL | {"model": "echo"}, "InvalidModel", "Model", "squares"),
    ],
)
async def test_fields_against_a_rule(
    client: httpx.AsyncClient,
    body: dict[str, Any],
    code: str,
    field: str | None,
    message: str | None,
) -> None:
    for path in ("/api/TextToImage", "/api/QueueTextToImage"):
        told = refused(await client.post(path, json=body), 400, code, message, field)
        if field is not None:
            assert told["errors"][0]["errorCode"] == code


async def test_all_that_is_against_a_rule_is_told(client: httpx.AsyncClient) -> None:
    told = refused(await client.post("/api/TextToImage", json={"width": 1}), 400, "NotEmpty")
    assert [each["fieldName"] for each in told["errors"]] == ["PositivePrompt", "Width"]


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (
            {"content": b"{", "headers": {"Content-Type": "application/json"}},
            "SerializationException",
        ),
        ({"json": [1]}, "SerializationException"),
        ({"json": "text"}, "SerializationException"),
        (
            {
                "content": b'{"positivePrompt":"a"}',
                "headers": {"Content-Type": "multipart/form-data"},
            },
            "SerializationException",
        ),
        (
            {
                "content": b'{"positivePrompt":"a"}',
                "headers": {"Content-Type": "multipart/form-data; boundary=x"},
            },
            "SerializationException",
        ),
        (
            {"content": b"\x89PNG", "headers": {"Content-Type": "image/png"}},
            "SerializationException",
        ),
        (
            {"content": b"\xff\xfe", "headers": {"Content-Type": "application/json"}},
            "SerializationException",
        ),
        (
            {
                "content": b"\xff=1",
                "headers": {"Content-Type": "application/x-www-form-urlencoded"},
            },
            "SerializationException",
        ),
    ],
)
async def test_a_body_that_is_not_what_it_says(
    client: httpx.AsyncClient, request_: dict[str, Any], code: str
) -> None:
    refused(await client.post("/api/TextToImage", **request_), 400, code)


async def test_models_that_are_not_there(make_context: MakeContext) -> None:
    families = [each for each in FAMILIES if each["name"] == "chat"]
    async with client_of(make_context(families=families)) as client:
        refused(
            await client.post("/api/TextToImage", json=SMALL), 400, "ArgumentNullException", "Model"
        )
        for path, files in (
            ("ImageUpscale", {"image": RED}),
            ("ImageToText", {"image": RED}),
            ("SpeechToText", {"audio": AUDIO}),
        ):
            answer = await client.post(f"/api/{path}", files=files)
            refused(answer, 405, "NotSupportedException")
        for path, body in (
            ("TextToSpeech", {"input": "hello"}),
            ("ConvertImage", {"image": data_url(RED), "outputFormat": "png"}),
            ("QueueScaleVideo", {"width": 5}),
            ("ConvertAudio", {"outputFormat": "mp3"}),
        ):
            refused(await client.post(f"/api/{path}", json=body), 405, "NotSupportedException")
    async with client_of(make_context()) as client:
        answer = await client.post("/api/TextToImage", json=SMALL | {"model": "nobody"})
        refused(answer, 404, "NotFound", "Model nobody not found")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/api/Nothing", 404, "NotFound"),
        ("GET", "/json/reply/Nothing", 404, "NotFound"),
        ("GET", "/api", 404, "NotFound"),
        ("GET", "/artifacts/2026/01/01/0/x.png", 404, "NotFound"),
        ("GET", f"/artifacts/2026/01/01/0/{'0' * 64}.png", 404, "NotFound"),
        ("GET", "/artifacts/..%2f..%2fetc%2fpasswd", 404, "NotFound"),
        ("GET", "/artifacts/2026/99/99/0/" + "0" * 64 + ".png", 404, "NotFound"),
        ("GET", "/generation/x", 404, "NotFound"),
        ("DELETE", "/files/nothing", 404, "NotFound"),
        ("GET", "/api/OpenAiChatCompletion", 405, "NotImplementedException"),
        ("GET", "/api/ConvertImage", 405, "NotImplementedException"),
        ("GET", "/api/CropImage", 405, "NotImplementedException"),
        ("PUT", "/api/ScaleImage", 405, "NotImplementedException"),
        ("GET", "/api/QueueWatermarkImage", 405, "NotImplementedException"),
        ("GET", "/api/QueueConvertImage", 405, "NotImplementedException"),
        ("POST", "/api/GetOpenAiChatStatus", 405, "NotImplementedException"),
    ],
)
async def test_paths_and_verbs(
    client: httpx.AsyncClient, method: str, path: str, status: int, code: str
) -> None:
    answer = await client.request(method, path)
    refused(answer, status, code)
    assert ("allow" in answer.headers) == (status == 405)


async def test_credentials(make_context: MakeContext) -> None:
    context = make_context(auth={"required": True}, environment={"API_TOKENS": "sk-one"})
    async with client_of(context) as client:
        for headers in ({}, {"X-Api-Key": "sk-other"}):
            answer = await client.post("/api/TextToImage", json=SMALL, headers=headers)
            refused(answer, 401, "Unauthorized", "Invalid API Key")
            answer = await client.get("/api/GetArtifactGenerationStatus", headers=headers)
            refused(answer, 401, "Unauthorized", "Invalid API Key")
        key = {"X-Api-Key": "sk-one"}
        (made,) = results(await client.post("/api/TextToImage", json=SMALL, headers=key))
        assert re.search(r"/\d\d/\d\d/[1-9]\d*/", made["url"])
        # Nobody guesses the address, and so it is open.
        assert (await client.get(made["url"])).status_code == 200
        answer = await client.get("/up")
        assert (answer.status_code, answer.text) == (200, "Healthy")


async def test_why_a_key_is_refused(make_context: MakeContext) -> None:
    context = make_context(auth={"required": True}, environment={"ADMIN_TOKEN": "sk-boss"})
    boss = {"Authorization": "Bearer sk-boss"}
    async with client_of(context) as client:
        made = (await client.post("/admin/api/tokens", json={"name": "a"}, headers=boss)).json()
        key = {"X-Api-Key": made["token"]}
        assert (await client.get("/api/ActiveAiModels", headers=key)).status_code == 200
        await client.delete(f"/admin/api/tokens/{made['id']}", headers=boss)
        await context.access.credentials.refresh()
        answer = await client.get("/api/ActiveAiModels", headers=key)
        refused(answer, 401, "Unauthorized", "API Key has been cancelled")
        listed = (await client.get("/admin/api/tokens", headers=boss)).text
        assert f'"id":{made["id"]},' not in listed


async def test_a_key_that_has_expired(make_context: MakeContext) -> None:
    context = make_context(auth={"required": True}, environment={"ADMIN_TOKEN": "sk-boss"})
    old = NewToken("sk-old", "old", ("inference",), "api", expires_at=2.0)
    await context.database.write(lambda session: add_token(session, old, now=1.0))
    async with client_of(context) as client:
        answer = await client.get("/api/ActiveAiModels", headers={"X-Api-Key": "sk-old"})
    refused(answer, 401, "Unauthorized", "API Key has expired")


async def test_a_queue_that_is_full(make_context: MakeContext) -> None:
    crowded = [
        each | {"placement": {"max_ongoing_requests": 1}} if each["name"] == "images" else each
        for each in slow("images", 30)
    ]
    async with client_of(make_context(families=crowded, limits={"max_pending": 1})) as client:
        answers = [await client.post("/api/QueueTextToImage", json=SMALL) for _ in range(3)]
        refused(answers[-1], 503, "ServiceUnavailable")
        assert answers[-1].headers["retry-after"]


async def test_headers_stand_in_for_fields(client: httpx.AsyncClient) -> None:
    body = SMALL | {"refId": "tagged"}
    await client.post("/api/QueueTextToImage", json=body, headers={"Tag": "mine"})
    assert (await client.get("/v1/jobs/tagged")).json()["tag"] == "mine"
    answer = await client.post("/api/QueueTextToImage", json=SMALL, headers={"ReplyTo": "x"})
    refused(answer, 400, "ArgumentException", field="ReplyTo")


@pytest.mark.parametrize("text", ["\ud800", "\0", "x" * 40_000])
async def test_texts_that_nobody_can_keep(client: httpx.AsyncClient, text: str) -> None:
    for name in ("positivePrompt", "negativePrompt", "model", "seed", "refId", "tag", "arguments"):
        content = json.dumps(SMALL | {name: text}).encode()
        headers = {"Content-Type": "application/json"}
        answer = await client.post("/api/TextToImage", content=content, headers=headers)
        assert answer.status_code in (200, 400, 404), (name, answer.text)


async def test_too_many_requests(make_context: MakeContext) -> None:
    rate = {"requests_per_minute": 1}
    context = make_context(
        auth={"required": True},
        environment={"API_TOKENS": "sk-one"},
        limits={"rates": {"inference": {"default": rate}}},
    )
    async with client_of(context) as client:
        headers = {"X-Api-Key": "sk-one"}
        assert (await client.get("/api/ActiveAiModels", headers=headers)).status_code == 200
        answer = await client.get("/api/ActiveAiModels", headers=headers)
        refused(answer, 429, "TooManyRequests")
        assert answer.headers["retry-after"]
        # Polling has a rate of its own.
        answer = await client.get("/api/GetArtifactGenerationStatus", headers=headers)
        refused(answer, 404, "NotFound")


async def test_what_is_too_large(make_context: MakeContext) -> None:
    async with client_of(make_context(limits={"upload_bytes": 10})) as client:
        answer = await client.post("/api/ImageUpscale", files={"image": RED})
        refused(answer, 413, "RequestTooLarge")
        headers = {"Content-Length": str(10**13), "Content-Type": "application/json"}
        answer = await client.post("/api/TextToImage", content=b"{}", headers=headers)
        refused(answer, 413, "RequestTooLarge")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ImageToImage", "Image"),
        ("ImageWithMask", "Image"),
        ("ImageUpscale", "Image"),
        ("ImageToText", "Image"),
        ("SpeechToText", "Audio"),
    ],
)
async def test_files_that_are_missing(client: httpx.AsyncClient, name: str, message: str) -> None:
    for path in (f"/api/{name}", f"/api/Queue{name}"):
        told = refused(await client.post(path, json=PROMPT), 400, "ArgumentNullException", message)
        assert told["errors"][0]["fieldName"] == message


@pytest.mark.covers(
    "AI Server: ImageToImage", "AI Server: ImageWithMask", "AI Server: ImageUpscale"
)
@pytest.mark.parametrize(
    ("name", "request_", "size"),
    [
        ("ImageToImage", form(("image", RED), ("positivePrompt", "a boat")), (60, 40)),
        ("ImageToImage", form(("Image", RED), ("PositivePrompt", "x"), quoted=False), (60, 40)),
        ("ImageToImage", form(("upload", RED), ("positive_prompt", "x")), (60, 40)),
        ("ImageToImage", {"json": PROMPT | {"image": data_url(RED), "denoise": 0.5}}, (60, 40)),
        ("ImageWithMask", form(("image", RED), ("mask", RED), ("positivePrompt", "x")), (60, 40)),
        ("ImageWithMask", form(("upload0", RED), ("file", RED), ("positivePrompt", "x")), (60, 40)),
        ("ImageUpscale", form(("image", RED), ("seed", "0")), (120, 80)),
    ],
)
async def test_images_are_made_of_images(
    client: httpx.AsyncClient, name: str, request_: dict[str, Any], size: tuple[int, int]
) -> None:
    (made,) = results(await client.post(f"/api/{name}", **request_))
    image = await image_of(client, made["url"])
    assert (image.format, image.size) == ("WEBP", size)


async def test_of_two_that_are_called_alike_the_last_counts(client: httpx.AsyncClient) -> None:
    small = png("blue", (20, 10))
    url = data_url(small)
    for request in (
        form(("image", RED), ("image", small)),
        form(("file", RED), ("file", small)),
        {"data": {"image": [data_url(RED), url]}},
        {"json": {"image": url}, "params": {"image": data_url(RED)}},
    ):
        (made,) = results(await client.post("/api/ImageUpscale", **request))
        assert (await image_of(client, made["url"])).size == (40, 20)


async def test_more_files_than_an_image_and_a_mask(client: httpx.AsyncClient) -> None:
    parts = form(("a", RED), ("b", RED), ("c", RED), ("positivePrompt", "x"))
    refused(await client.post("/api/ImageWithMask", **parts), 400, "ArgumentException")


async def test_a_file_of_the_wrong_kind(client: httpx.AsyncClient) -> None:
    for file in (AUDIO, b"plain text", b"", RED[:50]):
        answer = await client.post("/api/ImageUpscale", **form(("image", file)))
        refused(answer, 400, "ArgumentException")


@pytest.mark.covers("AI Server: ImageToText", "AI Server: SpeechToText")
async def test_texts_are_made(client: httpx.AsyncClient) -> None:
    (caption,) = results(await client.post("/api/ImageToText", files={"image": RED}))
    assert caption.keys() == {"text"}
    asked = {"model": "org/eye", "prompt": "What is it?"}
    (answer,) = results(await client.post("/api/ImageToText", files={"image": RED}, data=asked))
    assert "What is it?" in answer["text"]
    transcript, segments = results(await client.post("/api/SpeechToText", files={"audio": AUDIO}))
    timed = json.loads(segments["text"])
    assert " ".join(each["text"] for each in timed) == transcript["text"]
    assert all(each.keys() == {"start", "end", "text"} for each in timed)
    queued = await client.post("/api/QueueImageToText", files={"image": RED}, data=asked)
    status = (await ended(client, queued.json()["statusUrl"])).json()
    assert status["results"] == [answer]
    told = (await client.post("/api/QueueSpeechToText", files={"audio": AUDIO})).json()
    assert "/api/GetTextGenerationStatus?RefId=" in told["statusUrl"]
    status = (await ended(client, told["statusUrl"])).json()
    assert [each["text"] for each in status["results"]] == [transcript["text"], segments["text"]]


@pytest.mark.covers("AI Server: TextToSpeech")
@pytest.mark.parametrize(
    "model", [None, "text-to-speech", "lessac", "tts-alloy", "tts-shimmer", "hum", "TTS-NOVA"]
)
async def test_texts_are_spoken(client: httpx.AsyncClient, model: str | None) -> None:
    for path, name in (("TextToSpeech", "input"), ("TextToSpeech", "text")):
        body = {name: "hello"} | ({"model": model} if model else {})
        (made,) = results(await client.post(f"/api/{path}", json=body))
        assert made["fileName"].endswith(".mp3")
    told = (await client.post("/api/QueueTextToSpeech", json={"text": "hello"})).json()
    assert (await ended(client, told["statusUrl"])).json()["jobState"] == "Completed"


async def test_what_is_done_otherwise_is_told(client: httpx.AsyncClient) -> None:
    body = {"input": "hello", "model": "tts-shimmer"}
    own = ["Model: 'hum' has no voice 'shimmer'; its own voice is heard"]
    assert (await client.post("/api/TextToSpeech", json=body)).json()["warnings"] == own
    told = (await client.post("/api/QueueTextToSpeech", json=body)).json()
    assert (await ended(client, told["statusUrl"])).json()["warnings"] == own
    answer = await client.post("/api/TextToSpeech", json=body | {"model": "tts-alloy"})
    assert "warnings" not in answer.json()
    answer = await client.post("/api/TextToImage", json=SMALL | {"width": 100})
    assert answer.json()["warnings"] == ["Width, Height: rounded to 96x64, a multiple of 8"]


async def test_a_voice_that_is_not_there(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/TextToSpeech", json={"input": "hello", "model": "nobody"})
    refused(answer, 404, "NotFound", "Model nobody not found")
    refused(await client.post("/api/TextToSpeech", json={}), 400, "NotEmpty", field="Input")


async def test_lists(client: httpx.AsyncClient) -> None:
    media = (await client.get("/api/ActiveMediaModels")).json()["results"]
    assert {"key": "squares", "value": "squares"} in media
    assert (await client.get("/api/ActiveAiModels")).json() == {"results": ["echo", "org/eye"]}
    assert (await client.get("/api/ActiveAiModels?vision=True")).json() == {"results": ["org/eye"]}
    voices = (await client.get("/api/QueryTextToSpeechVoices?take=2")).json()
    assert (voices["offset"], len(voices["results"])) == (0, 2)
    assert voices["results"][0].keys() == {"id", "model"}
    models = (await client.get("/api/QueryMediaModels?skip=1")).json()
    assert models["total"] == len(models["results"]) + 1
    assert all(each["type"] == each["modelType"] for each in models["results"])


async def test_names_that_mean_the_same_model(make_context: MakeContext) -> None:
    families = [
        each | {"models": [{"id": "flux1-schnell"}]} if each["name"] == "images" else each
        for each in FAMILIES
    ]
    async with client_of(make_context(families=families)) as client:
        for name in ("flux-schnell", "FLUX1-SCHNELL", "text-to-image", "auto", ""):
            results(await client.post("/api/TextToImage", json=SMALL | {"model": name}))


@pytest.mark.parametrize(
    ("name", "model", "files"),
    [
        ("ImageToImage", "image-to-image", {"image": RED}),
        ("ImageWithMask", "image-with-mask", {"image": RED, "mask": RED}),
        ("ImageToText", "image-to-text", {"image": RED}),
        ("TextToSpeech", "Text-To-Speech", {}),
    ],
)
async def test_names_of_tasks_are_their_default_models(
    client: httpx.AsyncClient, name: str, model: str, files: dict[str, bytes]
) -> None:
    fields = PROMPT | {"input": "hello", "model": model}
    assert results(await client.post(f"/api/{name}", data=fields, files=files))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1.234, "PT1.234S"),
        (0, "PT0S"),
        (0.0004, "PT0S"),
        (61, "PT1M1S"),
        (3600, "PT1H"),
        (90061.5, "P1DT1H1M1.5S"),
        (86400, "P1D"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert xsd_duration(seconds) == text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1:02", 62), ("01:02.5", 62.5), ("100:00", 6000), ("1:02:03.250", 3723.25), ("0:00", 0)],
)
def test_times(text: str, seconds: float) -> None:
    assert seconds_of(text, "wrong") == seconds


def test_the_table_has_every_operation() -> None:
    assert len(ROWS) == 17
    assert len({row.name for row in ROWS}) == 17


async def test_urls_have_the_public_address(make_context: MakeContext) -> None:
    context: Context = make_context(server={"public_url": "https://x.org/ai"})
    async with client_of(context) as client:
        (made,) = results(await client.post("/api/TextToImage", json=SMALL))
    assert made["url"].startswith("https://x.org/ai/artifacts/")


async def test_the_description_has_every_operation(client: httpx.AsyncClient) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]
    for row in ROWS:
        for name in (row.name, row.queue_name):
            (operation,) = paths[f"/api/{name}"].values()
            assert operation["description"]
            assert operation["responses"].keys() == {"200", "default"}
            schema = operation["requestBody"]["content"]["multipart/form-data"]["schema"]
            assert {"refId", "tag", "replyTo", *row.files} <= schema["properties"].keys()
