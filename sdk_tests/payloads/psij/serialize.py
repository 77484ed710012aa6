"""PSI/J: a job's specification written as JSON, read back by another process, equals the first and runs."""

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main

READ = """
import sys
from psij.serialize import JSONSerializer
spec = JSONSerializer().loads(open(sys.argv[1], encoding="utf-8").read())
open(sys.argv[2], "w", encoding="utf-8").write(JSONSerializer().dumps(spec))
"""
"""The program of another process, which has only the file."""

REPORT = "import json, os, sys; print(json.dumps([sys.argv[1:], os.environ['EXAWORKS_TEST_VARIABLE'], os.getcwd()]))"


def serialize(request):
    from _psij import Session, status_of, wait_for_file
    from psij.serialize import JSONSerializer

    written, again, out = (Path(name).absolute() for name in ("spec.json", "again.json", "out.json"))
    folder = Path("work").absolute()
    folder.mkdir()
    given = {"arguments": ["two words", "$HOME"], "variable": "it's", **request["params"]}
    with Session(request) as session:
        spec = session.spec(
            sys.executable,
            ["-c", REPORT, *given["arguments"]],
            duration=given.get("duration", 600),
            name="serialized",
            environment={"EXAWORKS_TEST_VARIABLE": given["variable"]},
            directory=folder,
            stdout_path=out,
        )
        written.write_text(JSONSerializer().dumps(spec), encoding="utf-8")
        subprocess.run([sys.executable, "-c", READ, written, again], check=True)
        back = JSONSerializer().loads(again.read_text(encoding="utf-8"))
        differ = sorted(name for name in json.loads(written.read_text()) if getattr(spec, name) != getattr(back, name))
        durations = [int(each.attributes.duration / timedelta(seconds=1)) for each in (spec, back)]
        if spec != back:
            return {"differ": differ, "durations": durations}
        job = session.run(back)
        session.wait(job)
    arguments, variable, where = json.loads(wait_for_file(out).read_text(encoding="utf-8"))
    answer = {**status_of(job), "differ": differ, "durations": durations, "arguments": arguments, "variable": variable}
    return {**answer, "in_directory": Path(where).samefile(folder)}


if __name__ == "__main__":
    main(serialize, __doc__)
