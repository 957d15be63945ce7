"""What `faces evaluate` measured, as one page that needs no network: curves, histograms, and the pairs it did worst on.

The page shows faces of the labelled images. It is for who may see those.
"""

from __future__ import annotations

from html import escape
from pathlib import Path

import numpy as np
import plotly.graph_objects as go

from vision import report_parts
from vision.evaluate import Degraded, FaceFigures, Floats, Measured, distances, pairs
from vision.report_parts import drawn, percent, picture_of, table

WORST = 6
PICTURE_PX = 180


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


def _worst(clean: Measured, *, same: bool) -> str:
    """The farthest pairs of one person, or the nearest of two."""
    between = distances(clean.vectors, clean.vectors)
    wanted = np.triu(np.ones_like(clean.same), 1) & (clean.same == same) & ~np.isnan(between)
    places = np.argwhere(wanted)
    order = np.argsort(between[wanted])
    shown = places[order[::-1][:WORST] if same else order[:WORST]]
    return "".join(
        f"<figure>{picture_of(clean.files[i], PICTURE_PX)}{picture_of(clean.files[j], PICTURE_PX)}"
        f"<figcaption>{between[i, j]:.3f} {escape(clean.people[i])} / {escape(clean.people[j])}</figcaption></figure>"
        for i, j in shown
    )


def _row(name: str, figures: FaceFigures | Degraded) -> list[object]:
    cells: list[object] = [name, figures.images if isinstance(figures, FaceFigures) else "", figures.detected]
    cells += [percent(rate) for rate in (figures.rank1, figures.eer, figures.far, figures.frr)]
    for point in figures.open_set.values():
        cells += [f"{point.threshold:.3f}", f"{point.false_accepts} of {point.strangers}"]
        cells += [f"{point.right} of {point.residents}", point.misnamed, point.unsure, point.turned_away]
    return cells


def page(clean: Measured, degraded: dict[str, Measured], figures: FaceFigures) -> str:
    """The whole page."""
    sets = {name: _shown(clean, probes) for name, probes in {"clean": clean, **degraded}.items()}
    curves = [_curve("ROC", sets, det=False), _curve("DET", sets, det=True)]
    curves += [_histogram(name, *both, figures) for name, both in sets.items()]
    heads = ["condition", "images", "faces", "rank-1", "EER", "FAR", "FRR"]
    for searched in figures.open_set:
        heads += [f"{searched}: threshold", "strangers let in", "named", "misnamed", "unsure", "turned away"]
    rows = [_row("clean", figures)] + [_row(name, one) for name, one in figures.degraded.items()]
    lead = (
        f"{figures.images} images, engine {figures.engine}, {figures.ms_p50:.1f} ms an image. "
        "This page shows faces; treat it like them."
    )
    parts = [
        table(heads, rows), drawn(curves),
        f"<h2>One person, farthest apart</h2>{_worst(clean, same=True)}",
        f"<h2>Two people, nearest to each other</h2>{_worst(clean, same=False)}",
    ]  # fmt: skip
    return report_parts.page("Faces", lead, parts, figures)


def write(path: Path, clean: Measured, degraded: dict[str, Measured], figures: FaceFigures) -> None:
    """Raises OSError."""
    path.write_text(page(clean, degraded, figures), encoding="utf-8")
