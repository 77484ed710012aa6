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
"""What another process does: it knows the file alone."""

TELL = "import json, os, sys; print(json.dumps([sys.argv[1:], os.environ['EXAWORKS_WORD'], os.getcwd()]))"


def serialize(request):
    from _psij import Session, told, until
    from psij.serialize import JSONSerializer

    written, again, out = (Path(name).absolute() for name in ("spec.json", "again.json", "out.json"))
    folder = Path("work").absolute()
    folder.mkdir()
    given = {"arguments": ["two words", "$HOME"], "word": "it's", **request["params"]}
    with Session(request) as session:
        spec = session.spec(
            sys.executable,
            ["-c", TELL, *given["arguments"]],
            duration=given.get("duration", 600),
            name="serialized",
            environment={"EXAWORKS_WORD": given["word"]},
            directory=folder,
            stdout_path=out,
        )
        written.write_text(JSONSerializer().dumps(spec), encoding="utf-8")
        subprocess.run([sys.executable, "-c", READ, written, again], check=True)
        back = JSONSerializer().loads(again.read_text(encoding="utf-8"))
        differ = sorted(name for name in json.loads(written.read_text()) if getattr(spec, name) != getattr(back, name))
        lasts = [int(each.attributes.duration / timedelta(seconds=1)) for each in (spec, back)]
        if spec != back:
            return {"differ": differ, "durations": lasts}
        job = session.run(back)
        session.settle(job)
    arguments, word, where = json.loads(until(out).read_text(encoding="utf-8"))
    answer = {**told(job), "differ": differ, "durations": lasts, "arguments": arguments, "word": word}
    return {**answer, "in_directory": Path(where).samefile(folder)}


if __name__ == "__main__":
    main(serialize, __doc__)
