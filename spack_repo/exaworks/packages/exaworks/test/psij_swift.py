"""Launch a Swift/T program of two ranks as a PSI/J job: python psij_swift.py SWIFT-T PROGRAM."""

import os
import sys
from datetime import timedelta
from pathlib import Path

here = Path.cwd()
environment = dict(os.environ)
os.environ["HOME"] = str(here)

from psij import Job, JobExecutor, JobSpec, JobState  # after HOME is set

spec = JobSpec(
    executable=sys.argv[1],
    arguments=["-n", "2", sys.argv[2]],
    directory=here,
    environment={
        name: environment[name] for name in environment if not name.startswith("BASH_FUNC")
    },
    stdout_path=here / "out",
    stderr_path=here / "err",
)
job = Job(spec)
JobExecutor.get_instance("local").submit(job)
status = job.wait(timeout=timedelta(seconds=180))
assert status is not None and status.state == JobState.COMPLETED, (
    status,
    (here / "err").read_text(),
)
assert "from swift" in (here / "out").read_text().splitlines(), (here / "out").read_text()
