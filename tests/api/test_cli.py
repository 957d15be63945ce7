from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from api.tokens import ROLES, authenticate
from gateway.store import Store
from tests.gateway.shell import Shell
from tests.gateway.test_ledger import lived


def linli(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from api.cli import main; main()", *words]
    root = str(Path(__file__).resolve().parents[2])
    env = {"PYTHONPATH": root, "PATH": "/usr/bin:/bin", "COLUMNS": "200"}
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=60, check=False)


def test_a_token_is_made_listed_and_revoked(tmp_path: Path):
    made = linli("token", "create", "--role", "desk", "--name", "front desk", "--data", "d", cwd=tmp_path)
    text = made.stdout.strip()
    store = Store(tmp_path / "d" / "linli.db")
    token = authenticate(store, text, datetime.now(UTC))
    assert token is not None
    assert (token.name, token.scopes) == ("front desk", frozenset(ROLES["desk"]))
    listed = linli("token", "list", "--data", "d", cwd=tmp_path).stdout
    assert token.id in listed
    assert text.rsplit("_", 1)[1] not in listed
    assert linli("token", "revoke", token.id, "--data", "d", cwd=tmp_path).returncode == 0
    assert authenticate(store, text, datetime.now(UTC)) is None
    assert linli("token", "revoke", "nobody", "--data", "d", cwd=tmp_path).returncode == 1
    store.close()


def test_a_wrong_role_or_scope_is_refused(tmp_path: Path):
    assert linli("token", "create", "--role", "king", "--name", "x", "--data", "d", cwd=tmp_path).returncode == 2
    assert linli("token", "create", "--scope", "world:rule", "--name", "x", "--data", "d", cwd=tmp_path).returncode == 2
    assert linli("token", "create", "--name", "x", "--data", "d", cwd=tmp_path).returncode == 2


def test_what_the_operator_must_mend_is_one_line(tmp_path: Path):
    (tmp_path / "linli.toml").write_text("[http]\nport = 'x'\n", encoding="utf-8")
    for words in (("run",), ("token", "list")):
        failed = linli(*words, cwd=tmp_path)
        assert failed.returncode == 2
        assert failed.stderr.startswith("linli: linli.toml: ")
        assert failed.stderr.count("\n") == 1


def test_a_database_of_a_newer_version_is_one_line(tmp_path: Path):
    with sqlite3.connect(tmp_path / "linli.db") as db:
        db.execute("PRAGMA user_version = 99")
    failed = linli("token", "list", "--data", ".", cwd=tmp_path)
    assert (failed.returncode, failed.stderr.count("\n")) == (2, 1)
    assert "newer version" in failed.stderr


def test_asking_for_the_version_loads_no_sub_command(tmp_path: Path):
    code = "import sys; from api.cli import app; app(['--version'], standalone_mode=False);"
    code += "assert not {'fastapi', 'numpy', 'gateway.runtime'} & set(sys.modules)"
    root = str(Path(__file__).resolve().parents[2])
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.split()[0]) == (0, "linli"), done.stderr


def test_a_ledger_is_checked_exported_and_its_tampering_named(tmp_path: Path):
    shell = Shell(tmp_path / "d")
    lived(shell, 1)
    shell.close()
    checked = linli("ledger", "verify", "--data", "d", cwd=tmp_path)
    said = json.loads(checked.stdout)
    assert (checked.returncode, said["wrong"], said["sealed_up_to"]) == (0, 0, said["last"])
    tested = linli("ledger", "verify", "--self-test", "--data", "d", cwd=tmp_path)
    assert json.loads(tested.stdout) == {"tampered": 1000, "found": 1000}
    assert linli("ledger", "export", "all.jsonl", "--data", "d", cwd=tmp_path).returncode == 0
    first = json.loads((tmp_path / "all.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert first["public_key"] == linli("ledger", "key", "--data", "d", cwd=tmp_path).stdout.strip()
    with sqlite3.connect(tmp_path / "d" / "linli.db") as db:
        db.execute("DELETE FROM ledger WHERE seq = 4")
    broken = linli("ledger", "verify", "--data", "d", cwd=tmp_path)
    assert (broken.returncode, broken.stderr) == (1, "row 4: deleted\n")
    (tmp_path / "d" / "keys" / "ledger.key").unlink()
    assert linli("ledger", "verify", "--data", "d", cwd=tmp_path).returncode == 2


def test_a_quarter_is_reported_from_the_command_line(tmp_path: Path):
    shell = Shell(tmp_path / "d")
    lived(shell, 1)
    shell.close()
    (tmp_path / "linli.toml").write_text('data_dir = "d"\n', encoding="utf-8")
    made = linli("report", "quarter", "2026Q4", "--config", "linli.toml", "--out", "out", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"2026Q4.json", "2026Q4.csv", "2026Q4.html"}
    assert linli("report", "quarter", "2026-4", "--config", "linli.toml", "--out", "out", cwd=tmp_path).returncode == 2
