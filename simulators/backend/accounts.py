"""Who may work with the page: operators with passwords, their sessions, and the brake on guessing. All of it in the
books, so that a restart signs nobody out and forgets no failed attempt.

Passwords are kept as scrypt hashes with their parameters (OWASP's N=2^14, r=8, p=5: 16 MB each, two at a time); of a
session only the hash of its token is kept.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import re
import secrets
import sqlite3
import threading
import time
import unicodedata
from collections.abc import Callable

from simulators.backend.store import Books

SESSION_S = 12 * 3600.0
"""A shift; then the password is asked for again."""
SESSIONS_EACH = 10
WINDOW_S = 900.0
TRIES_OF_A_NAME = 5
TRIES_OF_AN_ADDRESS = 20
SHORTEST, LONGEST = 10, 200
_N, _R, _P = 2**14, 8, 5
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_NOBODY = (b"\0" * 16, b"\0" * 32, _N, _R, _P)


class AccountError(ValueError):
    """A name or password that cannot be; the text says what to change."""


class WrongError(Exception):
    """Name and password do not belong together."""


class LockedError(Exception):
    """Too many attempts; `wait_s` until the next one counts."""

    def __init__(self, wait_s: float) -> None:
        super().__init__("too many attempts")
        self.wait_s = wait_s


class Accounts:
    """The operators. `clock`: s since 1970. May be used from any thread."""

    def __init__(self, books: Books, *, clock: Callable[[], float] = time.time) -> None:
        self._books, self._clock = books, clock
        self._hashing = threading.BoundedSemaphore(2)

    def put(self, name: str, password: str) -> None:
        """A new operator, or a new password for one; whoever is signed in by that name is signed out.

        :raises AccountError: the name is no name, or the password too short.
        """
        if not _NAME.fullmatch(name):
            raise AccountError("a name has 1 to 64 letters, digits, . _ and -: best the id in the roster")
        if not SHORTEST <= len(password) <= LONGEST:
            raise AccountError(f"a password has {SHORTEST} to {LONGEST} characters")
        salt = secrets.token_bytes(16)
        row = (name, salt, self._hash(password, salt, _N, _R, _P), _N, _R, _P)
        with self._books.write() as db:
            db.execute("INSERT OR REPLACE INTO operators(name, salt, hash, n, r, p) VALUES(?, ?, ?, ?, ?, ?)", row)
            db.execute("DELETE FROM sessions WHERE operator=?", (name,))
            db.execute("DELETE FROM attempts WHERE who=?", (f"name:{name}",))

    def remove(self, name: str) -> bool:
        """End an operator and their sessions; whether there was one."""
        with self._books.write() as db:
            db.execute("DELETE FROM sessions WHERE operator=?", (name,))
            return db.execute("DELETE FROM operators WHERE name=?", (name,)).rowcount == 1

    def names(self) -> list[str]:
        """Every operator."""
        return [row["name"] for row in self._books.rows("SELECT name FROM operators ORDER BY name")]

    def sign_in(self, name: str, password: str, address: str) -> str:
        """The token of a new session.

        :raises WrongError: name and password do not belong together.
        :raises LockedError: the name or the address has failed too often lately; the password was not looked at.
        """
        tried = self._attempt(name, address)
        rows = self._books.rows("SELECT salt, hash, n, r, p FROM operators WHERE name=?", name)
        salt, known, n, r, p = tuple(rows[0]) if rows else _NOBODY  # nobody takes as long as somebody
        right = hmac.compare_digest(self._hash(password[: LONGEST + 1], salt, n, r, p), known)
        if not (rows and right):
            raise WrongError
        token, now = secrets.token_urlsafe(32), self._clock()
        with self._books.write(quietly=True) as db:
            # The account as it was looked at: a password changed or an operator removed meanwhile lets nobody in.
            if db.execute("SELECT 1 FROM operators WHERE name=? AND hash=?", (name, known)).fetchone() is None:
                raise WrongError
            db.execute("DELETE FROM attempts WHERE who=? OR n=?", (f"name:{name}", tried))
            db.execute("DELETE FROM sessions WHERE made_at<?", (now - SESSION_S,))
            db.execute("INSERT INTO sessions VALUES(?, ?, ?)", (_digest(token), name, now))
            db.execute(
                "DELETE FROM sessions WHERE operator=? AND token NOT IN"
                " (SELECT token FROM sessions WHERE operator=? ORDER BY made_at DESC, rowid DESC LIMIT ?)",
                (name, name, SESSIONS_EACH),
            )
        return token

    def _attempt(self, name: str, address: str) -> int:
        """Counted before the password is looked at, so that guessing side by side gains nothing. Gives the row of the
        address.
        """
        now = self._clock()
        with self._books.write(quietly=True) as db:
            db.execute("DELETE FROM attempts WHERE at<=? OR at>?", (now - WINDOW_S, now))
            for who, most in ((f"address:{address}", TRIES_OF_AN_ADDRESS), (f"name:{name[:64]}", TRIES_OF_A_NAME)):
                _refuse_more(db, who, most, now)
            db.execute("INSERT INTO attempts(who, at) VALUES(?, ?)", (f"name:{name[:64]}", now))
            return int(
                db.execute("INSERT INTO attempts(who, at) VALUES(?, ?)", (f"address:{address}", now)).lastrowid or 0
            )

    def operator(self, token: str) -> str:
        """Whose session this is; "" for nobody's, or one that is over."""
        since = self._clock() - SESSION_S
        rows = self._books.rows("SELECT operator FROM sessions WHERE token=? AND made_at>=?", _digest(token), since)
        return str(rows[0]["operator"]) if rows else ""

    def sign_out(self, token: str) -> None:
        """End a session."""
        with self._books.write(quietly=True) as db:
            db.execute("DELETE FROM sessions WHERE token=?", (_digest(token),))

    def _hash(self, password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
        given = unicodedata.normalize("NFKC", password).encode(errors="surrogatepass")
        with self._hashing:
            return hashlib.scrypt(given, salt=salt, n=n, r=r, p=p, maxmem=256 * n * r, dklen=32)


def _refuse_more(db: sqlite3.Connection, who: str, most: int, now: float) -> None:
    row = db.execute("SELECT count(*) AS tries, min(at) AS first FROM attempts WHERE who=?", (who,)).fetchone()
    if row["tries"] >= most:
        raise LockedError(math.ceil(row["first"] + WINDOW_S - now))


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()
