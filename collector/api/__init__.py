"""The HTTP interface for programs: taking in runs, records and foreign reports, and reading them as JSON.

One module a group of routes. May import ``web``, ``status``, ``store``, ``auth`` and ``importers``.
"""
