"""Run a child process with rc.process and collect its output lines: python child.py VERSION."""

import sys
from importlib.metadata import version

from rc.process import Process

assert version("rc.process") == sys.argv[1], version("rc.process")

lines = []
process = Process(cmd="echo one; echo two; exit 3")
process.register_cb(Process.CB_OUT_LINE, lambda _, more: lines.extend(more))
process.start()
process.wait()
assert process.retcode == 3, process.retcode
assert process.state == Process.FAILED, process.state
assert [line.strip() for line in lines] == ["one", "two"], lines
