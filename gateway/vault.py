"""Encryption at rest (AES-256-GCM) and keyed hashes. One master key, kept beside the data, readable by its owner only.

A person has a key of their own, wrapped by the master key and kept in the database alone: forgetting it (withdrawal)
makes everything sealed with it unreadable. An older copy of the database with the master key still opens it, so backups
must end, too.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE = 12


class VaultError(ValueError):
    """Something sealed cannot be opened: another key, or changed bytes."""


class Vault:
    """Seals and opens bytes. `key` is 32 bytes."""

    def __init__(self, key: bytes) -> None:
        self._aead = AESGCM(key)
        self._hash_key = hashlib.sha256(b"linli-hash" + key).digest()

    @classmethod
    def at(cls, folder: Path) -> Vault:
        """The vault whose master key is `folder/master.key`, made on first use with mode 0600."""
        path = folder / "master.key"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return cls(bytes.fromhex(path.read_text(encoding="ascii").strip()))
        with os.fdopen(handle, "w", encoding="ascii") as file:
            key = secrets.token_bytes(32)
            file.write(key.hex() + "\n")
            file.flush()
            os.fsync(file.fileno())
        return cls(key)

    def seal(self, plain: bytes, about: str) -> bytes:
        """Encrypt; `about` names what it is and must be given again to open it."""
        nonce = secrets.token_bytes(_NONCE)
        return nonce + self._aead.encrypt(nonce, plain, about.encode())

    def open(self, sealed: bytes, about: str) -> bytes:
        """Decrypt.

        :raises VaultError: it was not sealed with this key as `about`.
        """
        try:
            return self._aead.decrypt(sealed[:_NONCE], sealed[_NONCE:], about.encode())
        except (InvalidTag, ValueError) as error:
            raise VaultError(f"{about}: cannot be opened with this key") from error

    def digest(self, value: str) -> bytes:
        """A keyed hash (HMAC-SHA256): equal values are found again, the value itself cannot be."""
        return hmac.digest(self._hash_key, value.encode(), "sha256")

    def new_person_key(self, person: str) -> bytes:
        """A fresh key for one person, wrapped."""
        return self.seal(secrets.token_bytes(32), f"person:{person}")

    def person(self, wrapped: bytes, person: str) -> Vault:
        """The vault of one person from their wrapped key."""
        return Vault(self.open(wrapped, f"person:{person}"))
