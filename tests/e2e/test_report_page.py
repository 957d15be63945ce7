"""The quarterly report from the command line, and as paper."""

import re
import zlib
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


PAPER_PX = 688
"""A4 without its margins."""


def printed_at(paper: bytes) -> float:
    """How many points a pixel of the page has become, from the first two matrices of the first page."""
    streams = re.finditer(rb"stream\r?\n(.*?)\r?\nendstream", paper, re.DOTALL)
    drawn = next(text for found in streams if b" cm" in (text := unpacked(found[1])))
    outer, inner = (float(scale) for scale in re.findall(rb"([\d.]+) 0 0 -?[\d.]+ [\d.]+ [\d.]+ cm", drawn)[:2])
    return outer * inner


def unpacked(stream: bytes) -> bytes:
    try:
        return zlib.decompress(stream)
    except zlib.error:
        return b""  # a font, not drawing


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
        page.emulate_media(media="print")
        page.set_viewport_size({"width": PAPER_PX, "height": 1000})
        widest = page.evaluate("Math.max(...[...document.querySelectorAll('table, .plot *')].map(e => e.scrollWidth))")
        paper = page.pdf(prefer_css_page_size=True)
        browser.close()
    assert paper.startswith(b"%PDF")
    assert widest <= PAPER_PX, "nothing is cut off"
    assert printed_at(paper) == pytest.approx(0.75, abs=0.01), "pt of a px: the page was not shrunk to make it fit"
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
