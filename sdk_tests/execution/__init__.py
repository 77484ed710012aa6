"""Starting attempts and watching them: the supervisor process, its batch jobs, and the agent inside an allocation.

``messages.py`` is what harness and supervisor send to each other. ``process_table.py`` and ``marked_processes.py`` hold
child processes and find orphans. ``batch.py``, ``job.py`` and ``job_scripts.py`` are the harness's own batch jobs.
``leftover_jobs.py`` finds the jobs that payloads left in the queue. ``temporary_folder.py`` is TMPDIR of an attempt.
May import ``schedulers`` and ``model``. The agent and what it imports use the standard library alone.
"""
