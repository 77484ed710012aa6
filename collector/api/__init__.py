"""The HTTP interface for programs: it receives runs, records and the reports of other tools, and returns JSON.

Each module holds one group of routes. May import ``web``, ``status``, ``store``, ``auth`` and ``importers``.
"""
