"""PSI/J submits a job that writes a file to a shared folder; the payload reads it on the login node.

By hand: python payloads/shared_folder.py '{"params": {"text": "hello"}, "scheduler": {"kind": "local"}}'
"""

import time
from datetime import timedelta
from pathlib import Path

from _answer import main
from psij import Job, JobAttributes, JobExecutor, JobSpec


def shared_folder(request):
    """Return the final state of the job, and the text and the node name that it wrote."""
    scheduler = request["scheduler"]
    target = Path(request["scratch"]).absolute() / "from-the-job.txt"
    executor = JobExecutor.get_instance((scheduler.get("component_names") or {}).get("psij", scheduler["kind"]))
    script = 'printf "%s\\n" "$1" > "$2.part" && uname -n >> "$2.part" && mv "$2.part" "$2"'
    spec = JobSpec("/bin/sh", ["-c", script, "sh", request["params"]["text"], str(target)], directory=target.parent)
    spec.attributes = JobAttributes(
        duration=timedelta(minutes=5), queue_name=scheduler.get("queue"), account=scheduler.get("account")
    )
    job = Job(spec)
    executor.submit(job)
    # `limit` is the number of seconds after which the harness ends the payload; wait less than that.
    status = job.wait(timeout=timedelta(seconds=0.9 * request.get("limit", 60)))
    if status is None:
        job.cancel()
        raise TimeoutError(f"job {job.native_id} is still {job.status.state.name}")
    end = time.monotonic() + 20  # a shared file system may show the file late
    while not target.exists() and time.monotonic() < end:
        time.sleep(0.1)
    text, node = target.read_text(encoding="utf-8").splitlines()
    return {"state": status.state.name, "text": text, "node": node}


if __name__ == "__main__":
    main(shared_folder)
