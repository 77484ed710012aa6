"""Fixture: a pilot that is active, for payloads that do not test its start."""

import contextlib

import _radical


@contextlib.contextmanager
def fixture(request):
    with _radical.pilot(request) as active:
        _radical.shared = active
        yield
