"""Parsl: a bash_app reads and writes files and redirects its output; the exit code of a failing one is reported."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main


def bash_app(request):
    import parsl
    from _parsl import loaded, seconds_left
    from parsl.app.errors import BashExitFailure
    from parsl.data_provider.files import File

    @parsl.bash_app
    def arrange(inputs=(), outputs=(), stdout=None):
        return f"sort -n {inputs[0].filepath} > {outputs[0].filepath} && wc -l < {outputs[0].filepath}"

    @parsl.bash_app
    def exit_with(code):
        return f"exit {code}"

    source, result, count = (Path(name).absolute() for name in ("numbers.txt", "sorted.txt", "count.txt"))
    source.write_text(
        "".join(f"{number}\n" for number in request["params"].get("numbers", [10, 9, 2])), encoding="utf-8"
    )
    with loaded(request):
        done = arrange(inputs=[File(str(source))], outputs=[File(str(result))], stdout=str(count))
        failed = exit_with(request["params"].get("code", 3))
        exit_code = done.result(timeout=seconds_left(request))
        output = done.outputs[0].result(timeout=seconds_left(request)).filepath
        error = failed.exception(timeout=seconds_left(request))
    answer = {
        "exit_code": exit_code,
        "sorted": [int(line) for line in Path(output).read_text(encoding="utf-8").split()],
    }
    answer["count"] = int(count.read_text(encoding="utf-8"))
    return {**answer, "failed_with": error.exitcode if isinstance(error, BashExitFailure) else repr(error)}


if __name__ == "__main__":
    main(bash_app, __doc__)
