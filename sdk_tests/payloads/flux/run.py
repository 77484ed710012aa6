"""Flux: ``flux run`` starts a program with an environment and a folder, waits for it, and returns its exit code."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main


def run(request):
    from _instance import flux, instance

    folder, output = Path("elsewhere").absolute(), Path("output.txt").absolute()
    folder.mkdir(exist_ok=True)
    os.environ.update(TO_BE_HIDDEN="still here", COUNT="two")
    ending = request["params"].get("ending", "exit 0")
    script = f'echo "$GREETING ${{TO_BE_HIDDEN:-hidden}}" > {output}; pwd -P; echo "on stderr" >&2; {ending}'
    with instance(request):
        variables = ["--env-remove=TO_BE_HIDDEN", "--env=GREETING=of $COUNT words; 'quoted'"]
        done = flux("run", f"--cwd={folder}", *variables, "sh", "-c", script, check=False)
    return {
        "exit_code": done.returncode,
        "output": output.read_text(encoding="utf-8").strip(),
        "in_folder": done.stdout.strip() == str(folder.resolve()),
        "stderr": done.stderr.splitlines(),
    }


if __name__ == "__main__":
    main(run, __doc__)
