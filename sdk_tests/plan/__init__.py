"""From site file, deployment and cases to cells: what will run, what cannot run, and why.

``prepare.py`` makes the ``Preparation`` (system, schedulers, deployment and its contents), ``cells.py`` the plan,
``launch_requests.py`` the messages that start its cells. May import ``integration`` (the tables of pairs that do not
exist), ``deployments``, ``execution``, ``testbeds``, ``schedulers`` and what lies below them.
"""
