"""libEnsemble on PSI/J: each simulation is a job that a worker submits through PSI/J; one of them fails."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from _payload import main  # noqa: E402


def psij_jobs(request):
    sys.path.append(str(HERE.parent / "psij"))
    from _ensemble import PROGRAM, run

    def simulate(number, info):  # in a worker's process, in which PSI/J has its own threads
        from _psij import Session, comparable_id, printed_objects

        output = Path(f"simulation-{number}.out").absolute()
        with Session(request) as session:
            job = session.submit(sys.executable, [str(PROGRAM), str(number)], stdout_path=output)
            status = session.wait(job)
        done = status.state.name == "COMPLETED"
        printed = printed_objects(output, job)[0] if done else {}
        scheduler = request["scheduler"]
        printed["job_id"] = comparable_id(scheduler, printed.get("job_id"))
        ended = {"state": status.state.name, "exit_code": status.exit_code}
        return {**ended, **printed, "native_id": comparable_id(scheduler, str(job.native_id))}

    return run(request, simulate)


if __name__ == "__main__":
    main(psij_jobs, __doc__)
