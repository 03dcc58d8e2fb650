"""Run seeds by hand: `python -m tests.simulation --seed 1234 --trace`, `python -m tests.simulation --seeds 1000-1999`."""

from __future__ import annotations

import argparse
import sys
from collections import Counter

from tests.simulation.simulation import Result, simulate


def main() -> int:
    """Run what the command line asks for; return 1 if a seed failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--seed", type=int, help="run one seed")
    which.add_argument("--seeds", help="run many: FIRST-LAST")
    parser.add_argument("--trace", action="store_true", help="print the schedule and what happened when")
    options = parser.parse_args()
    first, _, last = (options.seeds or str(options.seed)).partition("-")
    results = [run(seed, trace=options.trace) for seed in range(int(first), int(last or first) + 1)]
    print(table(results))
    return int(any(result.failures for result in results))


def run(seed: int, *, trace: bool) -> Result:
    """Run one seed and say how it went."""
    result = simulate(seed)
    if trace:
        print(schedule(result))
        print("\n".join(result.trace))
    if result.failures:
        print(f"seed {seed} FAILED: python -m tests.simulation --seed {seed} --trace")
        print("\n".join(f"    {failure[:2_000]}" for failure in result.failures))
    return result


def schedule(result: Result) -> str:
    """What the seed drew."""
    plan = result.plan
    drawn = [
        f"seed {plan.seed}: clock {plan.clock}, {plan.workers} workers, {plan.partitions} partitions",
        f"{result.events} records, latency {plan.latency_ms} ms, fetches {plan.fetches}",
        f"settings {plan.settings}",
    ]
    at_steps = [
        f"    {one.kind} at {one.step} number {one.occurrence}, {one.for_ms} ms" for one in plan.at_steps
    ]
    at_times = [
        f"    {one.kind} at {one.at_ms} ms, worker {one.worker}, {one.for_ms} ms"
        for one in sorted(plan.at_times, key=lambda one: one.at_ms)
    ]
    policies = [
        f"    {one.policy} published at {one.at_ms} ms, from day {one.from_day}"
        for one in result.plan.publishings
    ]
    return "\n".join([*drawn, *at_steps, *at_times, *policies])


def table(results: list[Result]) -> str:
    """By kind of trouble, and by step where it strikes at one: in how many seeds, and how often."""
    lines = [f"{'trouble':<32}{'seeds':>8}{'times':>8}"]
    lines += _rows([result.fired for result in results])
    lines += ["", *_rows([result.fired_at_steps for result in results])]
    failed = sum(bool(result.failures) for result in results)
    lines.append(
        f"{len(results)} seeds, {sum(result.events for result in results)} records, "
        f"{sum(result.alerts for result in results)} alerts, "
        f"{sum(result.examples for result in results)} examples: {failed} failed"
    )
    return "\n".join(lines)


def _rows(counted: list[dict[str, int]]) -> list[str]:
    seeds: Counter[str] = Counter()
    times: Counter[str] = Counter()
    for counts in counted:
        seeds.update(counts.keys())
        times.update(counts)
    return [f"{kind:<32}{seeds[kind]:>8}{times[kind]:>8}" for kind in sorted(times)]


if __name__ == "__main__":
    sys.exit(main())
