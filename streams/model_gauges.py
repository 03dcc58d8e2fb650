"""How good the model is, as gauges of the worker that learns; of no other, or the figures of an earlier trainer would stay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from models.risk.challengers import Compared
from models.risk.published import CardStep, Judged
from streams.metrics import ChangingGauge, Metrics
from streams.metrics_catalogue import GaugeName

_ALL: Final = ""
"""Stands for all segments among the labels."""
_CARD: Final[tuple[GaugeName, ...]] = (
    "model_examples",
    "model_bad_rate",
    "model_auc",
    "model_ks",
    "model_log_loss",
    "model_calibration_error",
)
_CHALLENGERS: Final[tuple[GaugeName, ...]] = (
    "challenger_auc",
    "challenger_ks",
    "challenger_log_loss",
    "challenger_calibration_error",
)


class ModelGauges:
    """The figures of the last step."""

    def __init__(self, metrics: Metrics) -> None:
        """Nothing is shown yet."""
        self._metrics = metrics
        self._card = [ChangingGauge(metrics, name) for name in _CARD]
        self._challengers = [ChangingGauge(metrics, name) for name in _CHALLENGERS]

    def show_card(self, step: CardStep) -> None:
        """Of the learner's probabilities, each before its example was learnt from, by segment."""
        _show(self._card, {_ALL: step.figures} | step.by_segment)

    def show_challengers(self, compared: Compared) -> None:
        """Of challengers and cards on the sample."""
        self._metrics.set("challenger_judged", compared.judged)
        _show(self._challengers, compared.models)

    def forget(self) -> None:
        """Another worker learns from now on."""
        _show([*self._card, *self._challengers], {})
        self._metrics.set("challenger_judged", 0)


def _show(gauges: Sequence[ChangingGauge], figures_by_label: Mapping[str, Judged]) -> None:
    for gauge in gauges:
        field = gauge.name.partition("_")[2]
        values = {(label,): getattr(figures, field) for label, figures in figures_by_label.items()}
        gauge.show({labels: value for labels, value in values.items() if value is not None})
