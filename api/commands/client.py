"""The HTTP API as the operator's commands use it: an address, a token, JSON both ways, errors in one line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import quote, urlencode

import typer
import urllib3

from gateway.settings import SettingsError

Url = Annotated[str, typer.Option("--url", envvar="LINLI_API", help="Where the gateway's API is.")]
Token = Annotated[str, typer.Option("--token", envvar="LINLI_TOKEN", help="A token (`linli token create`).")]
DEFAULT_URL = "http://127.0.0.1:8080"


class RefusedError(Exception):
    """The gateway refused; the text is its own, `more` the whole of its problem."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        super().__init__(str(problem.get("detail", f"HTTP {status}")))
        self.status = status
        self.more = problem


class Api:
    """Talks to the gateway at `url`.

    :raises SettingsError: it cannot be reached, or the token is missing or not good enough.
    :raises RefusedError: it refused what was asked.
    """

    def __init__(self, url: str, token: str, *, timeout_s: float = 90.0) -> None:
        if not token:
            raise SettingsError("give a token: --token or LINLI_TOKEN; `linli token create --role admin` makes one")
        self._url = url.rstrip("/")
        self._http = urllib3.PoolManager(timeout=urllib3.Timeout(connect=5, read=timeout_s), retries=False)
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def get(self, path: str, **query: Any) -> Any:
        """The answer to GET."""
        return self.call("GET", path, query=query)

    def call(self, method: str, path: str, body: Any = None, *, query: Mapping[str, Any] | None = None) -> Any:
        """The answer to `method`."""
        url = self._url + path + (f"?{urlencode(query)}" if query else "")
        content = json.dumps(body).encode() if body is not None else None
        try:
            answer = self._http.request(method, url, body=content, headers=self._headers)
        except urllib3.exceptions.HTTPError as error:
            raise SettingsError(f"no gateway answers at {self._url} ({type(error).__name__}); give --url") from error
        if 200 <= answer.status < 300:
            return json.loads(answer.data) if answer.data else {}
        refused = RefusedError(answer.status, _problem(answer.data))
        if answer.status in (401, 403):
            raise SettingsError(str(refused))
        raise refused


def path_of(*parts: str) -> str:
    """A path below /v1 with each part quoted."""
    return "/v1/" + "/".join(quote(part, safe="") for part in parts)


def _problem(body: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
