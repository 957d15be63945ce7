"""Errors as RFC 9457 problems: one shape for every refusal, and a visible table of who is at fault."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from devices.alerts import AlertError
from devices.errors import UnsupportedCommandError
from gateway.actions import NotFoundError, RefusedError
from gateway.refusals import InvalidError, TakenError
from gateway.vehicles import FieldError

MEDIA_TYPE = "application/problem+json"


class ApiError(Exception):
    """A refusal by the API itself. `more` are extension members of the problem."""

    def __init__(
        self, status: int, detail: str, *, headers: Mapping[str, str] | None = None, more: dict[str, Any] | None = None
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers, self.more = status, detail, headers, more or {}


STATUSES: dict[type[Exception], int] = {
    NotFoundError: 404,
    TakenError: 409,
    InvalidError: 422,
    RefusedError: 409,
    AlertError: 409,
    UnsupportedCommandError: 409,
    FieldError: 422,
}
"""Which error of ours is which status; the text of the error is the detail."""


def problem(
    request: Request,
    status: int,
    detail: str,
    *,
    headers: Mapping[str, str] | None = None,
    more: dict[str, Any] | None = None,
) -> JSONResponse:
    """The answer that says what went wrong."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "instance": request.url.path,
        "code": HTTPStatus(status).name.lower(),
    }
    return JSONResponse(body | (more or {}), status, headers=dict(headers or {}), media_type=MEDIA_TYPE)


def _alert(request: Request, error: Exception) -> JSONResponse:
    """Why an alert does not allow it, for programs, too: `code`, who was faster, where it stands."""
    if not isinstance(error, AlertError):
        raise error
    more = {"code": error.code, "who": error.who, "stands": error.stands.value if error.stands else None}
    return problem(request, STATUSES[AlertError], str(error), more=more)


def install(app: FastAPI) -> None:
    """Answer every known error with a problem. Unknown ones are our bug and stay a plain 500."""
    for error, status in STATUSES.items():
        app.add_exception_handler(error, _told(status))
    app.add_exception_handler(AlertError, _alert)
    app.add_exception_handler(ApiError, _api_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(sqlite3.OperationalError, _storage)


def _told(status: int) -> Callable[[Request, Exception], JSONResponse]:
    def answer(request: Request, error: Exception) -> JSONResponse:
        return problem(request, status, str(error))

    return answer


def _api_error(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, ApiError):
        raise error
    return problem(request, error.status, error.detail, headers=error.headers, more=error.more)


def _http_error(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HTTPException):
        raise error
    return problem(request, error.status_code, str(error.detail), headers=error.headers)


def _invalid(request: Request, error: Exception) -> JSONResponse:
    """What is wrong where; never the value itself, which may be personal."""
    if not isinstance(error, RequestValidationError):
        raise error
    wrong = [{"where": ".".join(map(str, fault["loc"])), "error": fault["msg"]} for fault in error.errors()]
    detail = "; ".join(f"{fault['where']}: {fault['error']}" for fault in wrong)
    return problem(request, 422, detail, more={"errors": wrong})


def _storage(request: Request, _: Exception) -> JSONResponse:
    return problem(request, 503, "the database cannot be used just now; see /health", headers={"Retry-After": "5"})
