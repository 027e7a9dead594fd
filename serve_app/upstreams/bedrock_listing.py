"""The models of Amazon Bedrock that can be chatted with.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_ListFoundationModels.html and
API_ListInferenceProfiles: newer models are called by the id of a profile only, which says in which
regions they may run.
"""

from typing import Any
from urllib.parse import quote

from serve_app.core.upstreams.exchange import (
    UpstreamCalls,
    UpstreamListing,
    UpstreamRefused,
    UpstreamRequest,
    UpstreamTarget,
)
from serve_app.core.upstreams.provider import BedrockSettings
from serve_app.upstreams.anthropic_form import VISION, object_in
from serve_app.upstreams.anthropic_messages import Object
from serve_app.upstreams.bedrock_places import control_url
from serve_app.upstreams.bedrock_signing import BedrockSigner

FOUNDATION = "/foundation-models?byOutputModality=TEXT"
PROFILES = "/inference-profiles?maxResults=1000&type=SYSTEM_DEFINED"
NOT_PERMITTED = frozenset({401, 403, 404})
MOST_PAGES = 20
MAKER = "anthropic."
"""Of models that all see images."""
SEEN = "IMAGE"


async def bedrock_models(
    target: UpstreamTarget, calls: UpstreamCalls, signer: BedrockSigner
) -> tuple[UpstreamListing, ...]:
    """Those that the settings name, and those that the account may list. UpstreamRefused where it
    may not, and the settings name none.
    """
    settings = target.provider.settings or BedrockSettings()
    named = [name for name in (settings.model, settings.small_fast_model) if name]
    listed: dict[str, bool] = {}
    if settings.protocol == "invoke-model":
        try:
            listed = await _listed(target, calls, signer)
        except UpstreamRefused as refused:
            if not named or refused.status not in NOT_PERMITTED:
                raise
    every = {**{id: MAKER in id for id in named}, **listed}
    return tuple(
        UpstreamListing(id=id, task="chat", capabilities=(VISION,) if sees else ())
        for id, sees in every.items()
    )


async def _listed(
    target: UpstreamTarget, calls: UpstreamCalls, signer: BedrockSigner
) -> dict[str, bool]:
    """Whether each of them sees images."""

    async def page(path: str) -> Object:
        request = UpstreamRequest("GET", control_url(target.provider, path))
        request = await signer.signed(request, target, calls, service="bedrock")
        async with calls.open(request) as response:
            return object_in(await response.read())

    models = _objects(await page(FOUNDATION), "modelSummaries")
    seeing = {_id(each) for each in models if SEEN in each.get("inputModalities", ())}
    found = {id: MAKER in id or id in seeing for id in map(_id, filter(_is_on_demand, models))}
    path = PROFILES
    for _ in range(MOST_PAGES):
        content = await page(path)
        profiles = _objects(content, "inferenceProfileSummaries")
        ids = (str(each.get("inferenceProfileId", "")) for each in profiles)
        found |= {id: MAKER in id or id.partition(".")[2] in seeing for id in ids if id}
        if not (token := content.get("nextToken")):
            break
        path = f"{PROFILES}&nextToken={quote(token, safe='')}"
    return found


def _is_on_demand(model: Object) -> bool:
    return bool(_id(model)) and "ON_DEMAND" in model.get("inferenceTypesSupported", ())


def _id(model: Object) -> str:
    return str(model.get("modelId", ""))


def _objects(content: Object, name: str) -> list[dict[str, Any]]:
    found = content.get(name)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
