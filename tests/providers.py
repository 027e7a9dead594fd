"""What tests of the registry of providers share: bodies, keys, and a registry on a database."""

from typing import Any

import httpx

PROVIDERS = "/api/v2/ai/providers"
BOSS = {"Coder-Session-Token": "sk-boss"}
ENVIRONMENT = {"ADMIN_TOKEN": "sk-boss", "API_TOKENS": "sk-one"}
RING = bytes(range(32))
FIRST, SECOND, THIRD = (f"sk-{word}-0123456789-{word}" for word in ("first", "second", "third"))
MASKED = {FIRST: "sk-f...irst", SECOND: "sk-s...cond", THIRD: "sk-t...hird"}
ROLE = "arn:aws:iam::123456789012:role/polyphony"


def body(**fields: Any) -> dict[str, Any]:
    """A provider that can be registered."""
    return {"type": "openai", "name": "mine", "base_url": "https://api.example.com/v1"} | fields


def bedrock(**fields: Any) -> dict[str, Any]:
    """Settings of Amazon Bedrock."""
    return {"_type": "bedrock", "_version": 1} | fields


async def created(admin: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    """A provider that was registered."""
    answer = await admin.post(PROVIDERS, json=body(**fields))
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def refused(answer: httpx.Response, status: int = 400) -> dict[str, Any]:
    """The error of an answer, in Coder's shape."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    error: dict[str, Any] = answer.json()
    assert set(error) <= {"message", "detail", "validations"}
    assert error["message"]
    assert answer.headers["x-should-retry"] == "false"
    return error


def broken(answer: httpx.Response) -> list[tuple[str, str]]:
    """The rules that were broken, all of them."""
    error = refused(answer)
    assert error["message"] == "Invalid AI provider request."
    assert "detail" not in error
    assert all(set(each) == {"field", "detail"} for each in error["validations"])
    return [(each["field"], each["detail"]) for each in error["validations"]]
