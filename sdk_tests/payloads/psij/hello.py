"""PSI/J: one job through the site's scheduler, and what it printed on the node it ran on."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main


def hello(request):
    from _psij import HELLO, Session, one_id, said, told

    with Session(request) as session:
        job = session.submit(sys.executable, [HELLO], stdout_path=Path("hello.out").absolute())
        session.settle(job)
    answer = {**told(job), **said(Path("hello.out"))[0]}
    for name in ("native_id", "job_id"):
        answer[name] = one_id(request["scheduler"], answer[name])
    return answer


if __name__ == "__main__":
    main(hello, __doc__)
