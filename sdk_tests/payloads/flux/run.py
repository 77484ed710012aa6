"""Flux: ``flux run`` waits for a program, gives it its environment and folder, and ends as the program ended."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main


def run(request):
    from _instance import flux, instance

    folder, said = Path("elsewhere").absolute(), Path("said.txt").absolute()
    folder.mkdir(exist_ok=True)
    os.environ.update(TO_BE_HIDDEN="still here", COUNT="two")
    ending = request["params"].get("ending", "exit 0")
    script = f'echo "$GREETING ${{TO_BE_HIDDEN:-hidden}}" > {said}; pwd -P; echo "on stderr" >&2; {ending}'
    with instance(request):
        variables = ["--env-remove=TO_BE_HIDDEN", "--env=GREETING=of $COUNT words; 'quoted'"]
        done = flux("run", f"--cwd={folder}", *variables, "sh", "-c", script, check=False)
    return {
        "exit_code": done.returncode,
        "said": said.read_text(encoding="utf-8").strip(),
        "in_folder": done.stdout.strip() == str(folder.resolve()),
        "stderr": done.stderr.splitlines(),
    }


if __name__ == "__main__":
    main(run, __doc__)
