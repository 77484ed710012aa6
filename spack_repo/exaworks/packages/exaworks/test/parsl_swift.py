"""Run a Swift/T program of two ranks from a Parsl app: python parsl_swift.py SWIFT-T PROGRAM."""

import sys
from pathlib import Path

import parsl
from parsl.config import Config
from parsl.executors import ThreadPoolExecutor


@parsl.bash_app
def swift(command, program, stdout):
    return f"{command} -n 2 {program}"


with parsl.load(Config([ThreadPoolExecutor(max_threads=1)], run_dir=str(Path.cwd() / "runinfo"))):
    out = Path.cwd() / "out"
    assert swift(sys.argv[1], sys.argv[2], stdout=str(out)).result(timeout=180) == 0
    assert "from swift" in out.read_text().splitlines(), out.read_text()
