"""The module system: Lmod or Environment Modules, and whether a module can be had."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from site_configs.probes.command import run


def system(env: Mapping[str, str]) -> str | None:
    """Return which module system this environment has."""
    if env.get("LMOD_CMD") or env.get("LMOD_VERSION"):
        return "lmod"
    return "environment-modules" if env.get("MODULES_CMD") or env.get("MODULESHOME") else None


def loaded(env: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of the loaded modules."""
    return tuple(name for name in env.get("LOADEDMODULES", "").split(":") if name)


def available(name: str, env: Mapping[str, str], use: Sequence[str] = ()) -> tuple[bool | None, str | None]:
    """Ask whether a module, or any version of it, can be loaded; None and a reason where nobody could be asked.

    use: folders of modules to add, as ``module use`` does.
    """
    if name in loaded(env):
        return True, None
    command = env.get("LMOD_CMD") or env.get("MODULES_CMD")
    if not command:
        return None, "neither LMOD_CMD nor MODULES_CMD is set"
    paths = [*use, *(path for path in env.get("MODULEPATH", "").split(":") if path)]
    words = ["bash", "--terse", "avail", name] if env.get("LMOD_CMD") else ["bash", "avail", "--terse", name]
    said, reason = run([command, *words], {**env, "MODULEPATH": ":".join(paths), "LMOD_PAGER": "none"}, both=True)
    if said is None:
        return None, reason
    listed = {word.strip().partition("(")[0] for line in said.splitlines() for word in line.split()[:1]}
    return any(entry == name or entry.rstrip("/").startswith(name + "/") for entry in listed), None
