"""Fixture: Parsl with one pool of workers on this node, for payloads that do not test its start."""

import contextlib

import _parsl
import parsl


@contextlib.contextmanager
def fixture(request):
    with _parsl.loaded(request, workers=int(request["params"].get("workers", 2))) as executor:
        parsl.python_app(abs)(-1).result(timeout=_parsl.seconds_left(request))  # a worker is there
        _parsl.shared = executor
        yield
