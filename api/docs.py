"""The API's own documentation: OpenAPI made complete, and Swagger UI from the installed wheel, without the internet."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse, Response
from fastapi.staticfiles import StaticFiles
from swagger_ui_bundle import swagger_ui_path

from api.errors import MEDIA_TYPE
from api.schemas import Problem
from api.tokens import SCOPES

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Linli Gateway API</title>
<link rel="stylesheet" href="/docs/files/swagger-ui.css"></head>
<body><div id="swagger-ui"></div>
<script src="/docs/files/swagger-ui-bundle.js"></script><script src="/docs/start.js"></script></body></html>
"""
_START = """SwaggerUIBundle({url: "/docs/openapi.json", dom_id: "#swagger-ui", deepLinking: true, validatorUrl: null});
"""
_PROBLEM = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
_ALWAYS = {
    "401": "No token, or one that is unknown, expired or revoked.",
    "403": "The token lacks a scope.",
    "503": "The gateway cannot answer just now.",
}
_BY_PATH = {"404": "There is none of this id."}
_WRITING = {"409": "It cannot be done as things stand.", "413": "The request is too long."}


def install(app: FastAPI) -> None:
    """Serve /docs and its files, and complete the OpenAPI document."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _complete(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign] # FastAPI's documented way of extending the document
    app.add_api_route("/docs", lambda: HTMLResponse(_PAGE), include_in_schema=False)
    app.add_api_route("/docs/start.js", lambda: Response(_START, media_type="text/javascript"), include_in_schema=False)
    app.add_api_route("/docs/openapi.json", lambda: _for_swagger(openapi()), include_in_schema=False)
    app.mount("/docs/files", StaticFiles(directory=str(swagger_ui_path)))


def _for_swagger(document: dict[str, Any]) -> dict[str, Any]:
    """The bundled Swagger UI knows OpenAPI 3.0 only; it shows ours well enough when told so."""
    return document | {"openapi": "3.0.3"}


def _complete(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes, tags=app.openapi_tags
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas["Problem"] = Problem.model_json_schema()
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            _complete_operation(path, method, operation)
    document["x-scopes"] = SCOPES
    return document


def _complete_operation(path: str, method: str, operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    for status, answer in responses.items():
        if status >= "4":
            answer.setdefault("content", _PROBLEM)
    if operation.get("security"):
        for status, text in (_ALWAYS | (_BY_PATH if "{" in path else {})).items():
            responses.setdefault(status, {"description": text, "content": _PROBLEM})
    if method in ("post", "put", "delete"):
        for status, text in _WRITING.items():
            responses.setdefault(status, {"description": text, "content": _PROBLEM})
    if "422" in responses or method in ("post", "put"):
        responses["422"] = {"description": "Something in the request is not acceptable.", "content": _PROBLEM}
