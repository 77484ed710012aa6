"""Send messages through a ZMQ queue of radical.utils: python queue_order.py VERSION."""

import os
import sys
from importlib.metadata import version
from pathlib import Path

os.environ.update(HOME=str(Path.cwd()), RADICAL_BASE=str(Path.cwd()), RADICAL_DEFAULT_IFACE="lo")

import radical.utils as ru  # it reads the environment

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
    taken = []
    while len(taken) < 10:
        more = getter.get_nowait(timeout=10000)
        assert more, f"only {taken} arrived"
        taken.extend(more)
    assert taken == list(range(10)), taken
finally:
    bridge.stop()
