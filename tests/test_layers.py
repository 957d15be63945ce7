"""Who may import whom, checked in the source. `devices` knows no clock, no chance, no socket."""

import ast
import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OURS = ("devices", "vision", "simulators", "gateway", "api")
MAY_IMPORT = {
    "devices": set(),
    "vision": set(),
    "simulators": {"devices"},
    "gateway": {"devices", "vision"},
    "api": {"gateway", "devices"},
}
BANNED_IN_DEVICES = {
    "time",
    "random",
    "secrets",
    "socket",
    "asyncio",
    "threading",
    "subprocess",
    "os",
    "sqlite3",
    "uuid",
}
NOT_NEEDED = {"now", "utcnow", "today"}


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """The top-level names a file imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the layer"
            names.add((node.module or "").split(".")[0])
    return names


@pytest.mark.parametrize("package", OURS)
def test_a_package_imports_only_what_lies_below_it(package: str) -> None:
    for path in modules(package):
        above = imported(path) & (set(OURS) - MAY_IMPORT[package] - {package})
        assert not above, f"{path.relative_to(ROOT)} imports {above}"


def test_devices_stands_on_the_standard_library_and_msgspec_alone() -> None:
    for path in modules("devices"):
        foreign = {n for n in imported(path) if n not in sys.stdlib_module_names} - {"devices", "msgspec"}
        assert not foreign, f"{path.relative_to(ROOT)} imports {foreign}"


def test_devices_knows_no_clock_no_chance_and_no_socket() -> None:
    for path in modules("devices"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert not imported(path) & BANNED_IN_DEVICES, path.relative_to(ROOT)
        asked = {n.func.attr for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute)}
        assert not asked & NOT_NEEDED, f"{path.relative_to(ROOT)} asks what time it is"


@pytest.mark.parametrize("package", OURS)
def test_each_package_is_really_ours(package: str) -> None:
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    assert Path(spec.origin).resolve() == ROOT / package / "__init__.py"
