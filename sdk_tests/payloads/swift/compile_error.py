"""Swift/T: a program of a wrong type, which the compiler refuses, naming the place; nothing of it runs."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main


def compile_error(request):
    from _swift import answers, program, swift

    name = program("wrong_type.swift")
    last = len(Path(name).read_text(encoding="utf-8").splitlines())
    done = swift(request, name)
    said = [line for line in done.stdout.splitlines() if name in line]
    return {"exit_code": done.returncode, "place": f"{name}:{last}", "said": said, "ran": answers(done.stdout)}


if __name__ == "__main__":
    main(compile_error, __doc__)
