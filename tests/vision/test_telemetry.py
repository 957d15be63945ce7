"""onnxruntime must not report what it does: it keeps what it would send in a database of the user's cache."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

WORK = """
{first}
import onnx, onnxruntime
from onnx import TensorProto, helper
value = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [1])
graph = helper.make_graph([helper.make_node("Abs", ["x"], ["y"])], "g", [value("x")], [value("y")])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
"""


def _left_behind(home: Path, first: str) -> list[str]:
    home.mkdir()
    kept = {"PATH": os.environ["PATH"], "HOME": str(home)}  # in CI onnxruntime is silent by itself
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", WORK.format(first=first)], env=kept, cwd=root, check=True, timeout=60)
    return [path.name for path in home.rglob("*") if path.is_file()]


def test_onnxruntime_keeps_nothing_to_report_once_vision_is_imported(tmp_path: Path) -> None:
    assert _left_behind(tmp_path / "ours", "import vision") == []


def test_by_itself_it_would(tmp_path: Path) -> None:
    """What the other test rests on: if this fails, telemetry has moved and has to be looked for anew."""
    assert "onnxruntime.db" in _left_behind(tmp_path / "theirs", "")
