"""What `faces evaluate` measured, as one page that needs no network: curves, histograms, and the pairs it did worst on.

The page shows faces of the labelled images. It is for who may see those.
"""

from __future__ import annotations

import base64
from html import escape
from pathlib import Path

import cv2
import msgspec
import numpy as np
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from vision.evaluate import Degraded, FaceFigures, Floats, Measured, distances, pairs
from vision.image import bounded, decode

WORST = 6
PICTURE_PX = 180
_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:980px;margin:2em auto;padding:0 1em;color:#222}"
    "table{border-collapse:collapse}td,th{padding:.25em .8em;border-bottom:1px solid #ddd;text-align:right}"
    "td:first-child,th:first-child{text-align:left}figure{display:inline-block;margin:.5em 1em .5em 0}"
    "figure img{height:150px;margin-right:3px}figcaption{font-size:13px;color:#555}"
)


def _rates(genuine: Floats, impostor: Floats) -> tuple[Floats, Floats]:
    """False accepts and false rejects at every distance that occurs."""
    cuts = np.unique(np.concatenate([genuine, impostor]))
    accepted = np.searchsorted(np.sort(impostor), cuts, side="right") / max(1, len(impostor))
    rejected = 1 - np.searchsorted(np.sort(genuine), cuts, side="right") / max(1, len(genuine))
    return accepted, rejected


def _shown(clean: Measured, probes: Measured) -> tuple[Floats, Floats]:
    """Genuine and impostor distances of probes to the clean images, an image with itself left out."""
    if probes is clean:
        return pairs(distances(clean.vectors, clean.vectors), clean.same)
    between = distances(probes.vectors, clean.vectors)
    apart = ~np.eye(len(clean.files), dtype=bool) & ~np.isnan(between)
    return between[apart & clean.same], between[apart & ~clean.same]


def _curve(title: str, sets: dict[str, tuple[Floats, Floats]], *, det: bool) -> go.Figure:
    figure = go.Figure(layout={"title": title, "height": 420, "template": "plotly_white"})
    for name, (genuine, impostor) in sets.items():
        accepted, rejected = _rates(genuine, impostor)
        figure.add_scatter(x=accepted, y=rejected if det else 1 - rejected, name=name, mode="lines+markers")
    figure.update_xaxes(title="false accepts, of pairs of two people", type="log" if det else "linear")
    figure.update_yaxes(title="false rejects, of pairs of one person" if det else "true accepts")
    return figure


def _histogram(name: str, genuine: Floats, impostor: Floats, figures: FaceFigures) -> go.Figure:
    figure = go.Figure(layout={"title": f"Distances, {name}", "barmode": "overlay", "template": "plotly_white"})
    for label, values in (("one person", genuine), ("two people", impostor)):
        figure.add_histogram(x=values, name=label, opacity=0.6, xbins={"start": 0, "end": 1.6, "size": 0.02})
    figure.add_vline(x=figures.threshold, line_dash="dash", annotation_text="the gallery's own")
    for searched, point in figures.open_set.items():
        figure.add_vline(x=point.threshold, line_dash="dot", annotation_text=searched)
    figure.update_xaxes(title="L2 distance")
    figure.update_yaxes(title="pairs")
    return figure


def _picture(path: Path) -> str:
    small, _ = bounded(decode(path.read_bytes()), PICTURE_PX)
    data = base64.b64encode(bytes(cv2.imencode(".jpg", small)[1])).decode()
    return f'<img alt="{escape(path.name)}" src="data:image/jpeg;base64,{data}">'


def _worst(clean: Measured, *, same: bool) -> str:
    """The farthest pairs of one person, or the nearest of two."""
    between = distances(clean.vectors, clean.vectors)
    wanted = np.triu(np.ones_like(clean.same), 1) & (clean.same == same) & ~np.isnan(between)
    places = np.argwhere(wanted)
    order = np.argsort(between[wanted])
    shown = places[order[::-1][:WORST] if same else order[:WORST]]
    return "".join(
        f"<figure>{_picture(clean.files[i])}{_picture(clean.files[j])}<figcaption>{between[i, j]:.3f} "
        f"{escape(clean.people[i])} / {escape(clean.people[j])}</figcaption></figure>"
        for i, j in shown
    )


def _percent(rate: float | None) -> str:
    return "" if rate is None else f"{rate:.2%}"


def _row(name: str, figures: FaceFigures | Degraded) -> str:
    cells = [name, figures.detected, _percent(figures.rank1), _percent(figures.eer), _percent(figures.far)]
    cells.append(_percent(figures.frr))
    for point in figures.open_set.values():
        cells += [f"{point.threshold:.3f}", f"{point.false_accepts} of {point.strangers}"]
        cells += [f"{point.right} of {point.residents}", point.misnamed, point.unsure, point.turned_away]
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def page(clean: Measured, degraded: dict[str, Measured], figures: FaceFigures) -> str:
    """The whole page."""
    sets = {name: _shown(clean, probes) for name, probes in {"clean": clean, **degraded}.items()}
    drawn = [_curve("ROC", sets, det=False), _curve("DET", sets, det=True)]
    drawn += [_histogram(name, *both, figures) for name, both in sets.items()]
    heads = ["images", "faces", "rank-1", "EER", "FAR", "FRR"]
    for searched in figures.open_set:
        heads += [f"{searched}: threshold", "strangers let in", "named", "misnamed", "unsure", "turned away"]
    rows = [_row("clean", figures)] + [_row(name, one) for name, one in figures.degraded.items()]
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>Faces</title><style>{_STYLE}</style>"
        f"<script>{get_plotlyjs()}</script><h1>Faces</h1><p>{figures.images} images, engine "
        f"{escape(figures.engine)}, {figures.ms_p50:.1f} ms an image. This page shows faces; treat it like them.</p>"
        f"<table><tr>{''.join(f'<th>{head}</th>' for head in heads)}</tr>{''.join(rows)}</table>"
        + "".join(figure.to_html(full_html=False, include_plotlyjs=False) for figure in drawn)
        + f"<h2>One person, farthest apart</h2>{_worst(clean, same=True)}"
        f"<h2>Two people, nearest to each other</h2>{_worst(clean, same=False)}"
        f"<h2>Figures</h2><pre>{escape(msgspec.json.format(msgspec.json.encode(figures)).decode())}</pre></html>"
    )


def write(path: Path, clean: Measured, degraded: dict[str, Measured], figures: FaceFigures) -> None:
    """Raises OSError."""
    path.write_text(page(clean, degraded, figures), encoding="utf-8")
