"""PSI/J: arguments, environment, working directory, stdin, stdout and stderr reach a job unchanged."""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main

ECHO = """
import json, os, sys
name = sys.argv[1]
found = {"arguments": sys.argv[2:], "variable": os.environ.get(name), "stdin": sys.stdin.read()}
found["directory"] = os.getcwd()
print(json.dumps(found))
print("this is stderr", file=sys.stderr)
"""


def redirect(request):
    from _psij import Session, said, told, until

    given = request["params"]
    folder = Path("work").absolute()
    folder.mkdir()
    Path("echo.py").write_text(ECHO, encoding="utf-8")
    Path("in.txt").write_text(given["stdin"], encoding="utf-8")
    streams = {f"{name}_path": Path(f"{name}.txt").absolute() for name in ("stdout", "stderr")}
    with Session(request) as session:
        job = session.submit(
            sys.executable,
            [str(Path("echo.py").absolute()), "EXAWORKS_WORD", *given["arguments"]],
            environment={"EXAWORKS_WORD": given["variable"]},
            stdin_path=Path("in.txt").absolute(),
            directory=folder,
            **streams,
        )
        session.settle(job)
    answer = {**told(job), **said(streams["stdout_path"])[0]}
    answer["in_directory"] = Path(answer["directory"]).samefile(folder)
    answer["stderr"] = until(streams["stderr_path"]).read_text(encoding="utf-8")
    return answer


if __name__ == "__main__":
    if len(sys.argv) == 1:
        sample = {"arguments": ["a b", "$HOME", "it's"], "variable": "two words", "stdin": "line\n"}
        sys.argv.append(json.dumps({"params": sample}))
    main(redirect, __doc__)
