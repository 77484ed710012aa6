"""Probe the module system: Lmod or Environment Modules, and whether a module is available."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from site_configs.probes.command import run


def system(env: Mapping[str, str]) -> str | None:
    """Return the kind of module system of this environment, or None."""
    if env.get("LMOD_CMD") or env.get("LMOD_VERSION"):
        return "lmod"
    return "environment-modules" if env.get("MODULES_CMD") or env.get("MODULESHOME") else None


def loaded(env: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of the loaded modules."""
    return tuple(name for name in env.get("LOADEDMODULES", "").split(":") if name)


def available(name: str, env: Mapping[str, str], use: Sequence[str] = ()) -> tuple[bool | None, str | None]:
    """Return whether a module, or any version of it, can be loaded; or None and a reason if that is not known.

    use: folders of modules to add, as ``module use`` does.
    """
    if name in loaded(env):
        return True, None
    command = env.get("LMOD_CMD") or env.get("MODULES_CMD")
    if not command:
        return None, "neither LMOD_CMD nor MODULES_CMD is set"
    paths = [*use, *(path for path in env.get("MODULEPATH", "").split(":") if path)]
    arguments = ["bash", "--terse", "avail", name] if env.get("LMOD_CMD") else ["bash", "avail", "--terse", name]
    module_env = {**env, "MODULEPATH": ":".join(paths), "LMOD_PAGER": "none"}
    listing, reason = run([command, *arguments], module_env, both=True)
    if listing is None:
        return None, reason
    listed = {word.strip().partition("(")[0] for line in listing.splitlines() for word in line.split()[:1]}
    return any(entry == name or entry.rstrip("/").startswith(name + "/") for entry in listed), None
