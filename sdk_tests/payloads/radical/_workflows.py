"""Shared by the payloads of RADICAL-EnTK: an application manager whose pilot runs workflows one after another."""

import contextlib

from _radical import RESOURCE, allocation, guarded

shared = None
"""The workflows of the fixture in whose process payloads run one after another."""


class Workflows:
    """Runs workflows in one pilot. guard: what monitors the pilot. manager: EnTK's application manager."""

    def __init__(self, guard, manager):
        self.guard, self.manager = guard, manager

    def run(self, pipelines):
        """Run pipelines to their end; the first call starts the pilot."""
        self.manager.workflow = set(pipelines)
        self.manager.run()


@contextlib.contextmanager
def workflows(request):
    """Yield workflows; afterwards end their pilot, unless it is a fixture's."""
    if shared is not None:
        yield shared
        return
    with guarded(request) as (root, guard):
        import radical.entk as re

        manager = re.AppManager(name=root.name, autoterminate=False)
        manager.resource_desc = {"resource": RESOURCE, "access_schema": "here", **allocation(request)}
        yield Workflows(guard, manager)
        guard.expect_end()
        manager.terminate()
        guard.wait_for_end()
