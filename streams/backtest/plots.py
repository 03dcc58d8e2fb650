"""Plain SVG, a plot a function: axes from 0, a line or bars for each series, and a title on every mark for who points at it.

Six plots of a handful of shapes need no plotting library: those that draw SVG without a browser are either large or load scripts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

_WIDTH: Final = 560
_HEIGHT: Final = 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 12, 28, 36
_COLOURS: Final = ("#2563eb", "#dc2626", "#059669", "#d97706", "#7c3aed", "#0891b2")
_TICKS: Final = 4

Point = tuple[float, float]


def lines(
    title: str,
    series: Mapping[str, Sequence[Point]],
    x_labels: Mapping[float, str],
    *,
    x_max: float,
    y_max: float,
    diagonal: bool = False,
) -> str:
    """A line through the points of each series; `diagonal`: what chance, or a calibrated probability, would give."""
    shapes = [_line([(0.0, 0.0), (x_max, y_max)], x_max, y_max, "#9ca3af", dashed=True)] if diagonal else []
    for colour, (name, points) in zip(_COLOURS, series.items(), strict=False):
        shapes.append(_line(points, x_max, y_max, colour))
        shapes += [
            f'<circle cx="{_x(x, x_max):.1f}" cy="{_y(y, y_max):.1f}" r="2.5" fill="{colour}">'
            f"<title>{escape(name)}: {y:.4g}</title></circle>"
            for x, y in points
        ]
    return _framed(title, list(series), x_labels, x_max, y_max, shapes)


def bars(title: str, series: Mapping[str, Sequence[float]], labels: Sequence[str]) -> str:
    """For each label a bar of each series, side by side."""
    highest = max((value for values in series.values() for value in values), default=0.0) or 1.0
    count = max(1, len(labels))
    width = 0.8 / max(1, len(series))
    shapes = []
    for number, (colour, (name, values)) in enumerate(zip(_COLOURS, series.items(), strict=False)):
        for place, value in enumerate(values):
            left = _x(place + 0.1 + number * width, count)
            top = _y(value, highest)
            shapes.append(
                f'<rect x="{left:.1f}" y="{top:.1f}" width="{_x(width, count) - _LEFT:.1f}" '
                f'height="{_y(0, highest) - top:.1f}" fill="{colour}">'
                f"<title>{escape(labels[place])}, {escape(name)}: {value:.4g}</title></rect>"
            )
    every = -(-count // 12)
    x_labels = {place + 0.5: label for place, label in enumerate(labels) if place % every == 0}
    return _framed(title, list(series), x_labels, count, highest, shapes)


def _x(value: float, highest: float) -> float:
    return _LEFT + (_WIDTH - _LEFT - _RIGHT) * value / highest


def _y(value: float, highest: float) -> float:
    return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * value / highest


def _line(points: Sequence[Point], x_max: float, y_max: float, colour: str, *, dashed: bool = False) -> str:
    path = " ".join(f"{_x(x, x_max):.1f},{_y(y, y_max):.1f}" for x, y in points)
    dashes = ' stroke-dasharray="4"' if dashed else ""
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"{dashes}/>'


def _text(x: float, y: float, text: str, anchor: str, colour: str = "#374151") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>'


def _framed(
    title: str,
    names: Sequence[str],
    x_labels: Mapping[float, str],
    x_max: float,
    y_max: float,
    shapes: Sequence[str],
) -> str:
    frame = [_text(_LEFT, 16, title, "start", "#111827")]
    for tick in range(_TICKS + 1):
        value = y_max * tick / _TICKS
        y = _y(value, y_max)
        frame.append(
            f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#e5e7eb"/>'
        )
        frame.append(_text(_LEFT - 6, y + 4, f"{value:.3g}", "end"))
    frame += [_text(_x(at, x_max), _HEIGHT - _BOTTOM + 16, label, "middle") for at, label in x_labels.items()]
    legend = [
        _text(_LEFT + 130 * number, _HEIGHT - 4, f"■ {name}", "start", colour)
        for number, (colour, name) in enumerate(zip(_COLOURS, names, strict=False))
    ]
    content = "".join([*frame, *shapes, *legend])
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}" '
        f'font-family="sans-serif" font-size="11">{content}</svg>'
    )
