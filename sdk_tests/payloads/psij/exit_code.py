"""PSI/J: the exit code of a job is reported, and with a code other than 0 the job is FAILED, not COMPLETED."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main


def exit_code(request):
    from _psij import Session, status_of, wait_for_file

    code = int(request["params"].get("code", 7))
    with Session(request) as session:
        job = session.shell(f"echo ran > ran.txt; exit {code}")
        session.wait(job)
    return {**status_of(job), "file": wait_for_file(Path("ran.txt")).read_text(encoding="utf-8").strip()}


if __name__ == "__main__":
    main(exit_code, __doc__)
