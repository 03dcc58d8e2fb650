"""A group of sources in memory: who is a member, and which tasks each holds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from streams.assignment import Claim, assign_tasks
from streams.ports import Assignment


class Member(Protocol):
    """A source, as its group sees it."""

    member_id: str
    """Given by the group; another one with every joining."""
    claimed: frozenset[int]
    epoch: int

    async def revoke(self) -> None:
        """Hand over: tasks may move."""
        ...

    def assign(self, assignment: Assignment) -> None:
        """Hold these tasks from now on."""
        ...


class MemoryGroup:
    """The members of one group. Every change of membership shares the tasks out anew, all members stopping first.

    As with Kafka this goes on beside whoever caused it, and waits for members that do not react until they are expelled.
    """

    def __init__(self, partition_count: Callable[[], int]) -> None:
        """`partition_count` tells how many tasks there are."""
        self._partition_count = partition_count
        self._members: dict[str, Member] = {}
        self._gone: dict[str, asyncio.Future[None]] = {}
        self._joined = 0
        self._stale = False
        self._sharing: asyncio.Task[None] | None = None
        self.generation = 0

    def join(self, member: Member) -> None:
        """Take a member in; its assignment comes later."""
        self._joined += 1
        member.member_id = f"member-{self._joined:04d}"
        self._members[member.member_id] = member
        self._gone[member.member_id] = asyncio.get_running_loop().create_future()
        self._share_out_anew()

    def leave(self, member: Member) -> None:
        """Let a member go."""
        if self._members.pop(member.member_id, None) is not None:
            self._gone.pop(member.member_id).set_result(None)
            self._share_out_anew()

    def expel(self, member: Member) -> None:
        """What happens to a member that stalls beyond its session: the others go on, and it does not know."""
        self.leave(member)

    def holds(self, member: Member) -> bool:
        """Whether somebody is a member."""
        return member.member_id in self._members

    def _share_out_anew(self) -> None:
        self._stale = True
        if self._sharing is None or self._sharing.done():
            self._sharing = asyncio.create_task(self._share_out(), name="sharing out of tasks")
            # Nobody waits for it: what goes wrong is told to the loop at once.
            self._sharing.add_done_callback(_raise_failure)

    async def _share_out(self) -> None:
        while self._stale:
            self._stale = False
            stopping = [
                asyncio.create_task(_stopped(member, self._gone[member_id]))
                for member_id, member in self._members.items()
            ]
            if stopping:
                await asyncio.gather(*stopping)
        self.generation += 1
        claims = {
            member_id: Claim(member.claimed, member.epoch) for member_id, member in self._members.items()
        }
        if claims:
            for member_id, tasks in assign_tasks(self._partition_count(), claims).items():
                self._members[member_id].assign(Assignment(self.generation, tasks))


async def _stopped(member: Member, gone: asyncio.Future[None]) -> None:
    """Wait until a member has handed over, or is gone."""
    revoking = asyncio.create_task(member.revoke())
    await asyncio.wait({revoking, gone}, return_when=asyncio.FIRST_COMPLETED)
    revoking.cancel()
    await asyncio.gather(revoking, return_exceptions=True)


def _raise_failure(sharing: asyncio.Task[None]) -> None:
    if not sharing.cancelled():
        sharing.result()
