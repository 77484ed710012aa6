"""Rehearsals: run the plan of a system on a private testbed with the scheduler, queues and limits of that system.

This package may import ``plan``, ``testbeds``, ``schedulers`` and ``site_configs``.
"""
