"""The root room: the ``exaworks`` command, where things lie, and what a release consists of.

It loads the other rooms only through entry points, on demand; any room but ``dashboard_client`` and ``collector`` may
import its ``paths``, ``errors`` and ``release``.
"""

__version__ = "2026.11.0"
