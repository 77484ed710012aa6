"""The commands ``exaworks validate``, ``rehearse`` and ``testbed``.

``validate.py``, ``rehearse.py`` and ``testbed.py`` declare options and help. They import click alone at their top, so
that ``exaworks --help`` stays fast. ``validation.py`` is what ``validate`` does. May import every other room.
"""
