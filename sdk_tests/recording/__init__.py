"""From a verdict to a record on disk, and from an open run to a closed one.

``run.py`` opens a run, ``recorder.py`` writes one record an attempt, ``finish.py`` closes the run, uploads it and writes
its report. May import ``report``, ``plan`` and what lies below them.
"""
