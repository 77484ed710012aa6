"""The commands as people read them outside the program: manual pages, scripts for completion, reference pages.

Everything follows from the click commands. The package imports only click and the standard library, since ``setup.py``
runs it while a wheel is built. ``commands`` reads the commands, ``man`` writes manual pages, ``completion`` the scripts
for shells, and ``shared_files`` lists the files of both with their places below an installation's ``share``.
"""

from __future__ import annotations

from exaworks_sdk.manual.commands import CommandPage, Option, installed_group, pages_of
from exaworks_sdk.manual.completion import SHELLS, completion_files
from exaworks_sdk.manual.man import manual_pages
from exaworks_sdk.manual.shared_files import shared_files

__all__ = [
    "SHELLS",
    "CommandPage",
    "Option",
    "completion_files",
    "installed_group",
    "manual_pages",
    "pages_of",
    "shared_files",
]
