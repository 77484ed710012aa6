"""A pipeline as ExaAM's on PSI/J: melt pools, a microstructure of each, properties of all; a failed job is repeated.

Each stage is a set of jobs that read the files of the stage before. It begins when that stage has ended.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main

ATTEMPTS = 2


def exaam(request):
    from _psij import Session, comparable_id, wait_for_file

    program = Path(__file__).resolve().parent / "_exaam.py"
    pools = int(request["params"].get("pools", 2))
    broken = request["params"].get("broken", "microstructure-1")
    attempts = {}

    def stage(session, inputs_of):
        """Run a job for each name and repeat those that fail; return the files that they wrote."""
        open_names, files = list(inputs_of), {name: Path(f"{name}.json").absolute() for name in inputs_of}
        for _ in range(ATTEMPTS):
            submitted = {}
            for name in open_names:
                marker = ["--break", str(Path("broken").absolute())] if name == broken else []
                arguments = [str(program), str(files[name]), name, *marker, *map(str, inputs_of[name])]
                output = Path(f"{name}.out").absolute()
                submitted[name] = session.submit(sys.executable, arguments, stdout_path=output)
            open_names = []
            for name, job in submitted.items():
                status = session.wait(job)
                native = comparable_id(request["scheduler"], str(job.native_id))
                attempts.setdefault(name, []).append([native, status.state.name, status.exit_code])
                open_names += [name] * (status.state.name != "COMPLETED")
        if open_names:
            raise RuntimeError(f"failed {ATTEMPTS} times: {', '.join(open_names)}: {attempts}")
        return list(map(wait_for_file, files.values()))

    with Session(request) as session:
        melted = stage(session, {f"meltpool-{number}": [] for number in range(pools)})
        grown = stage(session, {f"microstructure-{number}": [path] for number, path in enumerate(melted)})
        stage(session, {"properties": grown})
    results = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(Path().glob("*.json"))}
    for each in results.values():
        each["job_id"] = comparable_id(request["scheduler"], each["job_id"])
    return {"jobs": {name: each[-1][0] for name, each in attempts.items()}, "attempts": attempts, "results": results}


if __name__ == "__main__":
    main(exaam, __doc__)
