"""Private, throw-away schedulers on this machine, real where their software is installed.

A testbed lives in ``$EXAWORKS_HOME/testbeds/<id>/``; ``testbed.json`` there is all that is needed to use it, stop it, or
clean it up after a crash. Adding a kind is one new file and one line under the entry point group
``exaworks.testbeds``. This room may import ``sdk_tests.schedulers``, ``sdk_tests.emulators`` and ``site_configs``.
"""

from __future__ import annotations

from sdk_tests.testbeds.base import VARIABLE, Daemon, Testbed, TestbedKind

__all__ = ["VARIABLE", "Daemon", "Testbed", "TestbedKind"]
