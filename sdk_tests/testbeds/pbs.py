"""PBS testbeds: a real OpenPBS if it is installed and can be run, otherwise the emulator."""

from __future__ import annotations

from pathlib import Path

from sdk_tests.testbeds.base import Daemon, Testbed, TestbedKind
from sdk_tests.testbeds.emulated import PbsTestbed as EmulatedPbs
from sdk_tests.testbeds.openpbs import OpenPbsTestbed


class PbsTestbed(TestbedKind):
    """Starts the real PBS if possible, otherwise the emulator; the record of the testbed states which one."""

    kind = "pbs"

    def absent(self) -> str | None:
        return EmulatedPbs().absent() if OpenPbsTestbed().absent() else None

    def up(self, folder: Path, nodes: int, cores: int, owner: Daemon | None) -> Testbed:
        chosen = self._kind(emulated=OpenPbsTestbed().absent() is not None)
        return chosen.up(folder, nodes, cores, owner)

    def down(self, testbed: Testbed) -> None:
        self._kind(emulated=testbed.scheduler.emulated).down(testbed)

    def _kind(self, *, emulated: bool) -> TestbedKind:
        chosen: TestbedKind = EmulatedPbs() if emulated else OpenPbsTestbed()
        chosen.profile = self.profile
        return chosen


class EmulatedPbsTestbed(PbsTestbed):
    """Starts the emulator even if the real PBS is available."""

    def absent(self) -> str | None:
        return EmulatedPbs().absent()

    def up(self, folder: Path, nodes: int, cores: int, owner: Daemon | None) -> Testbed:
        return self._kind(emulated=True).up(folder, nodes, cores, owner)
