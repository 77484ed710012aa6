"""``exaworks collector``: the group of all commands of the collector."""

from __future__ import annotations

import click

from collector.cli.digest import digest
from collector.cli.export import export
from collector.cli.hook import hook
from collector.cli.link import link
from collector.cli.log import log
from collector.cli.maintenance import backup, prune, restore, verify
from collector.cli.partition import partition
from collector.cli.sender import sender
from collector.cli.serve import serve
from collector.cli.site import site
from collector.cli.system import system
from collector.cli.token import token
from collector.cli.triage import triage
from collector.cli.waiver import waiver

EXAMPLES = """\b
Examples:
  exaworks collector serve                          open the dashboard on this machine's results
  exaworks collector token new ornl --scope upload  create a token for the CI of a site
"""


@click.group(epilog=EXAMPLES)
def collector() -> None:
    """The server that receives the results of all sites and shows the status dashboard."""


COMMANDS: tuple[click.Command, ...] = (serve, link, token, site, system, sender, waiver, triage, hook, digest)
COMMANDS += (export, log, backup, partition, prune, restore, verify)

for command in COMMANDS:
    collector.add_command(command)
