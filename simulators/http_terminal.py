"""Terminals and cameras that post, each until it is answered 200: Hikvision's multipart with a picture, plain JSON."""

from __future__ import annotations

import json
import uuid
from datetime import datetime
from typing import Any

import requests
from requests.auth import HTTPDigestAuth

JPEG = b"\xff\xd8\xff\xe0a drawn face\xff\xd9"


class HttpTerminal:
    """Posts to `url` (/ingest/{protocol}/{address} of a gateway) with its token: by digest as `username`, else in the
    query. What was not answered 200 stays in `unsent`, as in a real one's memory, and goes first the next time.
    """

    def __init__(self, url: str, token: str, *, username: str = "", serial: int = 1) -> None:
        self._url, self._token, self._username = url, token, username
        self._session = requests.Session()
        self._session.trust_env = False
        self.serial = serial
        self.unsent: list[tuple[bytes, str]] = []

    def close(self) -> None:
        """Hang up."""
        self._session.close()

    def passed(self, employee: str, at: datetime, *, minor: int = 75) -> int:
        """Somebody was recognised (or whatever `minor` means, see `devices.protocols.hik_access_codes`)."""
        return self.access(5, minor, at, employee=employee)

    def access(self, major: int, minor: int, at: datetime, *, employee: str = "", picture: bytes = JPEG) -> int:
        """One access event, with a picture beside it. The status it was answered with, 0 for none."""
        self.serial += 1
        event = {
            "majorEventType": major,
            "subEventType": minor,
            "serialNo": self.serial,
            "employeeNoString": employee,
            "currentVerifyMode": "faceOrCard",
        }
        alert = {
            "eventType": "AccessControllerEvent",
            "eventState": "active",
            "dateTime": at.isoformat(timespec="seconds"),
            "AccessControllerEvent": event,
        }
        return self._send(*multipart(alert, picture))

    def heartbeat(self, at: datetime) -> int:
        """Still there."""
        alert = {"eventType": "heartBeat", "eventState": "active", "dateTime": at.isoformat(timespec="seconds")}
        return self._send(json.dumps(alert).encode(), "application/json")

    def post(self, body: Any) -> requests.Response:
        """Any JSON, once, for who wants to see the answer."""
        return self.say(json.dumps(body).encode(), "application/json")

    def again(self) -> int:
        """Send what was not answered 200."""
        waiting, self.unsent = self.unsent, []
        status = 0
        for body, media in waiting:
            status = self._send(body, media)
        return status

    def _send(self, body: bytes, media: str) -> int:
        try:
            status = self.say(body, media).status_code
        except requests.RequestException:
            status = 0
        if status != 200:
            self.unsent.append((body, media))
        return status

    def say(self, body: bytes, media: str) -> requests.Response:
        """Any body, once."""
        auth = HTTPDigestAuth(self._username, self._token) if self._username else None
        params = {} if self._username else {"token": self._token}
        headers = {"Content-Type": media}
        return self._session.post(self._url, data=body, headers=headers, params=params, auth=auth, timeout=15)


def multipart(alert: dict[str, Any], picture: bytes) -> tuple[bytes, str]:
    """An alert with its picture as the maker's terminals post it, and its Content-Type: another boundary each time."""
    boundary = uuid.uuid4().hex
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="event_log"\r\n'.encode(),
        b"Content-Type: application/json\r\n\r\n",
        json.dumps(alert).encode(),
        f'\r\n--{boundary}\r\nContent-Disposition: form-data; name="Picture"; filename="Picture.jpg"\r\n'.encode(),
        b"Content-Type: image/jpeg\r\n\r\n",
        picture,
        f"\r\n--{boundary}--\r\n".encode(),
    ]
    return b"".join(parts), f"multipart/form-data; boundary={boundary}"
