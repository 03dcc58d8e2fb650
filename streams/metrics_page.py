"""The page `deploy/METRICS.md`, made of the catalogue: `python -m streams.metrics_page > deploy/METRICS.md`."""

from __future__ import annotations

from streams.metrics_catalogue import LABELS, Described, Kind, MetricName, shown_name, whole

_HEAD = """\
# Metrics · 指标

Made of `streams/metrics_catalogue.py` by `python -m streams.metrics_page`; do not edit.
本页由目录生成，请勿手工修改。

Each worker shows these at `/metrics`; a figure of the whole installation is the sum over its workers.
每个工作进程在 `/metrics` 给出下列指标；整个系统的数值为各进程之和。

Beside them stand the `process_...` metrics that every Prometheus client has: memory, CPU, open files.
此外还有各 Prometheus 客户端通用的 `process_...` 指标：内存、CPU、打开的文件。

| name | kind | unit | labels | meaning | 含义 |
|---|---|---|---|---|---|"""
_LABELS_HEAD = """\

## Labels · 标签

No label names a borrower, a loan or an account, and none is free text. In one process each has at most so many values:
标签不含借款人、贷款或账户，也不含自由文本。单个进程内各标签取值数量上限如下：

| label | at most | what bounds it |
|---|--:|---|"""


def catalogue_page() -> str:
    """The page as it must stand in `deploy/METRICS.md`."""
    lines = [_HEAD]
    lines += [_row(name, kind, described) for name, kind, described in whole()]
    lines.append(_LABELS_HEAD)
    lines += [f"| `{label}` | {bound.values_max:,} | {bound.why} |" for label, bound in LABELS.items()]
    return "\n".join(lines) + "\n"


def _row(name: MetricName, kind: Kind, described: Described) -> str:
    labels = ", ".join(f"`{label}`" for label in described.labels)
    return f"| `{shown_name(name)}` | {kind} | {described.unit} | {labels} | {described.meaning} | {described.meaning_zh} |"


if __name__ == "__main__":
    print(catalogue_page(), end="")
