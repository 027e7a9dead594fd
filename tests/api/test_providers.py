"""/api/v2/ai/providers: registered, read, changed and deleted, on both databases."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import datetime
from itertools import product
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from serve_app.api.context import Context
from serve_app.core.upstreams.provider import PROVIDER_TYPES
from serve_app.database.connection import Database
from serve_app.database.schema import AuditRow, ProviderSecretRow
from tests.api.conftest import MakeContext, client_of
from tests.databases import on_both
from tests.providers import (
    BOSS,
    ENVIRONMENT,
    FIRST,
    MASKED,
    PROVIDERS,
    ROLE,
    SECOND,
    THIRD,
    bedrock,
    body,
    broken,
    created,
    refused,
)

pytestmark = on_both
KEYS = {
    *("id", "type", "name", "display_name", "icon", "enabled", "base_url", "api_keys"),
    *("settings", "created_at", "updated_at"),
}
UNKNOWN = "Resource not found or you do not have access to this resource"


@pytest.fixture
async def context(make_context: MakeContext, database: Database) -> AsyncIterator[Context]:
    context = make_context(
        auth={"required": True},
        environment=ENVIRONMENT,
        limits={"rates": None},
        database_url=database.url,
    )
    yield context
    await context.access.credentials.finish()


@pytest.fixture
async def admin(context: Context) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(context) as client:
        client.headers.update(BOSS)
        yield client


def at(answer: dict[str, Any], name: str) -> datetime:
    return datetime.fromisoformat(answer[name])


@pytest.mark.covers("Coder: GET and POST /api/v2/ai/providers")
@pytest.mark.covers("Coder: api_keys, base_url, settings and the eight types")
async def test_a_provider_of_every_type_is_registered_and_listed_by_name(
    admin: httpx.AsyncClient,
) -> None:
    assert (await admin.get(PROVIDERS)).json() == []
    for number, kind in enumerate(reversed(PROVIDER_TYPES)):
        path = PROVIDERS + "/" * (number % 2)
        settings = {"settings": bedrock(region="eu-west-1")} if kind == "bedrock" else {}
        answer = await admin.post(path, json=body(type=kind, name=f"a-{kind}", **settings))
        assert answer.status_code == 201, answer.text
        made = answer.json()
        assert set(made) == KEYS
        assert (made["type"], made["name"], made["enabled"]) == (kind, f"a-{kind}", False)
        assert (made["display_name"], made["icon"], made["api_keys"]) == (f"a-{kind}", "", [])
        assert made["base_url"] == "https://api.example.com/v1"
        assert (made["settings"] is None) == (kind != "bedrock")
        assert str(uuid.UUID(made["id"])) == made["id"]
        assert made["created_at"] == made["updated_at"]
        assert made["created_at"].endswith("Z")
    for path in (PROVIDERS, f"{PROVIDERS}/"):
        answer = await admin.get(path)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json; charset=utf-8"
        assert [each["name"] for each in answer.json()] == [f"a-{kind}" for kind in PROVIDER_TYPES]


@pytest.mark.covers("Coder: GET, PATCH and DELETE /api/v2/ai/providers/{id or name}")
async def test_a_provider_is_found_by_id_in_any_spelling_and_by_name(
    admin: httpx.AsyncClient,
) -> None:
    made = await created(admin, display_name="Mine", icon="/emojis/1f600.png", enabled=True)
    spelled = uuid.UUID(made["id"])
    names = ("mine", made["id"], made["id"].upper(), spelled.hex, spelled.urn, f"{{{spelled}}}")
    for name in names:
        answer = await admin.get(f"{PROVIDERS}/{name}")
        assert (answer.status_code, answer.json()) == (200, made), name
    for name in ("other", str(uuid.uuid4()), "a" * 300):
        for method in ("GET", "DELETE"):
            answer = await admin.request(method, f"{PROVIDERS}/{name}")
            assert refused(answer, 404)["message"] == UNKNOWN
        answer = await admin.patch(f"{PROVIDERS}/{name}", json={"enabled": False})
        assert refused(answer, 404)["message"] == UNKNOWN
    for name in ("Mine", "a--b", "-a", "a_b", "é", "{mine}", f"[{made['id']}]", "%00"):
        for method in ("GET", "DELETE"):
            answer = await admin.request(method, f"{PROVIDERS}/{name}")
            assert refused(answer)["message"] == "Invalid provider id or name", name


async def test_a_change_moves_only_what_it_names(admin: httpx.AsyncClient) -> None:
    made = await created(admin, display_name="Mine", api_keys=[FIRST])
    former = made
    for change in (
        {"enabled": True},
        {"display_name": "Ours"},
        {"icon": "x"},
        {"base_url": "http://127.0.0.1:11434/v1/"},
        {"enabled": False, "display_name": None, "settings": None, "api_keys": None},
    ):
        sent = change | {"name": "another", "type": "google", "unheard": [1]}
        answer = await admin.patch(f"{PROVIDERS}/mine", json=sent)
        assert answer.status_code == 200, answer.text
        changed = answer.json()
        moved = {name: value for name, value in change.items() if value is not None}
        assert changed == former | moved | {"updated_at": changed["updated_at"]}
        assert at(changed, "updated_at") > at(former, "updated_at")
        former = changed
    answer = await admin.patch(f"{PROVIDERS}/{made['id']}", json={"display_name": ""})
    assert answer.json()["display_name"] == "mine"


async def test_a_change_of_nothing_is_refused(admin: httpx.AsyncClient) -> None:
    nothing: tuple[dict[str, Any], ...] = ({}, {"name": "x"}, {"settings": None}, {"icon": None})
    for name, sent in product(("mine", "Not a name"), nothing):
        error = refused(await admin.patch(f"{PROVIDERS}/{name}", json=sent))
        assert error == {"message": "At least one field must be provided."}


async def test_keys_are_masked_and_rotated(admin: httpx.AsyncClient) -> None:
    made = await created(admin, api_keys=[FIRST, SECOND])
    first, second = made["api_keys"]
    assert set(first) == {"id", "masked", "created_at"}
    assert (first["masked"], second["masked"]) == (MASKED[FIRST], MASKED[SECOND])

    async def change(*keys: dict[str, str]) -> list[dict[str, str]]:
        answer = await admin.patch(f"{PROVIDERS}/mine", json={"api_keys": keys})
        assert answer.status_code == 200, answer.text
        left: list[dict[str, str]] = answer.json()["api_keys"]
        return left

    # The new one in front of the second, which stays as it is; the first is left out.
    third, kept = await change({"api_key": THIRD}, {"id": second["id"]})
    assert kept == second
    assert third["masked"] == MASKED[THIRD]
    assert third["id"] not in (first["id"], second["id"])
    assert await change({"id": kept["id"].upper()}, {"id": third["id"]}) == [kept, third]
    again, same = await change({"api_key": THIRD}, {"api_key": THIRD})
    assert again["id"] != same["id"] != third["id"]
    assert await change() == []


async def test_an_unknown_key_id_changes_nothing(admin: httpx.AsyncClient) -> None:
    other = await created(admin, name="other", api_keys=[SECOND])
    made = await created(admin, api_keys=[FIRST])
    for key_id in (str(uuid.uuid4()), other["api_keys"][0]["id"]):
        sent = {"enabled": True, "api_keys": [{"api_key": THIRD}, {"id": key_id}]}
        error = refused(await admin.patch(f"{PROVIDERS}/mine", json=sent))
        assert error == {"message": "api_keys references an unknown id for this provider"}
    for key_id in ("nonsense", "", 5, ["x"]):
        answer = await admin.patch(f"{PROVIDERS}/mine", json={"api_keys": [{"id": key_id}]})
        assert refused(answer)["message"] == "Request body must be valid JSON."
    assert (await admin.get(f"{PROVIDERS}/mine")).json() == made


async def test_a_name_is_taken_until_its_provider_is_deleted(
    admin: httpx.AsyncClient, context: Context
) -> None:
    made = await created(admin, api_keys=[FIRST], enabled=True)
    error = refused(await admin.post(PROVIDERS, json=body(type="google")), 409)
    assert '"mine"' in error["message"]
    assert "already exists" in error["message"]
    answer = await admin.delete(f"{PROVIDERS}/mine")
    assert (answer.status_code, answer.content) == (204, b"")
    for name in ("mine", made["id"]):
        assert refused(await admin.delete(f"{PROVIDERS}/{name}"), 404)["message"] == UNKNOWN
        assert refused(await admin.get(f"{PROVIDERS}/{name}"), 404)["message"] == UNKNOWN
    assert (await admin.get(PROVIDERS)).json() == []
    left = await context.database.read(lambda session: list(session.scalars(SECRETS)))
    assert left == []
    anew = await created(admin)
    assert anew["id"] != made["id"]
    await admin.delete(f"{PROVIDERS}/mine")
    await created(admin)


SECRETS = select(ProviderSecretRow.id)


async def test_of_many_that_take_a_name_at_once_one_gets_it(admin: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(admin.post(PROVIDERS, json=body()) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [201, *[409] * 7]


async def test_two_admins_do_not_undo_each_others_changes(admin: httpx.AsyncClient) -> None:
    made = await created(admin, api_keys=[FIRST])
    place = f"{PROVIDERS}/mine"
    tag = (await admin.get(place)).headers["etag"]
    assert tag.startswith('"')
    assert (await admin.get(place)).headers["etag"] == tag
    sent = ({"display_name": "a"}, {"display_name": "b"})
    answers = await asyncio.gather(
        *(admin.patch(place, json=each, headers={"If-Match": tag}) for each in sent)
    )
    assert sorted(answer.status_code for answer in answers) == [200, 412]
    late = next(answer for answer in answers if answer.status_code == 412)
    assert refused(late, 412)["message"] == "Provider was changed."
    kept = next(answer for answer in answers if answer.status_code == 200)
    assert (await admin.get(place)).json() == kept.json()
    assert kept.headers["etag"] not in (tag, "")
    for stale in (tag, '"x"', f"W/{kept.headers['etag']}", "x"):
        assert refused(await admin.delete(place, headers={"If-Match": stale}), 412)
    listed = await admin.get(PROVIDERS)
    assert [each["id"] for each in listed.json()] == [made["id"]]
    fresh = f'"x", {kept.headers["etag"]}'
    for match in (fresh, "*"):
        answer = await admin.patch(place, json={"icon": "i"}, headers={"If-Match": match})
        assert answer.status_code == 200
    assert (await admin.get(PROVIDERS)).headers["etag"] != listed.headers["etag"]
    assert (await admin.delete(place, headers={"If-Match": "*"})).status_code == 204
    assert refused(await admin.delete(place, headers={"If-Match": "*"}), 404)


async def test_settings_of_bedrock(admin: httpx.AsyncClient) -> None:
    sent = bedrock(region="eu-west-1", access_key=FIRST, access_key_secret=SECOND)
    made = await created(admin, type="anthropic", settings=sent)
    place = f"{PROVIDERS}/mine"
    plain = bedrock(
        region="eu-west-1",
        model="",
        small_fast_model="",
        role_arn="",
        external_id="",
        protocol="invoke-model",
    )
    assert made["settings"] == plain

    async def change(**fields: str) -> Any:
        answer = await admin.patch(place, json={"settings": bedrock(**fields)})
        assert answer.status_code == 200, answer.text
        return answer.json()["settings"]

    # The block is replaced; its credentials are kept.
    now = await change(role_arn=ROLE, protocol="mantle")
    external = now["external_id"]
    assert now == plain | {
        "region": "",
        "role_arn": ROLE,
        "protocol": "mantle",
        "external_id": external,
    }
    assert len(external) == 32
    assert (await change(role_arn=f"{ROLE}-2", external_id=external))["external_id"] == external
    answer = await admin.patch(place, json={"settings": bedrock(external_id="mine")})
    message = "The Bedrock external ID is server-generated and cannot be changed."
    assert refused(answer) == {"message": message}
    answer = await admin.patch(place, json={"enabled": True, "settings": {}})
    assert (answer.status_code, answer.json()["settings"]["external_id"]) == (200, external)
    answer = await admin.patch(place, json={"settings": {}})
    assert refused(answer)["message"] == "Request body must be valid JSON."
    assert "_type discriminator" in answer.json()["detail"]
    assert (await created(admin, name="plain", settings={}))["settings"] is None
    answer = await admin.patch(f"{PROVIDERS}/plain", json={"settings": bedrock(region="x")})
    message = "Bedrock settings are only valid for type=anthropic or type=bedrock."
    assert refused(answer) == {"message": message}


async def test_a_provider_of_bedrock_has_settings_and_no_keys(admin: httpx.AsyncClient) -> None:
    no_keys = "Bedrock providers do not accept api_keys."
    sent = body(type="anthropic", api_keys=[FIRST], settings=bedrock(region="x"))
    assert refused(await admin.post(PROVIDERS, json=sent)) == {"message": no_keys}
    assert broken(await admin.post(PROVIDERS, json=body(type="bedrock", api_keys=[FIRST]))) == [
        ("settings", "type=bedrock requires bedrock settings"),
        ("api_keys", "type=bedrock does not accept api_keys"),
    ]
    for name, settings in enumerate(
        (bedrock(region="x"), bedrock(role_arn=ROLE), bedrock(access_key_secret=FIRST))
    ):
        await created(admin, type="bedrock", name=f"b{name}", settings=settings)
    for name in ("b0", "b1", "b2"):
        place = f"{PROVIDERS}/{name}"
        answer = await admin.patch(place, json={"api_keys": [{"api_key": FIRST}]})
        assert refused(answer) == {"message": no_keys}
    # The last credential is taken away.
    answer = await admin.patch(f"{PROVIDERS}/b2", json={"settings": bedrock(access_key_secret="")})
    assert broken(answer) == [("settings", "type=bedrock requires bedrock settings")]
    answer = await admin.patch(f"{PROVIDERS}/b2", json={"settings": bedrock(model="m")})
    assert answer.status_code == 200
    await created(admin, type="anthropic", name="keyed", api_keys=[FIRST])
    keyed = f"{PROVIDERS}/keyed"
    answer = await admin.patch(keyed, json={"settings": bedrock(region="x")})
    assert refused(answer) == {"message": no_keys}
    sent = {"settings": bedrock(region="x"), "api_keys": []}
    assert (await admin.patch(keyed, json=sent)).status_code == 200


async def test_the_later_named_of_two_with_one_host_is_told(admin: httpx.AsyncClient) -> None:
    for name, url, enabled in (
        ("b", "https://API.example.com/v1", True),
        ("c", "https://api.example.com:443/other/", True),
        ("d", "https://api.example.com", False),
        ("e", "http://api.example.com", True),
    ):
        await created(admin, name=name, base_url=url, enabled=enabled)
    told = {each["name"]: each.get("status") for each in (await admin.get(PROVIDERS)).json()}
    warning = 'the host "api.example.com:443" is also that of the provider "b"'
    assert told == {"b": None, "c": {"warnings": [warning]}, "d": None, "e": None}
    answer = await admin.patch(f"{PROVIDERS}/b", json={"enabled": False})
    assert "status" not in answer.json()
    assert "status" not in (await admin.get(f"{PROVIDERS}/c")).json()


async def test_every_change_is_recorded_with_masked_keys(
    admin: httpx.AsyncClient, context: Context
) -> None:
    made = await created(admin, api_keys=[FIRST, SECOND])
    kept = made["api_keys"][1]["id"]
    change = {"enabled": True, "icon": "", "api_keys": [{"id": kept}, {"api_key": THIRD}]}
    await admin.patch(f"{PROVIDERS}/mine", json=change)
    refused(await admin.patch(f"{PROVIDERS}/mine", json={"base_url": ""}))
    await admin.delete(f"{PROVIDERS}/mine")
    found = select(AuditRow).order_by(AuditRow.number)
    records = await context.database.read(lambda session: list(session.scalars(found)))
    assert [record.action for record in records] == ["create", "update", "delete"]
    assert [record.details["keys"] for record in records] == [
        {"added": [MASKED[FIRST], MASKED[SECOND]], "removed": [], "kept": []},
        {"added": [MASKED[THIRD]], "removed": [MASKED[FIRST]], "kept": [MASKED[SECOND]]},
        {"added": [], "removed": [MASKED[SECOND], MASKED[THIRD]], "kept": []},
    ]
    assert records[1].details["fields"] == {"enabled": [False, True]}
    for record in records:
        assert (record.kind, record.subject, record.name) == ("provider", made["id"], "mine")
        assert record.owner == "api"
        assert record.credential is not None
    assert records[0].at < records[1].at < records[2].at
