"""The tutorials as notebooks, and JupyterLab to run them in.

``page`` reads a Markdown page of ``docs/tutorials``, ``notebook`` makes a notebook of it, ``workspace`` writes the
folder in which a user works, and ``jupyter`` starts JupyterLab there, in an environment of its own (``jupyter.lock``).
The command ``exaworks tutorials`` is in ``sdk_tests.cli``, since it starts a testbed.
"""

from __future__ import annotations

from exaworks_sdk.tutorials.notebook import as_json, notebook
from exaworks_sdk.tutorials.page import Block, Output, Prose, blocks, pages

__all__ = ["Block", "Output", "Prose", "as_json", "blocks", "notebook", "pages"]
