"""A recorded GitLab with a runner, so that generated pipelines run as at a facility: through the job API, in pieces.

Nothing here is GitLab's or Jacamar's code. Each module states the public page whose behaviour it follows.

    expressions.py   the conditions of ``rules:``
    pipeline.py      jobs and pipelines: what is created, what starts when, and with which status it all ends
    gitlab.py        the server: the API of runners, and the part of the other API that the jobs use
    agent.py         the runner: asks for a job, runs its stages through a custom executor, sends log, files and status
    jacamar.py       the custom executor: config, prepare, run and cleanup, as Jacamar CI is documented to do them
    site.py          a system of a site file on this machine: its scheduler, its users' home and its runners
"""
