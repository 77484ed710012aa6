"""Dialect emulators: LSF, PBS and Cobalt as their users see them, for machines where the real ones cannot be had.

One engine (``cluster``, ``work``, ``engine``) queues jobs and runs them as processes of this machine; one module a
dialect (``lsf``, ``pbs``, ``cobalt``) reads the commands' arguments and directives and prints what the manual pages
say. What a dialect does not know it refuses with a message. ``launchers`` stands in for parallel launchers. Standard
library only, and nothing else of the project: the commands are started with ``python -I -S``. They imitate commands,
states and limits, not performance or policy; a record made on one says ``emulated``.
"""
