"""The gateway's HTTP API as the simulators use it: registering an estate, subscribing, reading alerts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import msgspec
import urllib3

from devices.model import Device
from simulators.estate import Estate, Person, Vehicle
from simulators.pictures import Pictures

CONSENT_DAYS = 365


class ApiError(Exception):
    """The gateway refused a request, or could not be reached; the text says which and why. `status` 0: not reached.
    `detail`: the gateway's own words; `problem`: all it said (RFC 9457), with its `code`.
    """

    def __init__(self, text: str, *, status: int = 0, detail: str = "", problem: dict[str, Any] | None = None) -> None:
        super().__init__(text)
        self.status, self.detail, self.problem = status, detail or text, problem or {}

    @property
    def code(self) -> str:
        """The gateway's code for it; "unreachable" where it did not answer."""
        return str(self.problem.get("code", "")) if self.status else "unreachable"


class Client:
    """Talks to the gateway at `url` with the bearer token `token`. Repeating a registration changes nothing."""

    def __init__(self, url: str, token: str, *, timeout_s: float = 30.0) -> None:
        self._url = url.rstrip("/")
        self._http = urllib3.PoolManager(
            timeout=urllib3.Timeout(total=timeout_s), retries=urllib3.Retry(connect=3, read=0, backoff_factor=0.3)
        )
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def device(self, device: Device) -> None:
        """Registers a device, or brings its registration up to date."""
        body = msgspec.to_builtins(device)
        self._json("PUT", f"/v1/devices/{quote(body.pop('id'), safe='')}", body)

    def access(self, device: str) -> tuple[str, str]:
        """Where a device of this id posts, as a path, and the token it shows."""
        found = self._json("PUT", f"/v1/devices/{quote(device, safe='')}/access", {})
        return str(found["push_path"]), str(found["push_token"])

    def resident(self, person: Person, photographs: Sequence[bytes], *, now: datetime) -> dict[str, Any]:
        """Enrols somebody for the whole estate for a year; gives {id, templates, refused}."""
        fields: list[tuple[str, Any]] = [
            ("id", person.id),
            ("name", person.name),
            ("building", person.building),
            ("consent_scope", "estate"),
            ("consent_until", (now + timedelta(days=CONSENT_DAYS)).isoformat()),
            ("cards", ",".join(person.cards)),
            ("checked", "true"),  # drawn people look more alike than real ones, and photographs may go round again
        ]
        photos = [
            ("photos", (f"{person.id}-{n}.{_suffix(photo)}", photo, f"image/{_suffix(photo)}"))
            for n, photo in enumerate(photographs)
        ]
        answer = self._send("POST", "/v1/residents", fields=[*fields, *photos])
        return dict(answer)

    def vehicle(self, vehicle: Vehicle, *, now: datetime) -> None:
        """Registers a car, or brings its registration up to date."""
        body: dict[str, Any] = {"listing": vehicle.listing, "owner": vehicle.owner, "note": "simulated"}
        if vehicle.listing == "visitor":
            body["valid_from"] = (now - timedelta(hours=1)).isoformat()
            body["valid_to"] = (now + timedelta(days=1)).isoformat()
        self._json("PUT", f"/v1/vehicles/{quote(vehicle.plate, safe='')}", body)

    def subscribe(
        self, url: str, *, types: Sequence[str] = (), max_severity: int = 3, secret: str | None = None
    ) -> dict[str, Any]:
        """Has alerts sent to `url`; gives {id, secret}. With a `secret` of one's own again changes nothing."""
        body = {"url": url, "types": list(types), "max_severity": max_severity, "communities": [], "secret": secret}
        return dict(self._json("POST", "/v1/subscriptions", body))

    def alerts(self) -> Any:
        """The alerts as GET /v1/alerts gives them."""
        return self._send("GET", "/v1/alerts")

    def alert(self, alert: str) -> dict[str, Any]:
        """One alert as it stands."""
        return dict(self._send("GET", f"/v1/alerts/{quote(alert, safe='')}"))

    def open_alerts(self) -> Iterator[dict[str, Any]]:
        """Every open alert, newest first."""
        before: str | None = ""
        while before is not None:
            more = f"&before={quote(before, safe='')}" if before else ""
            page = self._send("GET", f"/v1/alerts?open=true&limit=500{more}")
            yield from page["items"]
            before = page["next"]

    def changes(self, after: int, *, limit: int = 500, known: str = "") -> dict[str, Any]:
        """The feed behind a sequence number: {items, next, forgotten}. `known`: the hash of that change."""
        more = f"&hash={quote(known, safe='')}" if known else ""
        return dict(self._send("GET", f"/v1/alerts/changes?after={after}&limit={limit}{more}"))

    def work(
        self,
        alert: str,
        work: str,
        *,
        assignee: str,
        reason: str = "",
        if_work: str | None = None,
        step: str = "",
        operator: str = "",
    ) -> dict[str, Any]:
        """Tells where the backend stands with an alert; gives the alert. Telling it twice changes nothing, even late if
        `step` is the teller's own id for it.
        """
        body = {"work": work, "assignee": assignee, "reason": reason, "if_work": if_work}
        body |= {"step": step, "operator": operator}
        return dict(self._json("POST", f"/v1/alerts/{quote(alert, safe='')}/work", body))

    def subscriptions(self) -> list[dict[str, Any]]:
        """The subscriptions there are."""
        return list(self._send("GET", "/v1/subscriptions")["items"])

    def unsubscribe(self, subscription: str) -> None:
        """Nothing more is delivered to it."""
        self._send("DELETE", f"/v1/subscriptions/{quote(subscription, safe='')}")

    def rotate(self, subscription: str, secret: str, *, overlap_hours: float) -> dict[str, Any]:
        """Has deliveries signed with `secret`, and with the one before for so long; gives {old_until}."""
        body = {"secret": secret, "overlap_hours": overlap_hours}
        return dict(self._json("POST", f"/v1/subscriptions/{quote(subscription, safe='')}/secret", body))

    def sync_state(self) -> dict[str, dict[str, Any]]:
        """What the gateway has of this backend, by section."""
        return {section["section"]: section for section in self._send("GET", "/v1/sync")["sections"]}

    def sync(self, section: str, body: dict[str, Any]) -> dict[str, Any]:
        """One page of a revision; gives what it changed."""
        return dict(self._json("PUT", f"/v1/sync/{section}", body))

    def _json(self, method: str, path: str, body: dict[str, Any], headers: dict[str, str] | None = None) -> Any:
        content = {"Content-Type": "application/json", **(headers or {})}
        return self._send(method, path, body=json.dumps(body).encode(), headers=content)

    def _send(self, method: str, path: str, *, headers: dict[str, str] | None = None, **more: Any) -> Any:
        sent = self._headers | (headers or {})
        try:
            # No redirects: the token goes to the address it was given for, and nowhere else.
            answer = self._http.request(method, self._url + path, headers=sent, redirect=False, **more)
        except urllib3.exceptions.HTTPError as error:
            raise ApiError(f"{method} {path}: {error}") from error
        text = answer.data.decode(errors="replace")
        if not 200 <= answer.status < 300:
            problem = _problem(text)
            detail = str(problem.get("detail", ""))
            raise ApiError(
                f"{method} {path}: {answer.status} {text[:300]}", status=answer.status, detail=detail, problem=problem
            )
        try:
            return json.loads(text) if text else {}
        except ValueError as error:
            raise ApiError(f"{method} {path}: the answer is not JSON: {text[:100]!r}", status=502) from error


def register(client: Client, estate: Estate, pictures: Pictures) -> dict[str, int]:
    """Registers a whole estate; gives counts {devices, residents, templates, photographs_refused, vehicles}.

    :raises ApiError: the gateway refused something other than a photograph.
    """
    now = datetime.now(UTC)
    for device in estate.devices():
        client.device(device)
    templates = refused = 0
    for person in estate.residents():
        answer = client.resident(person, pictures.enrolment(person.id), now=now)
        templates += int(answer.get("templates", 0))
        refused += len(answer.get("refused", ()))
    for vehicle in estate.vehicles():
        client.vehicle(vehicle, now=now)
    return {
        "devices": len(estate.devices()),
        "residents": len(estate.residents()),
        "templates": templates,
        "photographs_refused": refused,
        "vehicles": len(estate.vehicles()),
    }


def _problem(text: str) -> dict[str, Any]:
    """What an error says of itself, empty where it is no problem."""
    try:
        problem = json.loads(text)
    except ValueError:
        return {}
    return problem if isinstance(problem, dict) else {}


def _suffix(photograph: bytes) -> str:
    return "png" if photograph.startswith(b"\x89PNG") else "jpeg"
