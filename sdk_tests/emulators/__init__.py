"""Emulators of LSF, PBS and Cobalt, for machines where the real schedulers are not available.

One engine (``cluster``, ``work``, ``engine``) queues jobs and runs them as processes of this machine. One module per
dialect (``lsf``, ``pbs``, ``cobalt``) parses the arguments and directives of its commands and prints output as the
manual pages describe it. A dialect refuses everything that it does not implement, with a message. ``launchers``
contains stand-ins for parallel launchers. The emulators use only the standard library and nothing else of the project,
because their commands are started with ``python -I -S``. They imitate commands, states and limits, not performance or
policy. A record made on an emulator contains ``emulated: true``.
"""
