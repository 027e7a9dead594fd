"""Options, lists, loading and memory of the Automatic1111 dialect."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from serve_app.core.status import ModelStatus
from tests.api.conftest import FAMILIES, MakeContext, client_of
from tests.sdapi import QUICK, SD, info_of, refused

TWO = [
    family
    | {"options": family["options"] | {"vaes": {"soft": "a/soft.safetensors"}}}
    | {
        "models": [
            {"id": "squares", "created": 1},
            {"id": "org/circles", "aliases": ["round"], "created": 1},
        ]
    }
    if family["name"] == "images"
    else family
    for family in FAMILIES
]
TOKENS = {"auth": {"required": True}, "environment": {"API_TOKENS": "sk-one,sk-two"}}
ONE, OTHER = ({"Authorization": f"Bearer sk-{name}"} for name in ("one", "two"))
GET_LISTS = {
    "hypernetworks": [],
    "face-restorers": [],
    "realesrgan-models": [],
    "prompt-styles": [],
    "artist-categories": [],
    "artists": [],
    "script-info": [],
    "extensions": [],
    "sd-vae": [],
    "sd-modules": [],
    "loras": [],
    "scripts": {"txt2img": [], "img2img": []},
    "embeddings": {"loaded": {}, "skipped": {}},
    "cmd-flags": {"api": True},
}


def words_of(folder: Path) -> dict[str, str]:
    """Two whose vectors are told by their files, one that nobody can look into."""
    for name, shape in (("leaf", [2, 8]), ("large", [2, 16])):
        header = json.dumps({"x": {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]}})
        data = len(header).to_bytes(8, "little") + header.encode()
        (folder / f"{name}.safetensors").write_bytes(data)
    files = {name: str(folder / f"{name}.safetensors") for name in ("leaf", "large")}
    return files | {"far": "org/far"}


async def test_learned_words_are_listed(make_context: MakeContext, tmp_path: Path) -> None:
    encoder = tmp_path / "model" / "text_encoder"
    encoder.mkdir(parents=True)
    (encoder / "config.json").write_text(json.dumps({"hidden_size": 8}))
    families = [
        family
        | {"options": family["options"] | {"embeddings": words_of(tmp_path)}}
        | {"models": [{"id": "squares", "source": str(encoder.parent), "created": 1}]}
        if family["name"] == "images"
        else family
        for family in FAMILIES
    ]
    async with client_of(make_context(families=families)) as client:
        found = (await client.get(f"{SD}/embeddings")).json()
    assert found["loaded"].keys() == {"leaf", "far"}
    assert found["skipped"].keys() == {"large"}
    leaf = {"step": None, "sd_checkpoint": None, "sd_checkpoint_name": None}
    assert found["loaded"]["leaf"] == leaf | {"shape": 8, "vectors": 2}
    assert found["loaded"]["far"] == leaf | {"shape": None, "vectors": None}
    assert str(tmp_path) not in json.dumps(found)


async def options(client: httpx.AsyncClient, **headers: Any) -> dict[str, Any]:
    found: dict[str, Any] = (await client.get(f"{SD}/options", **headers)).json()
    return found


async def change(client: httpx.AsyncClient, values: dict[str, Any], **more: Any) -> httpx.Response:
    return await client.post(f"{SD}/options", json=values, **more)


@pytest.mark.parametrize("name", GET_LISTS)
async def test_lists_of_nothing_are_empty(client: httpx.AsyncClient, name: str) -> None:
    answer = await client.get(f"{SD}/{name}")
    assert (answer.status_code, answer.json()) == (200, GET_LISTS[name])


async def test_models_are_listed_as_checkpoints(make_context: MakeContext) -> None:
    async with client_of(make_context(families=TWO)) as client:
        first, second = (await client.get(f"{SD}/sd-models")).json()
    assert first["model_name"] == "squares"
    assert second["filename"] == "circles.safetensors"
    assert second["title"] == f"org/circles [{second['hash']}]"
    assert len(second["hash"]) == 10
    assert first["hash"] != second["hash"]
    assert second["config"] is second["sha256"] is None


@pytest.mark.covers("Automatic1111: options choose the model of the later calls")
@pytest.mark.parametrize("by", ["title", "model_name", "hash", "filename", "alias", "stale"])
async def test_the_next_image_is_of_the_chosen_model(make_context: MakeContext, by: str) -> None:
    async with client_of(make_context(families=TWO)) as client:
        chosen = (await client.get(f"{SD}/sd-models")).json()[1]
        chosen |= {"alias": "Round", "stale": "org/circles [0123456789]"}
        answer = await change(client, {"sd_model_checkpoint": chosen[by]})
        assert (answer.status_code, answer.text) == (200, "null")
        assert (await options(client))["sd_model_checkpoint"] == chosen["title"]
        info = info_of(await client.post(f"{SD}/txt2img", json=QUICK))
    assert (info["sd_model_name"], info["sd_model_hash"]) == ("org/circles", chosen["hash"])


async def test_options_are_of_one_token_and_outlive_the_app(make_context: MakeContext) -> None:
    async with client_of(make_context(families=TWO, **TOKENS)) as client:
        await change(client, {"sd_model_checkpoint": "round"}, headers=ONE)
        await change(client, {"CLIP_stop_at_last_layers": "2", "sd_vae": "Soft"}, headers=ONE)
    async with client_of(make_context(families=TWO, **TOKENS)) as again:
        mine, theirs = await options(again, headers=ONE), await options(again, headers=OTHER)
    assert mine["sd_model_checkpoint"].startswith("org/circles")
    assert (mine["sd_vae"], mine["CLIP_stop_at_last_layers"]) == ("soft", 2)
    assert theirs["sd_model_checkpoint"].startswith("squares")
    assert (theirs["sd_vae"], theirs["CLIP_stop_at_last_layers"]) == ("Automatic", 1)
    async with client_of(make_context(**TOKENS)) as smaller:
        left = await options(smaller, headers=ONE)
        assert left["sd_model_checkpoint"].startswith("squares")
        assert (await smaller.post(f"{SD}/txt2img", json=QUICK, headers=ONE)).status_code == 200


async def test_the_whole_answer_can_be_sent_back(make_context: MakeContext) -> None:
    async with client_of(make_context(families=TWO)) as client:
        found = await options(client)
        assert (await change(client, found | {"sd_model_checkpoint": "round"})).status_code == 200
        now = await options(client)
        assert now["sd_model_checkpoint"].startswith("org/circles")
        old_hash = {"sd_checkpoint_hash": found["sd_checkpoint_hash"]}
        assert (await change(client, now | old_hash)).status_code == 200
        assert (await options(client)) == now
        await change(client, old_hash)
        assert (await options(client)) == found


@pytest.mark.parametrize("keeps", [False, True])
async def test_settings_are_overridden(make_context: MakeContext, keeps: bool) -> None:
    async with client_of(make_context(families=TWO)) as client:
        override = {"sd_model_checkpoint": "round", "CLIP_stop_at_last_layers": 2, "other": 1}
        sent = QUICK | {"override_settings": override}
        sent |= {"override_settings_restore_afterwards": not keeps}
        info = info_of(await client.post(f"{SD}/txt2img", json=sent))
        assert (info["sd_model_name"], info["clip_skip"]) == ("org/circles", 2)
        now = (await options(client))["sd_model_checkpoint"]
    assert now.startswith("org/circles" if keeps else "squares")


@pytest.mark.parametrize(
    ("values", "status", "code"),
    [
        ({"sd_model_checkpoint": "nobody"}, 404, "model_not_found"),
        ({"sd_model_checkpoint": "echo"}, 404, "model_not_found"),
        ({"sd_checkpoint_hash": "0123456789"}, 404, "model_not_found"),
        ({"sd_vae": "nobody"}, 404, "not_found"),
        ({"CLIP_stop_at_last_layers": 0}, 400, "invalid_request"),
        ({"CLIP_stop_at_last_layers": 10**40}, 400, "invalid_request"),
        ({"sd_model_checkpoint": ["squares"]}, 400, "invalid_request"),
    ],
)
async def test_options_that_cannot_be(
    client: httpx.AsyncClient, values: dict[str, Any], status: int, code: str
) -> None:
    before = await options(client)
    refused(await change(client, values), status, code)
    sent = QUICK | {"override_settings": values}
    refused(await client.post(f"{SD}/txt2img", json=sent), status, code)
    assert await options(client) == before


@pytest.mark.parametrize("content", [b"", b"{}", b'{"unknown": [1], "samples_format": null}'])
async def test_nothing_to_change_is_no_error(client: httpx.AsyncClient, content: bytes) -> None:
    answer = await client.post(f"{SD}/options", content=content)
    assert (answer.status_code, answer.text) == (200, "null")


@pytest.mark.covers("Automatic1111: samplers, schedulers, models and the other lists")
async def test_samplers_and_schedulers_have_their_names(client: httpx.AsyncClient) -> None:
    samplers = {each["name"]: each for each in (await client.get(f"{SD}/samplers")).json()}
    expected = ["Euler a", "Euler", "Heun", "LMS", "DDIM", "DPM++ 2M", "DPM++ SDE"]
    expected += ["DPM++ 2M SDE", "UniPC", "LCM", "DPM++ 2M Karras"]
    assert samplers.keys() >= {*expected}
    assert "k_euler_a" in samplers["Euler a"]["aliases"]
    schedulers = (await client.get(f"{SD}/schedulers")).json()
    assert [each["name"] for each in schedulers] == [
        "automatic",
        "uniform",
        "karras",
        "exponential",
        "polyexponential",
        "sgm_uniform",
        "kl_optimal",
        "align_your_steps",
        "simple",
        "normal",
        "ddim",
        "beta",
    ]
    keys = {"name", "label", "aliases", "default_rho", "need_inner_model"}
    assert all(each.keys() == keys for each in schedulers)


async def test_upscalers_are_listed(client: httpx.AsyncClient) -> None:
    upscalers = (await client.get(f"{SD}/upscalers")).json()
    assert [each["name"] for each in upscalers] == ["None", "Lanczos", "Nearest", "repeater"]
    modes = (await client.get(f"{SD}/latent-upscale-modes")).json()
    assert (modes[0], len(modes)) == ({"name": "Latent"}, 6)


@pytest.mark.parametrize("name", ["checkpoints", "vae", "loras", "embeddings"])
async def test_lists_are_refreshed(client: httpx.AsyncClient, name: str) -> None:
    answer = await client.post(f"{SD}/refresh-{name}")
    assert (answer.status_code, answer.text) == (200, "null")


async def test_memory_is_told_in_bytes(client: httpx.AsyncClient) -> None:
    memory = (await client.get(f"{SD}/memory")).json()
    ram = memory["ram"]
    assert ram["free"] + ram["used"] == ram["total"] > 2**28
    assert memory["cuda"].keys() in ({"error"}, memory["cuda"].keys() | {"system", "events"})


@pytest.mark.parametrize("content", [b"", b'""', b"{}", b"{"])
async def test_the_model_is_unloaded_and_loaded(make_context: MakeContext, content: bytes) -> None:
    class Holder:
        def __init__(self) -> None:
            self.calls: list[str] = []

        async def load_model(self, model_id: str) -> ModelStatus:
            self.calls.append(f"load {model_id}")
            return ModelStatus(id=model_id, state="loading")

        async def unload_model(self, model_id: str) -> ModelStatus:
            self.calls.append(f"unload {model_id}")
            return ModelStatus(id=model_id, state="unloaded")

    holder = Holder()
    async with client_of(make_context(families=TWO, runs={"images": holder})) as client:
        await change(client, {"sd_model_checkpoint": "round"})
        for verb in ("unload", "reload"):
            answer = await client.post(f"{SD}/{verb}-checkpoint", content=content)
            assert (answer.status_code, answer.json()) == (200, {})
    assert holder.calls == ["unload org/circles", "load org/circles"]


async def test_a_model_that_stays_loaded_is_no_error(client: httpx.AsyncClient) -> None:
    assert (await client.post(f"{SD}/unload-checkpoint")).json() == {}
