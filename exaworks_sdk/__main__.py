"""``python -m exaworks_sdk`` is the ``exaworks`` command."""

from exaworks_sdk.cli import main

main(prog_name="exaworks")
