"""Swift/T: a program with a type error; the compiler refuses it and names the line, and nothing runs."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main


def compile_error(request):
    from _swift import answers, program, swift

    name = program("wrong_type.swift")
    last = len(Path(name).read_text(encoding="utf-8").splitlines())
    done = swift(request, name)
    messages = [line for line in done.stdout.splitlines() if name in line]
    answer = {"exit_code": done.returncode, "error_line": f"{name}:{last}", "messages": messages}
    return {**answer, "printed": answers(done.stdout)}


if __name__ == "__main__":
    main(compile_error, __doc__)
