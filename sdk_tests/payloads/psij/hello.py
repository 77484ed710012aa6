"""PSI/J: one job through the site's scheduler, and its output from the node on which it ran."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main


def hello(request):
    from _psij import HELLO, Session, comparable_id, printed_objects, status_of

    with Session(request) as session:
        job = session.submit(sys.executable, [HELLO], stdout_path=Path("hello.out").absolute())
        session.wait(job)
    answer = {**status_of(job), **printed_objects(Path("hello.out"), job)[0]}
    for name in ("native_id", "job_id"):
        answer[name] = comparable_id(request["scheduler"], answer[name])
    return answer


if __name__ == "__main__":
    main(hello, __doc__)
