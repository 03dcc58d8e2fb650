"""Whether the world has changed under the model: River's ADWIN on what it got wrong.

Two things are watched, for each shows what the other hides. The **residual** (outcome less probability) is zero on average
while the model is calibrated, whatever the bad rate: it drifts where more, or fewer, go bad than foretold. The **log-loss**
drifts where the order of borrowers no longer holds, though as many go bad as foretold. ADWIN keeps a window of them that it
cuts where its two parts differ by more than chance (Bifet and Gavaldà, Learning from time-changing data with adaptive
windowing, SIAM 2007).
"""

from __future__ import annotations

from importlib.metadata import version
from math import log
from typing import Any, Final, Literal

from msgspec import Struct

from models.sealed import SealedState

Watched = Literal["residual", "log_loss"]
WATCHED: Final[tuple[Watched, ...]] = ("residual", "log_loss")
DELTA: Final = 0.002
"""Chance at which ADWIN takes noise for a change; its authors' and River's value."""
RIVER_VERSION: Final = version("river")
_LOSS_MAX: Final = 4.0
"""A log-loss beyond (a probability of 2 % missed) counts as this: ADWIN's bound holds for bounded numbers."""


class Drift(Struct, frozen=True):
    """The world changed: what was watched, its mean before, and that of what ADWIN kept when it cut."""

    watched: Watched
    before: float
    since: float

    @property
    def is_worse(self) -> bool:
        """Whether the probabilities serve less well than before: a loss that rises, a residual that leaves zero."""
        if self.watched == "residual":
            return abs(self.since) > abs(self.before)
        return self.since > self.before


class _Window(Struct, array_like=True):
    """One ADWIN as bytes of River's own."""

    content: bytes
    detections: int


class _State(Struct, array_like=True):
    river_version: str
    windows: list[_Window]


class UnusableWatchError(Exception):
    """The bytes hold no state that a watch could go on from; the message says why."""


_SEALED: Final = SealedState(_State, UnusableWatchError, "state of the watch for drift")


class DriftWatch:
    """Looks at each example's probability before it is learnt from."""

    def __init__(self) -> None:
        """Begin with empty windows."""
        self._windows = [_new_window() for _ in WATCHED]
        self._detections = [0] * len(WATCHED)

    @property
    def detections(self) -> dict[Watched, int]:
        """Drifts found so far."""
        return dict(zip(WATCHED, self._detections, strict=True))

    def add(self, probability: float, *, is_bad: bool) -> list[Drift]:
        """Take one example; return what has drifted with it, usually nothing."""
        likelihood = probability if is_bad else 1 - probability
        loss = _LOSS_MAX if likelihood <= 0 else min(-log(likelihood), _LOSS_MAX)
        drifts: list[Drift] = []
        for place, value in enumerate(((is_bad - probability + 1) / 2, loss / _LOSS_MAX)):
            window = self._windows[place]
            before = window.estimation
            window.update(value)
            if window.drift_detected:
                self._detections[place] += 1
                drifts.append(_drift(WATCHED[place], before, window.estimation))
                self._windows[place] = _new_window()  # as River's own would with the next number
        return drifts

    def to_bytes(self) -> bytes:
        """The whole state: `from_bytes` of the same River goes on from it as if nothing had happened."""
        windows = [
            _Window(_content(window), count)
            for window, count in zip(self._windows, self._detections, strict=True)
        ]
        return _SEALED.to_bytes(_State(RIVER_VERSION, windows))

    @staticmethod
    def from_bytes(record: bytes) -> DriftWatch:
        """The watch whose state `to_bytes` gave; with another River its windows begin anew, and the counts go on.

        Raises:
            UnusableWatchError: damaged, or of a version that is not known.
        """
        state = _SEALED.from_bytes(record)
        watch = DriftWatch()
        watch._detections = [window.detections for window in state.windows]
        if state.river_version == RIVER_VERSION:
            watch._windows = [_window(window.content) for window in state.windows]
        return watch


def _drift(watched: Watched, before: float, since: float) -> Drift:
    """In the watched number's own unit: ADWIN sees both within 0 and 1."""
    if watched == "residual":
        return Drift(watched, 2 * before - 1, 2 * since - 1)
    return Drift(watched, before * _LOSS_MAX, since * _LOSS_MAX)


def _new_window() -> Any:
    """An ADWIN; River declares no types for it, and takes a second and 80 MB to import: only of those who learn."""
    from river.drift import ADWIN

    adwin: Any = ADWIN
    return adwin(delta=DELTA)


def _content(window: Any) -> bytes:
    """ADWIN's state is a struct of River's compiled part, which hands it out as bytes."""
    content: bytes = window._helper.__getstate__()  # noqa: SLF001 - there is no other way to it, short of pickle
    return content


def _window(content: bytes) -> Any:
    window = _new_window()
    window._helper.__setstate__(content)  # noqa: SLF001 - as above
    return window
