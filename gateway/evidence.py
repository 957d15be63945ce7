"""Pictures on the disk: content-addressed, encrypted, durable when `write` returns, deleted when their time is over."""

from __future__ import annotations

import os
import re
import secrets
import threading
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import structlog

from gateway.store import Store, us
from gateway.vault import Vault, VaultError

PRUNE_FILES = 200
"""So many files are deleted in one step, so that nobody waits long for the database."""
SEAL_BYTES = 28
"""What sealing adds to a picture: nonce and tag."""

_KEY = re.compile(r"[0-9a-f]{32,64}", re.ASCII)
_log = structlog.get_logger(__name__)


class Evidence:
    """The pictures below `folder`, as `ab/abcdef...`. `unreadable` counts files that were there and did not open.

    Safe to use from several threads. A key that is not 32 to 64 lower-case hex digits is a `ValueError`: no name from
    outside ever becomes a path.
    """

    def __init__(self, folder: Path, vault: Vault) -> None:
        self._folder = folder
        self._vault = vault
        self._lock = threading.Lock()
        self._revived: set[str] = set()
        self.unreadable = 0
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def _path(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise ValueError("an evidence key is 32 to 64 hex digits")
        return self._folder / key[:2] / key

    def write(self, key: str, image: bytes) -> None:
        """Keep one picture. Durable when it returns; a key that is there already costs nothing.

        :raises OSError: it could not be written (disk full); nothing of it is left.
        """
        self.write_many({key: image})

    def write_many(self, images: Mapping[str, bytes]) -> None:
        """Keep several pictures; their folders are made durable once.

        :raises OSError: one could not be written.
        """
        with self._lock:
            folders: set[Path] = set()
            for key, image in images.items():
                path = self._path(key)
                if _size(path) == len(image) + SEAL_BYTES:
                    self._revived.add(key)
                    continue
                if not path.parent.is_dir():
                    path.parent.mkdir(mode=0o700, exist_ok=True)
                    folders.add(self._folder)
                _replace(path, self._vault.seal(image, f"evidence:{key}"))
                folders.add(path.parent)
            for folder in folders:
                _sync(folder)

    def read(self, key: str) -> bytes | None:
        """One picture; None if it is not there any more, or cannot be opened (counted and logged)."""
        path = self._path(key)
        try:
            sealed = path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            return self._vault.open(sealed, f"evidence:{key}")
        except VaultError:
            self.unreadable += 1
            _log.warning("evidence_unreadable", key=key, size=len(sealed))
            return None

    def delete(self, key: str) -> None:
        """Remove one picture; it may be gone already."""
        path = self._path(key)
        with self._lock:
            if path.exists():
                path.unlink()
                _sync(path.parent)

    def prune(self, store: Store, now: datetime) -> int:
        """Remove a bounded number of pictures past their time, files before rows; how many, so that the caller may
        come again. A crash in between leaves a row without a file, never a forgotten picture.

        A picture that was just sent again is left for the next round: by then its row has its new time.
        """
        with self._lock, store.write() as db:
            due = db.execute(
                "SELECT key FROM captures WHERE expires <= ? ORDER BY expires LIMIT ?",
                (us(now), PRUNE_FILES + len(self._revived)),
            )
            keys = [key for (key,) in due if key not in self._revived]
            self._revived.clear()
            folders = set()
            for key in keys:
                path = self._path(key)
                path.unlink(missing_ok=True)
                if path.parent.is_dir():
                    folders.add(path.parent)
            for folder in folders:
                _sync(folder)
            db.executemany("DELETE FROM captures WHERE key = ?", [(key,) for key in keys])
            if keys:
                said = "INSERT INTO ledger_notes(kind, body) VALUES ('retention', json_object('captures', ?))"
                db.execute(said, (len(keys),))
        return len(keys)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return -1


def _replace(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
