"""Send messages through a ZMQ queue of radical.utils: python queue_order.py VERSION."""

import os
import sys
import time
from importlib.metadata import version
from pathlib import Path

os.environ.update(HOME=str(Path.cwd()), RADICAL_BASE=str(Path.cwd()), RADICAL_DEFAULT_IFACE="lo")

import radical.utils as ru  # after HOME is set

assert version("radical.utils") == sys.argv[1], version("radical.utils")

bridge = ru.zmq.Queue(
    "exaworks", cfg={"uid": "exaworks", "type": "queue", "bulk_size": 0, "stall_hwm": 1}
)
bridge.start()
try:
    putter = ru.zmq.Putter("exaworks", url=bridge.addr_in)
    getter = ru.zmq.Getter("exaworks", url=bridge.addr_out)
    for number in range(10):
        putter.put(number)
    received = []
    deadline = time.monotonic() + 60
    while len(received) < 10:
        # An empty answer means only that nothing has arrived yet: sockets connect later.
        received.extend(getter.get_nowait(timeout=1000) or [])
        assert time.monotonic() < deadline, f"only {received} arrived within 60 s"
    assert received == list(range(10)), received
finally:
    bridge.stop()
