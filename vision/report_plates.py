"""What `plates evaluate` measured, as one page that needs no network: right by kind of plate and by condition, which
characters are taken for which, whether a confidence means what it says, and the worst readings as pictures.

The page shows plates of the labelled images. It is for who may see those.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
from msgspec import Struct

from vision.grammar import grammar_of
from vision.plate_reads import Read
from vision.report_parts import drawn, page, percent, picture_of, table
from vision.types import PlateFound

WORST = 12
PICTURE_PX = 420
BINS = 10
"""Of confidence, in the calibration plot."""


def aligned(truth: str, text: str) -> list[tuple[str, str]]:
    """Which character of `truth` was read as which of `text`, by the fewest edits; "" for one that is not there."""
    cost = np.zeros((len(truth) + 1, len(text) + 1), dtype=np.int64)
    cost[:, 0], cost[0, :] = np.arange(len(truth) + 1), np.arange(len(text) + 1)
    for i, a in enumerate(truth, 1):
        for j, b in enumerate(text, 1):
            cost[i, j] = min(cost[i - 1, j - 1] + (a != b), cost[i - 1, j] + 1, cost[i, j - 1] + 1)
    pairs, i, j = [], len(truth), len(text)
    while i or j:
        if i and j and cost[i, j] == cost[i - 1, j - 1] + (truth[i - 1] != text[j - 1]):
            i, j = i - 1, j - 1
            pairs.append((truth[i], text[j]))
        elif i and cost[i, j] == cost[i - 1, j] + 1:
            i -= 1
            pairs.append((truth[i], ""))
        else:
            j -= 1
            pairs.append(("", text[j]))
    return pairs[::-1]


def reliability(reads: Iterable[Read]) -> list[tuple[float, float, int]]:
    """Mean confidence, share that is right, and number of readings, by bin of confidence; empty bins are left out."""
    made = [(read.reading.confidence, read.right) for read in reads if read.reading]
    found = []
    for n in range(BINS):
        inside = [(c, right) for c, right in made if min(BINS - 1, int(c * BINS)) == n]
        if inside:
            means = np.mean(np.array(inside, dtype=np.float64), axis=0)
            found.append((float(means[0]), float(means[1]), len(inside)))
    return found


def _share(reads: Sequence[Read]) -> list[str]:
    sure = [read for read in reads if isinstance(read.look, PlateFound)]
    right = sum(read.right for read in reads) / len(reads)
    wrong = sum(not read.right for read in sure) / len(reads)
    return [str(len(reads)), percent(right), percent(len(sure) / len(reads)), percent(wrong)]


def _kind(read: Read) -> str:
    grammar = grammar_of(read.truth)
    return grammar.name if grammar else "no plate by its grammar"


def _by_kind(reads: Sequence[Read]) -> str:
    kinds = [kind for kind, _ in Counter(map(_kind, reads)).most_common()]
    return table(
        ("kind of plate", "images", "right", "sure", "sure and wrong"),
        [[kind, *_share([read for read in reads if _kind(read) == kind])] for kind in kinds],
    )


def _confusions(reads: Iterable[Read]) -> go.Figure:
    """Only characters that were ever misread, or read where they were not."""
    counts = Counter(pair for read in reads if read.text for pair in aligned(read.truth, read.text))
    wrong = [pair for pair in counts if pair[0] != pair[1]]
    rows, columns = sorted({a for a, _ in wrong}), sorted({c for pair in wrong for c in pair})
    z = [[counts[a, b] if a != b else None for b in columns] for a in rows]
    names = [[name or "nothing" for name in axis] for axis in (columns, rows)]
    figure = go.Figure(go.Heatmap(z=z, x=names[0], y=names[1], colorscale="Reds", texttemplate="%{z}"))
    figure.update_layout(title="Characters misread, by how often", template="plotly_white", height=520)
    figure.update_xaxes(title="read as", type="category")
    figure.update_yaxes(title="on the plate", type="category")
    return figure


def _confidences(reads: Sequence[Read]) -> go.Figure:
    figure = go.Figure(layout={"title": "Confidence", "barmode": "overlay", "template": "plotly_white"})
    for name, right in (("right", True), ("wrong", False)):
        values = [read.reading.confidence for read in reads if read.reading and read.right is right]
        figure.add_histogram(x=values, name=name, opacity=0.6, xbins={"start": 0, "end": 1.001, "size": 0.02})
    figure.update_xaxes(title="confidence of a reading")
    figure.update_yaxes(title="images")
    return figure


def _calibrated(sets: Mapping[str, Sequence[Read]]) -> go.Figure:
    figure = go.Figure(layout={"title": "Is a confidence what it says?", "template": "plotly_white", "height": 460})
    figure.add_scatter(x=[0, 1], y=[0, 1], mode="lines", line_dash="dash", name="as it should be")
    for name, reads in sets.items():
        points = reliability(reads)
        labels = [f"{count} readings" for *_, count in points]
        xs, ys = [mean for mean, *_ in points], [share for _, share, _ in points]
        figure.add_scatter(x=xs, y=ys, text=labels, name=name, mode="lines+markers")
    figure.update_xaxes(title="confidence, mean of a tenth", range=[0, 1.02])
    figure.update_yaxes(title="share of readings that are right", range=[0, 1.02])
    return figure


def _worst(reads: Iterable[Read]) -> str:
    """Wrong readings, the most confident first, then images where nothing was read."""
    wrong = [read for read in reads if not read.right]
    wrong.sort(key=lambda read: -read.reading.confidence if read.reading else 1.0)
    return "".join(map(_shown, wrong[:WORST])) or "<p>None.</p>"


def _shown(read: Read) -> str:
    trail, sure = "", ""
    if read.reading:
        trail = "; ".join(f"{one.was or '∅'}→{one.now or '∅'} at {one.at}: {one.why}" for one in read.reading.repairs)
        sure = f", {'sure' if isinstance(read.look, PlateFound) else 'unsure'}, {read.reading.confidence:.2f}"
    words = f"{read.truth} read as {read.text or 'nothing'}{sure}{'. ' + trail if trail else ''}"
    return f"<figure>{picture_of(read.image, PICTURE_PX)}<figcaption>{escape(words)}</figcaption></figure>"


def write(path: Path, reads: Sequence[Read], degraded: Mapping[str, Sequence[Read]], figures: Struct) -> None:
    """The page of clean images and the same `degraded`. Raises OSError."""
    sets = {"clean": reads, **degraded}
    conditions = table(
        ("condition", "images", "right", "sure", "sure and wrong"),
        [[name, *_share(one)] for name, one in sets.items()],
    )
    parts = [
        "<h2>By condition</h2>", conditions, "<h2>By kind of plate</h2>", _by_kind(reads),
        drawn([_confusions(reads), _confidences(reads), _calibrated(sets)]),
        "<h2>Read wrongly</h2>", _worst(reads),
    ]  # fmt: skip
    lead = f"{len(reads)} images. This page shows plates; treat it like them."
    path.write_text(page("Plates", lead, parts, figures), encoding="utf-8")
