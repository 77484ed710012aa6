"""A system's plan, carried out on a private testbed that has the system's scheduler, queues and limits.

May import ``plan``, ``testbeds``, ``schedulers`` and ``site_configs``.
"""
