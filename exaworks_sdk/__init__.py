"""The root package: the ``exaworks`` command, the folders that it uses, and the contents of a release.

It loads the other packages through entry points, and only when they are needed. Every package except
``dashboard_client`` and ``collector`` may import its ``paths``, ``errors`` and ``release``.
"""

__version__ = "2026.11.0"
