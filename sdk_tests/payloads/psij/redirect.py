"""PSI/J: arguments, environment, working directory, stdin, stdout and stderr reach a job unchanged."""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main

ECHO = """
import json, os, sys
name = sys.argv[1]
answer = {"arguments": sys.argv[2:], "variable": os.environ.get(name), "stdin": sys.stdin.read()}
answer["directory"] = os.getcwd()
print(json.dumps(answer))
print("this is stderr", file=sys.stderr)
"""


def redirect(request):
    from _psij import Session, printed_objects, status_of, wait_for_file

    given = request["params"]
    folder = Path("work").absolute()
    folder.mkdir()
    Path("echo.py").write_text(ECHO, encoding="utf-8")
    Path("in.txt").write_text(given["stdin"], encoding="utf-8")
    streams = {f"{name}_path": Path(f"{name}.txt").absolute() for name in ("stdout", "stderr")}
    with Session(request) as session:
        job = session.submit(
            sys.executable,
            [str(Path("echo.py").absolute()), "EXAWORKS_TEST_VARIABLE", *given["arguments"]],
            environment={"EXAWORKS_TEST_VARIABLE": given["variable"]},
            stdin_path=Path("in.txt").absolute(),
            directory=folder,
            **streams,
        )
        session.wait(job)
    answer = {**status_of(job), **printed_objects(streams["stdout_path"], job)[0]}
    answer["in_directory"] = Path(answer["directory"]).samefile(folder)
    answer["stderr"] = wait_for_file(streams["stderr_path"]).read_text(encoding="utf-8")
    return answer


if __name__ == "__main__":
    if len(sys.argv) == 1:
        sample = {"arguments": ["a b", "$HOME", "it's"], "variable": "two words", "stdin": "line\n"}
        sys.argv.append(json.dumps({"params": sample}))
    main(redirect, __doc__)
