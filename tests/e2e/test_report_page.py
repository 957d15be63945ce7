"""The quarterly report from the command line, and as paper."""

from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright
from typer.testing import CliRunner

from api.cli import app
from tests.e2e.test_desk import CHROMIUM, FLAGS
from tests.gateway.shell import Shell
from tests.gateway.test_ledger import lived

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no browser: {CHROMIUM} is not installed"),
]


def test_the_page_is_drawn_without_the_network_and_prints(tmp_path: Path) -> None:
    shell = Shell(tmp_path / "data")
    lived(shell)
    shell.close()
    told = CliRunner().invoke(
        app, ["report", "quarter", "2026Q4", "--data", str(tmp_path / "data"), "--out", str(tmp_path / "out")]
    )
    assert told.exit_code == 0, told.output
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto((tmp_path / "out" / "2026Q4.html").as_uri())
        page.wait_for_selector(".plot .bars path")
        paper = page.pdf(prefer_css_page_size=True)
        browser.close()
    assert paper.startswith(b"%PDF")
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
