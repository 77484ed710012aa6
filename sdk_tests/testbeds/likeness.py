"""What a testbed that is to look like a system takes from its site file: node shape, queues, limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from site_configs.schema import SchedulerSpec, System, seconds

RESOURCES = ("filesystems", "system", "singularity_fakeroot", "daos", "software")
"""Names ALCF's users ask PBS for beside its own, known to every PBS testbed."""


@dataclass(frozen=True)
class Likeness:
    """The system, and the one of its schedulers that the testbed stands for."""

    system: System
    spec: SchedulerSpec

    def nodes(self, count: int) -> list[str]:
        """Return names such as the site has: ``extras.node_names``, with a number for ``{n}``, or system and number."""
        pattern = str(self.system.extras.get("node_names", self.system.name + "{n}"))
        return [pattern.replace("{n}", str(number)) for number in range(1, count + 1)]

    @property
    def cores(self) -> int | None:
        """Cores of a node as its scheduler counts them: all where jobs ask for core specialisation by themselves."""
        node = self.system.node
        asks = any(line.startswith(("-S", "--core-spec")) for line in self.spec.directives)
        return node.cores if asks else node.usable_cores or node.cores

    def scheduler(self, *, emulated: bool) -> SchedulerSpec:
        """Return the site's own entry, asked as often as a testbed may be, without a reservation of the machine's."""
        return msgspec.structs.replace(self.spec, emulated=emulated, status_interval=0.2, reservation=None)


def queues(spec: SchedulerSpec) -> list[dict[str, Any]]:
    """Return a site file's queues with their limits in plain numbers, as an emulator's configuration has them."""
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
