"""From a verdict to a record on disk, and from an open run to a closed one.

``run.py`` opens a run, ``recorder.py`` writes one record for each attempt, and ``finish.py`` closes the run, uploads it
and writes its report. This package may import ``report``, ``plan`` and the packages below them.
"""
