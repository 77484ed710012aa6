"""From attempt results to verdicts: the pytest plugin, the loop, the judge, and the classification of failures.

``harness.py`` plans and opens a run within a pytest session; ``loop.py`` starts everything and judges each attempt as
soon as it has ended; ``judge.py`` turns pytest's reports into a verdict; ``classification.py`` decides whose fault a
failure is. This package may import ``recording``, ``plan``, ``execution`` and the packages below them.
"""
