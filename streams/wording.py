"""Text for people: an alert in one line, and columns."""

from __future__ import annotations

from collections.abc import Sequence

from models.alerts import Alert


def one_line(alert: Alert) -> str:
    """An alert for the eye: when, how bad, what happened, to whom, why."""
    from streams.outputs import rfc3339  # it knows all that is put out, and would slow down `--help`

    when = rfc3339(alert.event_time_ms)[:16].replace("T", " ") + "Z"
    what = alert.status if alert.resolution is None else f"{alert.status} ({alert.resolution})"
    why = alert.reasons[0].text.en if alert.reasons else ""
    return f"{when}  {alert.severity:<8}  {what:<10}  {alert.signal:<26}  {alert.borrower_id}  {why}"


def columns(header: Sequence[str], rows: Sequence[Sequence[object]], *, words: int | None = None) -> str:
    """A table as text: words to the left, numbers to the right, a dash for what is not known.

    Args:
        header: what stands above the columns.
        rows: what stands in them.
        words: how many columns hold words, where the figures in the others are text already; else it is seen from the values.
    """
    cells = [list(header), *([_cell(value) for value in row] for row in rows)]
    widths = [max(len(row[index]) for row in cells) for index in range(len(header))]
    right = [
        bool(rows) and all(value is None or isinstance(value, int | float) for value in column)
        for column in zip(*rows, strict=True)
    ] or [False] * len(header)
    if words is not None:
        right = [index >= words for index in range(len(header))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in cells
    )


def _cell(value: object) -> str:
    match value:
        case None:
            return "-"
        case float():
            return f"{value:,.1f}"
        case int():
            return f"{value:,}"
        case _:
            return str(value)
