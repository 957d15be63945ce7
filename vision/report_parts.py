"""What the pages of `faces evaluate` and `plates evaluate` share: one file that needs no network, figures, pictures."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

import cv2
import msgspec
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from vision.image import Image, bounded, decode

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:980px;margin:2em auto;padding:0 1em;color:#222}"
    "table{border-collapse:collapse}td,th{padding:.25em .8em;border-bottom:1px solid #ddd;text-align:right}"
    "td:first-child,th:first-child{text-align:left}figure{display:inline-block;margin:.5em 1em .5em 0}"
    "figure img{height:150px;margin-right:3px}figcaption{font-size:13px;color:#555;max-width:420px}"
)


def percent(rate: float | None) -> str:
    """A rate for a reader; nothing where there is none."""
    return "" if rate is None else f"{rate:.2%}"


def table(heads: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """A table; the first column is words."""
    top = "".join(f"<th>{escape(str(head))}</th>" for head in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{top}</tr>{body}</table>"


def picture(name: str, pixels: Image, longest_px: int) -> str:
    """An image within the page."""
    small, _ = bounded(pixels, longest_px)
    data = base64.b64encode(bytes(cv2.imencode(".jpg", small)[1])).decode()
    return f'<img alt="{escape(name)}" src="data:image/jpeg;base64,{data}">'


def picture_of(path: Path, longest_px: int) -> str:
    """A file as `picture`."""
    return picture(path.name, decode(path.read_bytes()), longest_px)


def drawn(figures: Iterable[go.Figure]) -> str:
    """Plotly's figures, for a page of `page`."""
    return "".join(figure.to_html(full_html=False, include_plotlyjs=False) for figure in figures)


def page(title: str, lead: str, parts: Iterable[str], figures: msgspec.Struct) -> str:
    """The whole page: `lead` in words, `parts` as HTML, and all of `figures` at the end."""
    whole = escape(msgspec.json.format(msgspec.json.encode(figures)).decode())
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title><style>{_STYLE}</style>"
        f"<script>{get_plotlyjs()}</script><h1>{title}</h1><p>{escape(lead)}</p>"
        f"{''.join(parts)}<h2>Figures</h2><pre>{whole}</pre></html>"
    )
