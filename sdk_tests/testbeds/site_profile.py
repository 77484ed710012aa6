"""What a testbed takes from the site file of a system that it resembles: node shape, queues, limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from site_configs.schema import SchedulerSpec, System, seconds

RESOURCES = ("filesystems", "system", "singularity_fakeroot", "daos", "software")
"""Resources that users of ALCF request in addition to the ones of PBS itself; every PBS testbed knows them."""


def prompt(spec: SchedulerSpec, **changes: Any) -> SchedulerSpec:
    """Return the entry of a testbed's scheduler: it is asked often, since its jobs and files are on this machine."""
    return msgspec.structs.replace(spec, status_interval=0.2, job_unknown_limit=8.0, result_grace=2.0, **changes)


@dataclass(frozen=True)
class SiteProfile:
    """A system, and the one of its schedulers that the testbed represents."""

    system: System
    spec: SchedulerSpec

    def nodes(self, count: int) -> list[str]:
        """Return node names as on the site: ``extras.node_names`` with a number for ``{n}``, or system and number."""
        pattern = str(self.system.extras.get("node_names", self.system.name + "{n}"))
        return [pattern.replace("{n}", str(number)) for number in range(1, count + 1)]

    @property
    def cores(self) -> int | None:
        """Cores of a node as its scheduler counts them; all cores if jobs themselves request core specialization."""
        node = self.system.node
        specialized = any(line.startswith(("-S", "--core-spec")) for line in self.spec.directives)
        return node.cores if specialized else node.usable_cores or node.cores

    def scheduler(self, *, emulated: bool) -> SchedulerSpec:
        """Return the scheduler entry of the site with a short status interval and without its reservation."""
        return prompt(self.spec, emulated=emulated, reservation=None)


def queues(spec: SchedulerSpec) -> list[dict[str, Any]]:
    """Return the queues of a site file as the configuration of an emulator has them, with walltimes in seconds."""
    return [
        {
            "name": queue.name,
            "min_nodes": queue.min_nodes,
            "max_nodes": queue.max_nodes,
            "min_walltime": seconds(queue.min_walltime) if queue.min_walltime else None,
            "max_walltime": seconds(queue.max_walltime) if queue.max_walltime else None,
            "steps": [[step.nodes, seconds(step.max_walltime)] for step in queue.steps],
            "max_running": queue.max_running,
            "max_queued": queue.max_queued,
        }
        for queue in spec.queues
    ]
