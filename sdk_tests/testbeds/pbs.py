"""PBS: the real one where OpenPBS is installed and may be run, the emulated one elsewhere."""

from __future__ import annotations

from pathlib import Path

from sdk_tests.testbeds.base import Daemon, Testbed, TestbedKind
from sdk_tests.testbeds.emulated import PbsTestbed as EmulatedPbs
from sdk_tests.testbeds.openpbs import OpenPbsTestbed


class PbsTestbed(TestbedKind):
    """Brings up whichever can be had; a testbed's own record says which it is."""

    kind = "pbs"

    def absent(self) -> str | None:
        return EmulatedPbs().absent() if OpenPbsTestbed().absent() else None

    def up(self, folder: Path, nodes: int, cores: int, owner: Daemon | None) -> Testbed:
        chosen = self._which(emulated=OpenPbsTestbed().absent() is not None)
        return chosen.up(folder, nodes, cores, owner)

    def down(self, testbed: Testbed) -> None:
        self._which(emulated=testbed.scheduler.emulated).down(testbed)

    def _which(self, *, emulated: bool) -> TestbedKind:
        chosen: TestbedKind = EmulatedPbs() if emulated else OpenPbsTestbed()
        chosen.like = self.like
        return chosen


class EmulatedPbsTestbed(PbsTestbed):
    """The emulated one also where the real one could be had."""

    def absent(self) -> str | None:
        return EmulatedPbs().absent()

    def up(self, folder: Path, nodes: int, cores: int, owner: Daemon | None) -> Testbed:
        return self._which(emulated=True).up(folder, nodes, cores, owner)
