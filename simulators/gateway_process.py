"""The gateway and the receiving backend as processes of their own: started, killed and looked at from outside.

Start them from the main thread: the kernel ends a child when the thread that started it is gone.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import urllib3

from simulators.backend import Kept
from simulators.backend.store import received

LINLI = (sys.executable, "-P", "-c", "from api.cli import main; main()")
"""`linli` of the running environment, whatever the PATH says."""
READY_WITHIN_S = 60.0
STOP_WITHIN_S = 25.0
KEPT_PORTS = 64
_kept: deque[socket.socket] = deque()

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


class ProcessError(RuntimeError):
    """A process did not start or did not do what it was started for; the text quotes it."""


def free_port() -> int:
    """A port of 127.0.0.1 nobody listens on, kept for us until `KEPT_PORTS` more were asked for.

    Until then the system gives it to nobody who asks for any port, also while who listens on it restarts: we have it
    bound. Whoever sets SO_REUSEADDR, as servers do, listens on it all the same.
    """
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", 0))
    if len(_kept) == KEPT_PORTS:
        _kept.popleft().close()
    _kept.append(sock)
    return int(sock.getsockname()[1])


class Child:
    """A process that ends with us. What it prints first on stdout tells that it is `ready`; stderr goes to `log`."""

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self._command = list(command)
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._ready = threading.Event()
        self.starts = 0

    def start(self) -> None:
        """Begin; returns at once."""
        self._ready = threading.Event()
        self.starts += 1
        self._process = subprocess.Popen(  # noqa: S603 - our own program, our own arguments
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for us: we end it in good order
            preexec_fn=_end_with_parent,  # noqa: PLW1509 - one system call, loaded beforehand
        )
        threading.Thread(target=_read, args=(self._process, self._ready), name="child-stdout", daemon=True).start()
        threading.Thread(target=_copy, args=(self._process, self._log), name="child-stderr", daemon=True).start()

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    @property
    def ready(self) -> bool:
        """It runs and has said so."""
        return self._ready.is_set() and self.pid is not None

    def await_ready(self) -> None:
        """Wait until it is ready.

        :raises ProcessError: it ended, or took longer than `READY_WITHIN_S`.
        """
        if not self._ready.wait(READY_WITHIN_S) or self.pid is None:
            raise ProcessError(f"it did not get ready; its log ends: {self.last_words()}")

    def kill(self) -> None:
        """End it with kill -9, and wait for the end."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        """SIGTERM, and wait for the end; kill -9 if it takes longer than `STOP_WITHIN_S`."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def last_words(self) -> str:
        """The end of what it wrote to stderr."""
        return self._log.read_text(encoding="utf-8", errors="replace")[-600:] if self._log.exists() else ""


def _end_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _read(process: subprocess.Popen[bytes], ready: threading.Event) -> None:
    """Read stdout to its end, so that the child never waits for us; also when it ends without a word."""
    if process.stdout is not None:
        for _ in process.stdout:
            ready.set()
    ready.set()


def _copy(process: subprocess.Popen[bytes], log: Path) -> None:
    """We write its log, so that it can go on saying what is wrong while its own disk is full."""
    if process.stderr is not None:
        with log.open("ab", buffering=0) as file:
            for line in process.stderr:
                file.write(line)


class GatewayProcess(Child):
    """`linli run` with its embedded broker, its data and settings below `folder`, on free ports that stay the same.

    `program` is run instead of `linli`. `workers`: vision processes. `sync`: see the gateway's [mqtt] settings.
    `settings`: further sections of the settings file, as TOML.
    """

    def __init__(
        self,
        folder: Path,
        *,
        program: Sequence[str] = LINLI,
        workers: int = 0,
        sync: str = "always",
        port: int = 0,
        settings: str = "",
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.data = folder / "data"
        self.config = folder / "linli.toml"
        http_port, mqtt_port = port or free_port(), free_port()
        self.url = f"http://127.0.0.1:{http_port}"
        self.broker_url = f"mqtt://127.0.0.1:{mqtt_port}"
        self.config.write_text(
            f"data_dir = {json.dumps(str(self.data), ensure_ascii=False)}\n"
            f'[mqtt]\nlisten = "127.0.0.1:{mqtt_port}"\nallow_anonymous = true\nsync = "{sync}"\n'
            f"[http]\nport = {http_port}\n[faces]\nworkers = {workers}\n"
            f'[webhooks]\nallow = ["127.0.0.0/8"]\n{settings}',
            encoding="utf-8",
        )
        super().__init__([*program, "run", "--config", str(self.config)], folder / "gateway.log")

    @property
    def database(self) -> Path:
        """Its SQLite file, to be read only."""
        return self.data / "linli.db"

    def token(self, name: str, role: str) -> str:
        """A new API token.

        :raises ProcessError: it could not be made.
        """
        command = [*LINLI, "token", "create", "--name", name, "--role", role, "--config", str(self.config)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603
        if done.returncode:
            raise ProcessError(f"no token: {done.stderr.strip()[-600:]}")
        return done.stdout.strip()

    def broker_pid(self) -> int | None:
        """The embedded broker's process id, if it runs as the gateway's child."""
        try:
            pid = int((self.data / "broker" / "pid").read_text(encoding="ascii"))
            status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
        except (OSError, ValueError):
            return None
        parent = next((line.split()[1] for line in status.splitlines() if line.startswith("PPid:")), "")
        return pid if self.pid is not None and parent == str(self.pid) and "State:\tZ" not in status else None

    def kill_broker(self) -> bool:
        """End with kill -9 the embedded broker; whether there was one."""
        pid = self.broker_pid()
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
        return pid is not None

    def fill_disk(self, *, full: bool) -> bool:
        """Let every write of the gateway to a file fail, as on a full disk, or work again; whether it runs.

        A limit on the size of its files, set from outside: it needs no rights and touches no other process.
        """
        pid = self.pid
        if pid is None:
            return False
        _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0 if full else most, most))
        return True

    def get(self, path: str, token: str) -> Any:
        """The JSON answer of its API to GET `path`.

        :raises ProcessError: it did not answer with 200.
        """
        try:
            answer = urllib3.request(
                "GET", self.url + path, headers={"Authorization": f"Bearer {token}"}, timeout=10, retries=3
            )
        except urllib3.exceptions.HTTPError as error:
            raise ProcessError(f"GET {path}: {error}") from error
        if answer.status != 200:
            raise ProcessError(f"GET {path}: {answer.status}")
        return json.loads(answer.data)


class BackendProcess(Child):
    """The reference backend of `simulators.backend`, which only receives; `secret` signs what it is to accept."""

    def __init__(self, folder: Path, *, port: int, secret: str) -> None:
        self.store = folder / "backend.db"
        command = [sys.executable, "-P", "-m", "simulators.backend", "--port", str(port), "--secret", secret]
        super().__init__([*command, "--store", str(self.store)], folder / "backend.log")

    def received(self) -> list[Kept]:
        """Every delivery it has accepted, in order: each of another webhook id."""
        return received(self.store)
