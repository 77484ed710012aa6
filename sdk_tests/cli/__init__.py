"""The commands ``exaworks validate``, ``rehearse`` and ``testbed``.

``validate.py``, ``rehearse.py`` and ``testbed.py`` declare options and help. At module level they import only click, so
that ``exaworks --help`` stays fast. ``validation.py`` implements ``validate``. This package may import every other one.
"""
