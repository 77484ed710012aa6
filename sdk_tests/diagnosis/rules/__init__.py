"""The catalogue of known causes, as data: one module a family. To add a rule, write one entry with an example.

Rules are ordered from the most specific family to the most general one; among matches of equal rank in one line, the
first rule of the catalogue wins. ``docs/diagnosis.md`` is generated from these modules.
"""

from __future__ import annotations

from sdk_tests.diagnosis.rule import Rule
from sdk_tests.diagnosis.rules import (
    activation,
    cobalt,
    components,
    flux,
    loader,
    lsf,
    machine,
    mpi,
    network,
    own,
    pbs,
    python,
    slurm,
)

FAMILIES: dict[str, tuple[Rule, ...]] = {
    "Slurm": slurm.RULES,
    "PBS": pbs.RULES,
    "LSF": lsf.RULES,
    "Flux": flux.RULES,
    "Cobalt": cobalt.RULES,
    "MPI launchers": mpi.RULES,
    "Components": components.RULES,
    "Activation": activation.RULES,
    "Programs and libraries": loader.RULES,
    "Python": python.RULES,
    "The machine": machine.RULES,
    "Network": network.RULES,
}
"""The rules by family, in the order in which they are tried."""

RULES: tuple[Rule, ...] = tuple(rule for family in FAMILIES.values() for rule in family)

OWN, SIGNALS = own.OWN, own.SIGNALS
"""Title and advice of the causes that the harness itself finds, without a message."""
