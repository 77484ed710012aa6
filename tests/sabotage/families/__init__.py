"""The breakages, one module a family."""

from importlib import import_module

from tests.sabotage.breakage import FAMILIES, Breakage

BREAKAGES: list[Breakage] = [
    breakage for family in FAMILIES for breakage in import_module(f"{__name__}.{family}").BREAKAGES
]
