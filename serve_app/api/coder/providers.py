"""/api/v2/ai/providers."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel

from serve_app.api.body_schema import body_schema
from serve_app.api.coder.error_object import ERRORS, JSON_TYPE
from serve_app.api.coder.provider_body import (
    ProviderBody,
    ProviderChangeBody,
    read_change,
    read_provider,
)
from serve_app.api.coder.provider_object import contact_object, etag, list_etag, provider_object
from serve_app.api.conditions import is_precondition_met
from serve_app.api.context import ContextDep, PrincipalDep
from serve_app.api.json_answer import json_response
from serve_app.core.upstreams.provider import Provider

COLLECTION = "/api/v2/ai/providers"
ONE = f"{COLLECTION}/{{id_or_name}}"
router = APIRouter(tags=["providers"], responses=ERRORS)


def described(kind: type[BaseModel]) -> dict[str, Any]:
    """The description of a body that the route reads by itself."""
    content = {"application/json": {"schema": body_schema(kind)}}
    return {"requestBody": {"required": True, "content": content}}


@router.get(f"{COLLECTION}/", include_in_schema=False)
@router.get(COLLECTION)
async def list_providers(context: ContextDep) -> Response:
    """List all providers by name."""
    providers = [context.listed.with_contact(each) for each in await context.providers.all()]
    headers = {"Content-Type": JSON_TYPE, "ETag": list_etag(providers)}
    return json_response([provider_object(each) for each in providers], headers)


@router.post(f"{COLLECTION}/", include_in_schema=False)
@router.post(COLLECTION, status_code=201, openapi_extra=described(ProviderBody))
async def create_provider(
    request: Request, context: ContextDep, principal: PrincipalDep
) -> Response:
    """Register a provider. Its keys are only shown masked from then on."""
    new = await read_provider(request)
    return answer(await context.providers.create(new, by=principal), status=201)


@router.get(ONE)
async def read_provider_by_name(id_or_name: str, context: ContextDep) -> Response:
    """Read one provider, by its id or name."""
    found = await context.providers.get(id_or_name)
    return answer(context.listed.with_contact(found))


@router.post(f"{ONE}/test")
async def test_provider(id_or_name: str, context: ContextDep) -> Response:
    """Ask a provider for its list of models. A disabled one is asked too, and nothing changes."""
    found = await context.providers.get(id_or_name)
    listing = await context.listed.test(found.name)
    return json_response(contact_object(listing), {"Content-Type": JSON_TYPE})


@router.patch(ONE, openapi_extra=described(ProviderChangeBody))
async def change_provider(
    id_or_name: str, request: Request, context: ContextDep, principal: PrincipalDep
) -> Response:
    """Change a provider. `api_keys` lists all keys that it is to have."""
    change = await read_change(request)
    changed = await context.providers.change(
        id_or_name, change, by=principal, is_expected=lambda found: is_known(request, found)
    )
    return answer(changed)


@router.delete(ONE, status_code=204, response_class=Response)
async def delete_provider(
    id_or_name: str, request: Request, context: ContextDep, principal: PrincipalDep
) -> Response:
    """Delete a provider and its keys."""
    await context.providers.delete(
        id_or_name, by=principal, is_expected=lambda found: is_known(request, found)
    )
    return Response(status_code=204)


def is_known(request: Request, provider: Provider) -> bool:
    """Whether the caller knows the provider as it is, where `If-Match` says so."""
    return is_precondition_met(request.headers, etag(provider))


def answer(provider: Provider, *, status: int = 200) -> Response:
    """One provider with its tag."""
    headers = {"Content-Type": JSON_TYPE, "ETag": etag(provider)}
    response = json_response(provider_object(provider), headers)
    response.status_code = status
    return response
