"""From site file, deployment and cases to cells: what will run, what cannot run, and why.

``prepare.py`` makes the ``Preparation`` (system, schedulers, deployment and its contents), ``cells.py`` the plan, and
``launch_requests.py`` the messages that start its cells. This package may import ``integration`` (the tables of
combinations that do not exist), ``deployments``, ``execution``, ``testbeds``, ``schedulers`` and what is below them.
"""
