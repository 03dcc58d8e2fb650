"""The network of one simulated process: where its calls are slow or lost, and where it dies or stands still."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any, Final, TypeVar

from streams.ports import PortError
from tests.simulation.plan import AtStep, Plan

T = TypeVar("T")
_BACK_AGAIN_MS: Final = 5
"""How soon after its return the broker is asked again."""


class Trace:
    """What happened, at which virtual instant; and how often which trouble struck."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.fired: Counter[str] = Counter()
        self.fired_at_steps: Counter[str] = Counter()
        """By kind and step."""

    def note(self, said: str) -> None:
        self.lines.append(f"{asyncio.get_running_loop().time() * 1000:9.1f} ms  {said}")

    def fire(self, kind: str, said: str) -> None:
        self.fired[kind] += 1
        self.note(f"*** {kind}: {said}")


class Weather:
    """What all processes have in common: the broker's being there, and the trouble at steps, counted over all of them."""

    def __init__(self, plan: Plan, trace: Trace) -> None:
        self.trace = trace
        self.healed = False
        self.away_until_ms = 0.0
        self.steps: Counter[str] = Counter()
        self._plan = plan
        self._dice = Random(f"weather {plan.seed}")
        self._due: dict[tuple[str, int], AtStep] = {(one.step, one.occurrence): one for one in plan.at_steps}

    def heal(self) -> None:
        """From now on nothing goes wrong."""
        self.healed = True
        self._due.clear()
        self.away_until_ms = 0

    def go_away(self, for_ms: int) -> None:
        """Let nobody reach the broker for a while."""
        self.away_until_ms = _now_ms() + for_ms

    def meet(self, step: str) -> AtStep | None:
        """Count a step; return the trouble that waits there."""
        self.steps[step] += 1
        return self._due.pop((step, self.steps[step]), None)

    def latency_ms(self) -> int:
        return self._dice.randint(*self._plan.latency_ms)

    def fetch_records(self) -> int:
        if self.is_away:
            return 0
        return 2_000 if self.healed else self._dice.choice(self._plan.fetches)

    def pick_ms(self, most_ms: int) -> int:
        return self._dice.randrange(most_ms)

    @property
    def is_away(self) -> bool:
        return self.back_in_ms > 0

    @property
    def back_in_ms(self) -> float:
        return self.away_until_ms - _now_ms()


class ProcessNetwork:
    """See `streams.memory.network.Network`. A process that is dead does nothing any more; what it has sent may still arrive."""

    def __init__(self, name: str, weather: Weather) -> None:
        self.name = name
        self.dead = False
        self.on_death: Callable[[], object] = lambda: None
        self.on_freeze: Callable[[int], object] = lambda _: None
        self._weather = weather
        self._thawed = asyncio.Event()
        self._thawed.set()
        self._waiting: dict[asyncio.Future[Any], None] = {}

    # ---- what befalls the process --------------------------------------------------------------------------------

    def kill(self) -> None:
        """Die on the spot: every wait for the world ends, and no further call has any effect."""
        if self.dead:
            return
        self.dead = True
        self._thawed.set()
        for answer in list(self._waiting):
            answer.cancel()
        self.on_death()

    def freeze(self) -> None:
        """Stand still."""
        if not self.dead:
            self._thawed.clear()

    def thaw(self) -> None:
        """Go on as if nothing had been."""
        self._thawed.set()

    @property
    def frozen(self) -> bool:
        return not self._thawed.is_set()

    # ---- the network ---------------------------------------------------------------------------------------------

    async def attention(self) -> None:
        await self._thawed.wait()
        if self.dead:
            await asyncio.get_running_loop().create_future()

    async def step(self, name: str) -> None:
        await self._ready()
        trouble = self._meet(name)
        if trouble is not None and trouble.kind == "slow":
            await asyncio.sleep(trouble.for_ms / 1000)
        else:
            await asyncio.sleep(0)
        await self._ready()
        if trouble is not None and trouble.kind == "crash after":
            self._die()

    async def call(self, step: str, effect: Callable[[], T]) -> T:
        await self._ready()
        trouble = self._meet(step)
        await self._ready()
        kind = None if trouble is None else trouble.kind
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting[answer] = None
        delay_ms = trouble.for_ms if trouble is not None and kind == "slow" else 0
        if kind != "request lost":
            _later(delay_ms + self._weather.latency_ms(), self._arrive, effect, answer, kind)
        try:
            result = await answer
        finally:
            del self._waiting[answer]
        await self._ready()
        if kind == "crash after":
            self._die()
        return result

    def fetch_records_max(self) -> int:
        return 0 if self.dead or self.frozen else self._weather.fetch_records()

    # ---- on the way ----------------------------------------------------------------------------------------------

    def _arrive(self, effect: Callable[[], T], answer: asyncio.Future[T], kind: str | None) -> None:
        """A request is at the broker, whatever has become of its sender meanwhile."""
        if self._weather.is_away:
            _later(self._weather.back_in_ms + _BACK_AGAIN_MS, self._send_again, effect, answer, kind)
            return
        result: T | None = None
        error: Exception | None = None
        if kind == "send refused":
            error = PortError("the broker refuses this batch")
        else:
            try:
                result = effect()
            except Exception as raised:  # noqa: BLE001 - whatever it is, it is the caller's to see
                error = raised
        if kind != "answer lost":
            _later(self._weather.latency_ms(), _answer, answer, result, error)

    def _send_again(self, effect: Callable[[], T], answer: asyncio.Future[T], kind: str | None) -> None:
        """What found no broker is sent anew when one is there, by a client that still wants it."""
        if not answer.done():
            self._arrive(effect, answer, kind)

    def _meet(self, step: str) -> AtStep | None:
        trouble = self._weather.meet(step)
        if trouble is None:
            return None
        self._weather.trace.fired_at_steps[f"{trouble.kind} {step}"] += 1
        self._weather.trace.fire(trouble.kind, f"{self.name} at {step} number {trouble.occurrence}")
        if trouble.kind == "crash before":
            self._die()
        if trouble.kind == "frozen":
            self.on_freeze(trouble.for_ms)
        return trouble

    async def _ready(self) -> None:
        if not self._thawed.is_set():
            await self._thawed.wait()
        if self.dead:
            raise asyncio.CancelledError(f"{self.name} is dead")

    def _die(self) -> None:
        self.kill()
        raise asyncio.CancelledError(f"{self.name} dies")


def _answer(answer: asyncio.Future[T], result: T, error: Exception | None) -> None:
    if answer.done():
        return
    if error is None:
        answer.set_result(result)
    else:
        answer.set_exception(error)


def _later(delay_ms: float, call: Callable[..., None], *arguments: Any) -> None:
    asyncio.get_running_loop().call_later(delay_ms / 1000, call, *arguments)


def _now_ms() -> float:
    return asyncio.get_running_loop().time() * 1000
