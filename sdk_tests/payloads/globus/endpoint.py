"""Globus Compute: a configured endpoint, its rendered user configuration, and functions that its engine runs.

Nothing contacts the web service, which would need an account: see ``_endpoint.py``.
"""

import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _payload import main


def endpoint(request):
    tools = request.get("bin") or str(Path(sys.executable).parent)
    os.environ.update(
        PATH=f"{tools}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        GLOBUS_COMPUTE_USER_DIR=str(Path("globus").absolute()),
        HOME=str(Path.cwd()),  # it looks for credentials there, and finds none
    )
    from _endpoint import computed, started
    from globus_compute_endpoint.endpoint.config.utils import load_config_yaml

    command("configure", "here", "--contact-email", "nobody@localhost")
    template = Path("globus/here/user_config_template.yaml.j2")
    usual = "max_workers_per_node: 1"
    text = template.read_text(encoding="utf-8")
    if usual not in text:
        raise ValueError(f"{template} has no line {usual!r}")
    # As a site edits it. Without an address, Parsl would ask a public service for that of this machine.
    template.write_text(text.replace(usual, "max_workers_per_node: 2\n  address: 127.0.0.1"), encoding="utf-8")
    rendered = command("render-user-config", "-e", "here")
    with started(load_config_yaml(rendered).engine) as engine:
        answer = computed(engine, request)
        return {**answer, "engine": type(engine).__name__, "workers": engine.max_workers_per_node}


def command(*arguments):
    """Run a command of the endpoint and return its output."""
    argv = ["globus-compute-endpoint", *arguments]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)} ended with {done.returncode}: {done.stdout}")
    return done.stdout


if __name__ == "__main__":
    main(endpoint, __doc__)
