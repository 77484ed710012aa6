"""Private, throw-away schedulers on this machine: real if their software is installed, otherwise emulated.

A testbed has the folder ``$EXAWORKS_HOME/testbeds/<id>/``; its ``testbed.json`` contains everything that is needed to
use it, stop it, or clean it up after a crash. A new kind is one new file and one line under the entry point group
``exaworks.testbeds``. This package may import ``sdk_tests.schedulers``, ``sdk_tests.emulators`` and ``site_configs``.
"""

from __future__ import annotations

from sdk_tests.testbeds.base import VARIABLE, Daemon, Testbed, TestbedKind

__all__ = ["VARIABLE", "Daemon", "Testbed", "TestbedKind"]
