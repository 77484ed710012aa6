"""Preflight of RADICAL-Pilot: it can be imported, its configuration read, and its agent can be started."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _starting import main, script, semaphores


def imports():
    import os

    os.environ.update(HOME=os.getcwd(), RADICAL_BASE=os.getcwd(), PWD=os.getcwd())
    import radical.pilot
    import radical.utils

    for kind in ("session", "pmgr", "tmgr", "agent"):
        if not radical.utils.Config(f"radical.pilot.{kind}", name="default").as_dict():
            raise RuntimeError(f"radical.pilot: the configuration {kind}_default.json is absent or empty")
    semaphores()
    for name in ("radical-pilot-agent_0", "radical-pilot-agent_n"):
        script(name)


if __name__ == "__main__":
    main(imports)
