"""Who gets which task: whole tasks, evenly, and as they were before wherever that is fair."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct


class Claim(Struct, frozen=True):
    """What a worker says it holds when it joins: its tasks, as of the assignment numbered `epoch`."""

    tasks: frozenset[int] = frozenset()
    epoch: int = 0


def assign_tasks(partition_count: int, claims: Mapping[str, Claim]) -> dict[str, frozenset[int]]:
    """Share out the tasks `0 .. partition_count - 1`.

    Every task goes to one worker; loads differ by at most one; as few tasks move as that allows.

    Args:
        partition_count: tasks to share.
        claims: by worker, what it held. Of two claims on one task the later assignment's holds: the other worker was
            away when it was given on.
    """
    held = _undisputed(partition_count, claims)
    base, larger = divmod(partition_count, len(claims))
    # Those who hold most may keep one more: that moves least.
    workers = sorted(claims, key=lambda worker: (-len(held[worker]), worker))
    shares = {worker: base + (place < larger) for place, worker in enumerate(workers)}
    kept = {worker: set(sorted(held[worker])[: shares[worker]]) for worker in workers}
    free = iter(sorted(set(range(partition_count)).difference(*kept.values())))
    for worker in workers:
        while len(kept[worker]) < shares[worker]:
            kept[worker].add(next(free))
    return {worker: frozenset(tasks) for worker, tasks in kept.items()}


def _undisputed(partition_count: int, claims: Mapping[str, Claim]) -> dict[str, set[int]]:
    holders: dict[int, tuple[int, str]] = {}
    for worker, claim in sorted(claims.items()):
        for task in claim.tasks:
            if task < partition_count and (task not in holders or holders[task][0] < claim.epoch):
                holders[task] = (claim.epoch, worker)
    held: dict[str, set[int]] = {worker: set() for worker in claims}
    for task, (_, worker) in holders.items():
        held[worker].add(task)
    return held
