"""The quarterly report for people: a page with plots, made to be printed, and a table for a spreadsheet."""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Iterator
from typing import Any

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from gateway.report import PERCENTILES, STEPS

PLOT_PX = 660
"""As wide as A4 leaves room for (182 mm are 688 px): a wider plot would have a browser print the whole page smaller."""
_STEP_NAMES = {
    "acknowledged": "确认 acknowledged",
    "claimed": "认领 claimed",
    "on_site": "到场 on site",
    "resolved": "解决 resolved",
}
_SHARES = {
    "alerts_per_device": "每台设备告警 alerts per device",
    "unowned_minutes_per_device": "每台设备无人认领分钟 unowned minutes per device",
    "closed": "办结率 closed",
    "reopened": "重开率 reopened",
    "false_alarms": "误报率 false alarms",
}
_STYLE = """
body{font:15px/1.5 "Noto Sans CJK SC","PingFang SC","Microsoft YaHei",sans-serif;color:#1c2733}
body{margin:2rem auto;max-width:60rem}table{border-collapse:collapse;width:100%;margin:.5rem 0 1.5rem}
th,td{border-bottom:1px solid #cfd8e0;padding:.3rem .5rem;text-align:right}
th:first-child,td:first-child{text-align:left}section{break-inside:avoid-page}
@page{size:A4;margin:14mm}@media print{body{margin:0;max-width:none;font-size:11px}section{break-before:page}
section:first-of-type{break-before:avoid}.plot{break-inside:avoid}.modebar{display:none}}
"""


def as_csv(found: dict[str, Any]) -> str:
    """One line for each company and tag ("all": every tag together), and each figure with its parts. It begins with a
    byte order mark, without which a spreadsheet takes Chinese names for something else.
    """
    out = io.StringIO("\ufeff")
    out.seek(0, io.SEEK_END)
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(["quarter", "company", "six_zero", "figure", "value", "count", "of"])
    for company in found["companies"]:
        who = [found["quarter"], _cell(company["company"])]
        writer.writerow([*who, "all", "devices", company["devices"], "", ""])
        writer.writerow([*who, "all", "availability", *_parts(company["availability"])])
        writer.writerows([*who, "all", _cell(act), count, "", ""] for act, count in sorted(company["acts"].items()))
        for tag, figures in [("all", company["all"]), *sorted(company["six_zero"].items())]:
            writer.writerows([*who, _cell(tag), *line] for line in _lines(figures))
    return out.getvalue()


def _cell(text: str) -> str:
    """A text as a spreadsheet may have it: never a formula, of half or full width."""
    return "'" + text if text.lstrip()[:1] in tuple("=+-@＝＋－＠") or text[:1].isspace() else text


def _lines(figures: dict[str, Any]) -> Iterator[list[Any]]:
    yield ["alerts", figures["alerts"], "", ""]
    yield ["unowned_minutes", figures["unowned_minutes"], "", ""]
    for step in STEPS:
        times = figures["response"][step]
        yield from ([f"{step}_p{p}_ms", times[f"p{p}_ms"], "", times["of"]] for p in PERCENTILES)
    for name in _SHARES:
        yield [name, *_parts(figures[name])]


def _parts(share: dict[str, Any]) -> list[Any]:
    return [share["share"], share["count"], share["of"]]


def as_page(found: dict[str, Any]) -> str:
    """The whole report as one HTML file that needs nothing from elsewhere."""
    title = html.escape(f"物业季度报告 Quarterly report {found['quarter']}")
    sections = "".join(_section(company) for company in found["companies"])
    return (
        f'<!doctype html><html lang="zh-CN"><head><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
        f"<script>{get_plotlyjs()}</script></head><body><h1>{title}</h1>"
        f"<p>{html.escape(found['from'])} – {html.escape(found['until'])} · {html.escape(found['zone'])}</p>"
        f"{sections}</body></html>\n"
    )


def _section(company: dict[str, Any]) -> str:
    figures = [("全部 all", company["all"]), *sorted(company["six_zero"].items())]
    heads = "".join(f"<th>{html.escape(tag)}</th>" for tag, _ in figures)
    lines = _row("告警 alerts", [str(f["alerts"]) for _, f in figures])
    lines += _row("无人认领分钟 unowned minutes", [str(f["unowned_minutes"]) for _, f in figures])
    for step in STEPS:
        times = [f["response"][step] for _, f in figures]
        lines += _row(
            f"{_STEP_NAMES[step]} p50 / p90 / p99",
            [f"{' / '.join(_seconds(t[f'p{p}_ms']) for p in PERCENTILES)} ({t['of']})" for t in times],
        )
    for name, label in _SHARES.items():
        lines += _row(label, [_shown(f[name]) for _, f in figures])
    return (
        f"<section><h2>{html.escape(company['company'])}</h2><p>设备 devices: {company['devices']} · "
        f"在线率 availability: {_shown(company['availability'])} s</p>"
        f"<table><tr><th></th>{heads}</tr>{lines}</table>{_plot(figures)}</section>"
    )


def _row(label: str, cells: list[str]) -> str:
    return f"<tr><td>{html.escape(label)}</td>{''.join(f'<td>{html.escape(cell)}</td>' for cell in cells)}</tr>"


def _seconds(ms: int | None) -> str:
    return "–" if ms is None else f"{ms / 1000:.1f} s"


def _shown(share: dict[str, Any]) -> str:
    return f"{share['share'] or '–'} ({share['count']}/{share['of']})"


def _plot(figures: list[tuple[str, dict[str, Any]]]) -> str:
    """How long it took until each step, by percentile, over all tags."""
    response = figures[0][1]["response"]
    steps = [_STEP_NAMES[step] for step in STEPS]
    bars = [
        go.Bar(
            name=f"p{p}", x=steps, y=[None if (ms := response[s][f"p{p}_ms"]) is None else ms / 60000 for s in STEPS]
        )
        for p in PERCENTILES
    ]
    plot = go.Figure(
        bars, go.Layout(barmode="group", width=PLOT_PX, height=320, margin={"t": 20}, yaxis={"title": "min"})
    )
    drawn: str = plot.to_html(full_html=False, include_plotlyjs=False, config={"displayModeBar": False})
    return f'<div class="plot">{drawn}</div>'
