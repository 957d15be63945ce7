"""docs/vendors.md says which protocol has which command: what the protocols declare, and nothing older."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_table_of_protocols_and_commands_is_up_to_date() -> None:
    script = [sys.executable, str(ROOT / "scripts/make-vendor-table"), "--check"]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}{done.stderr} run scripts/make-vendor-table"
