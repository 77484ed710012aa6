"""Compare a site file with the machine it describes: schedulers, modules, folders and Spack externals."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path

from site_configs.detect import matches
from site_configs.document import Key
from site_configs.findings import Findings
from site_configs.probes import modules
from site_configs.schema import System
from site_configs.scope import externals, folder_of
from site_configs.scope_places import missing_places
from site_configs.verify_scheduler import compare


def verify(
    system: System, file: Path, environ: Mapping[str, str] | None = None, hostname: str | None = None
) -> Findings:
    """Compare a site file with this machine. Runs a few short queries for each scheduler; submits no job."""
    env = dict(os.environ if environ is None else environ)
    findings = Findings()
    _recognised(system, env, socket.gethostname() if hostname is None else hostname, findings)
    for index, spec in enumerate(system.schedulers):
        compare(system, spec, ("schedulers", index), env, findings)
    _modules(system, env, findings)
    _places(system, env, findings)
    folder = folder_of(system, file)
    if folder is not None:
        _externals(folder, env, findings)
        _scope_places(folder, env, findings)
    return findings


def _recognised(system: System, env: Mapping[str, str], hostname: str, findings: Findings) -> None:
    if not system.detect.hosts and not system.detect.environment:
        findings.skip(("detect",), "the file has no hosts or environment to recognise the machine by")
    elif matches(system.detect, hostname, env):
        findings.ok()
    else:
        patterns = ", ".join(
            [*system.detect.hosts, *(f"{name}={text}" for name, text in system.detect.environment.items())]
        )
        message = f"host {hostname} does not match: check that this machine is {system.system}"
        findings.differ(("detect",), patterns, message)


def _modules(system: System, env: Mapping[str, str], findings: Findings) -> None:
    if system.modules.system is not None:
        kind = modules.system(env)
        if kind == system.modules.system:
            findings.ok()
        else:
            findings.differ(("modules", "system"), system.modules.system, kind or "none in this environment")
    for index, path in enumerate(system.modules.use):
        place = Path(os.path.expandvars(path))
        findings.ok() if place.is_dir() else findings.differ(("modules", "use", index), path, "no such folder")
    wanted: list[tuple[Key, str]] = [(("modules", "load", i), name) for i, name in enumerate(system.modules.load)]
    for index, spec in enumerate(system.schedulers):
        wanted += [(("schedulers", index, "modules", place), name) for place, name in enumerate(spec.modules)]
    for key, name in wanted:
        available, reason = modules.available(name, env, system.modules.use)
        if available is None:
            findings.skip(key, reason or "the module system did not answer")
        elif available:
            findings.ok()
        else:
            findings.differ(key, name, "no such module")


def _places(system: System, env: Mapping[str, str], findings: Findings) -> None:
    for key, path in ((("work_dir",), system.work_dir), (("network", "ca_bundle"), system.network.ca_bundle)):
        if path is None:
            continue
        expanded = _expand(path, env)
        if "$" in expanded:
            findings.skip(key, f"{expanded} names a variable that is not set")
        elif Path(expanded).exists() or (key == ("work_dir",) and Path(expanded).parent.is_dir()):
            findings.ok()
        else:
            findings.differ(key, path, f"{expanded} does not exist")
    if system.network.interface:
        findings.skip(("network", "interface"), "the interface is that of compute nodes, and this may be a login node")


def _expand(path: str, env: Mapping[str, str]) -> str:
    for name in sorted(env, key=len, reverse=True):
        path = path.replace("${" + name + "}", env[name]).replace("$" + name, env[name])
    return str(Path(path).expanduser())


def _externals(folder: Path, env: Mapping[str, str], findings: Findings) -> None:
    for external in externals(folder):
        key: Key = ("spack_scope", f"{external.file.name}:{external.line}", external.spec)
        if external.prefix is not None:
            place = Path(_expand(external.prefix, env))
            findings.ok() if place.is_dir() else findings.differ(key, external.prefix, "no such folder")
        for name in external.modules:
            available, reason = modules.available(name, env)
            if available is None:
                findings.skip(key, reason or "the module system did not answer")
            elif available:
                findings.ok()
            else:
                findings.differ(key, name, "no such module")


def _scope_places(folder: Path, env: Mapping[str, str], findings: Findings) -> None:
    for missing in missing_places(folder, env):
        key: Key = ("spack_scope", f"{missing.file.name}:{missing.line}", missing.key)
        if missing.variable:
            findings.skip(key, f"{missing.value} names a variable that is not set")
        else:
            findings.differ(key, missing.value, missing.reason)
