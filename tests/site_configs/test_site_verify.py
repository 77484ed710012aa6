"""A missing or lowered value of the machine is a difference; a value that cannot be queried is unchecked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sdk_tests.testbeds import processes
from sdk_tests.testbeds.slurm import SlurmTestbed
from site_configs.cli import sites
from site_configs.draft import draft
from site_configs.findings import Findings, diff
from site_configs.load import load_file
from site_configs.survey import survey
from site_configs.verify import verify
from tests.site_configs.machine import BQUEUES, FLUX, LMOD, LSID, OPENLAVA, QSTAT_JSON, SINFO, machine

ROOT = Path(__file__).resolve().parents[2]
SLURM = {"sinfo": SINFO, "srun": "#!/bin/sh\n"}
SITE = """\
system: lab/box
description: A machine for tests
detect: {hosts: ["box*"]}
schedulers:
  - kind: slurm
    version_family: "24.11"
    queues:
      - {name: debug, max_nodes: 4, max_walltime: 00:30:00}
      - {name: batch, max_nodes: 4, max_walltime: 48:00:00}
    default_queue: debug
    launchers: [{name: srun}]
node: {count: 4, cores: 64, threads_per_core: 2}
"""


def compare(folder: Path, text: str, env: dict[str, str], hostname: str = "box1") -> Findings:
    file = folder / "box.yaml"
    file.write_text(text)
    return verify(load_file(file), file, env, hostname)


def differences(findings: Findings) -> dict[str, tuple[str, str]]:
    return {entry.name: (entry.file, entry.machine) for entry in findings.differences}


def edited(old: str, new: str) -> str:
    assert SITE.count(old) == 1
    return SITE.replace(old, new)


def test_a_correct_file_has_no_differences_and_its_statements_are_counted(tmp_path: Path) -> None:
    findings = compare(tmp_path, SITE, machine(tmp_path, SLURM))
    assert differences(findings) == {}
    assert findings.notes == []
    assert findings.unchecked == []
    assert findings.checked == 12  # recognised, kind, version, 2 x (queue, nodes, walltime), count, cores, launcher


@pytest.mark.parametrize(
    ("old", "new", "key", "observed"),
    [
        (
            "name: batch",
            "name: wide",
            "schedulers[0].queues[1].name",
            "does not exist; known here: batch, debug, shared",
        ),
        ("48:00:00", "72:00:00", "schedulers[0].queues[1].max_walltime", "48:00:00"),
        ("{name: batch, max_nodes: 4", "{name: batch, max_nodes: 5", "node.count", "4"),
        ('"24.11"', '"23.02"', "schedulers[0].version_family", "24.11.5"),
        ("name: srun", "name: jsrun", "schedulers[0].launchers[0].name", "not on PATH"),
        ("cores: 64", "cores: 96", "node.cores", "128 in a node of the default queue"),
        ("count: 4", "count: 40", "node.count", "4"),
        ('["box*"]', '["other*"]', "detect", "host box1 does not match: check that this machine is lab/box"),
        ("kind: slurm", "kind: flux", "schedulers[0].kind", "no flux on PATH"),
    ],
)
def test_a_statement_that_the_machine_contradicts_is_a_difference(
    tmp_path: Path, old: str, new: str, key: str, observed: str
) -> None:
    text = edited(old, new).replace("count: 4,", "count: 5," if "max_nodes: 5" in new else "count: 4,")
    assert differences(compare(tmp_path, text, machine(tmp_path, SLURM)))[key][1] == observed


def test_more_nodes_than_a_queue_has_is_a_difference(tmp_path: Path) -> None:
    text = SITE.replace("count: 4, ", "").replace("{name: batch, max_nodes: 4", "{name: batch, max_nodes: 5")
    assert differences(compare(tmp_path, text, machine(tmp_path, SLURM))) == {
        "schedulers[0].queues[1].max_nodes": ("5", "4")
    }


def test_a_limit_of_the_machine_above_the_file_is_a_note(tmp_path: Path) -> None:
    findings = compare(tmp_path, edited("48:00:00", "12:00:00"), machine(tmp_path, SLURM))
    assert findings.differences == []
    assert [(entry.name, entry.machine) for entry in findings.notes] == [
        ("schedulers[0].queues[1].max_walltime", "48:00:00")
    ]


def test_a_limit_that_also_depends_on_qos_or_size_may_be_below_the_partitions(tmp_path: Path) -> None:
    text = edited("max_walltime: 48:00:00}", "max_walltime: 12:00:00, steps: [{nodes: 2, max_walltime: 02:00:00}]}")
    findings = compare(tmp_path, text, machine(tmp_path, SLURM))
    assert findings.differences == findings.notes == []


def test_a_queue_that_is_a_qos_is_compared_with_the_database(tmp_path: Path) -> None:
    qos = "#!/bin/sh\nprintf 'debug|00:30:00|node=8|2|5\\n'\n"
    text = edited(
        "{name: batch, max_nodes: 4, max_walltime: 48:00:00}",
        "{name: b, by_qos: true, qos: debug, max_nodes: 9, max_walltime: 00:30:00, max_queued: 5}\n"
        "      - {name: c, partition: batch, qos: premium}",
    ).replace("count: 4, ", "")
    assert differences(compare(tmp_path, text, machine(tmp_path, {**SLURM, "sacctmgr": qos}))) == {
        "schedulers[0].queues[1].max_nodes": ("9", "8"),
        "schedulers[0].queues[2].qos": ("premium", "does not exist; known here: debug"),
    }


def test_a_qos_without_a_database_is_unchecked(tmp_path: Path) -> None:
    text = edited("name: batch,", "name: batch, qos: normal,")
    findings = compare(tmp_path, text, machine(tmp_path, SLURM))
    assert ("schedulers[0].queues[1].qos", "no sacctmgr on PATH") in findings.unchecked


def test_a_refused_account_is_a_difference_that_does_not_show_the_account(tmp_path: Path) -> None:
    sbatch = '#!/bin/sh\necho "allocation failure: Invalid account ${2#--account=} or partition" >&2\nexit 1\n'
    text = edited("    default_queue: debug\n", "    default_queue: debug\n    account_env: LAB_ACCOUNT\n")
    env = machine(tmp_path, {**SLURM, "sbatch": sbatch})
    findings = compare(tmp_path, text, {**env, "LAB_ACCOUNT": "abc123"})
    assert differences(findings)["schedulers[0].account_env"] == (
        "$LAB_ACCOUNT",
        "refused: sbatch exited with 1: allocation failure: Invalid account *** or partition",
    )
    assert ("schedulers[0].account_env", "$LAB_ACCOUNT is not set") in compare(tmp_path, text, env).unchecked


def test_missing_modules_folders_and_externals_are_differences(tmp_path: Path) -> None:
    env = machine(tmp_path, {**SLURM, "lmod": LMOD}, HERE=str(tmp_path))
    env["LMOD_CMD"] = str(tmp_path / "bin/lmod")
    (tmp_path / "scope").mkdir()
    (tmp_path / "scope/packages.yaml").write_text(
        "packages:\n"
        f"  mpich:\n    externals:\n      - {{spec: mpich@4, prefix: {tmp_path}}}\n"
        "      - {spec: mpich@5, prefix: /nowhere/mpich, modules: [gcc/13.1, gcc/1]}\n"
    )
    (tmp_path / "scope/config.yaml").write_text(
        "config:\n  install_tree: /nowhere/s\n  build_stage: [$HERE/s, $NO_SUCH/s]\n"
    )
    text = SITE + (
        "modules: {system: lmod, use: [/soft/nowhere], load: [gcc, clang]}\n"
        "work_dir: $HERE/a/b\nnetwork: {ca_bundle: /nowhere/ca.pem}\nspack_scope: scope\n"
    )
    different = differences(compare(tmp_path, text, env))
    assert different.pop("work_dir") == ("$HERE/a/b", f"{tmp_path}/a/b does not exist")
    install_tree = different.pop("spack_scope.config.yaml:2.config.install_tree")
    assert install_tree == ("/nowhere/s", "the folder /nowhere does not exist on this machine")
    assert different == {
        "modules.use[0]": ("/soft/nowhere", "no such folder"),
        "modules.load[1]": ("clang", "no such module"),
        "network.ca_bundle": ("/nowhere/ca.pem", "/nowhere/ca.pem does not exist"),
        "spack_scope.packages.yaml:5.mpich@5": ("gcc/1", "no such module"),
    } or different["spack_scope.packages.yaml:5.mpich@5"] == ("/nowhere/mpich", "no such folder")
    unset = ("spack_scope.config.yaml:3.config.build_stage[1]", "$NO_SUCH/s names a variable that is not set")
    assert unset in compare(tmp_path, text, env).unchecked
    both = [entry.machine for entry in compare(tmp_path, text, env).differences if "mpich@5" in entry.name]
    assert both == ["no such folder", "no such module"]


@pytest.mark.parametrize(
    ("programs", "scheduler", "expected"),
    [
        (
            {"flux": FLUX},
            "{kind: flux, queues: [{name: pdebug, max_nodes: 16, max_walltime: 01:00:00}, {name: pci}]}",
            {"schedulers[0].queues[1].name": ("pci", "does not exist; known here: pall, pbatch, pdebug")},
        ),
        (
            {"qstat": QSTAT_JSON},
            "{kind: pbs, queues: [{name: debug, max_nodes: 4, min_walltime: 00:05:00, max_walltime: 02:00:00, "
            "max_queued: 3}, {name: prod, min_nodes: 8}]}",
            {
                "schedulers[0].queues[0].max_nodes": ("4", "2"),
                "schedulers[0].queues[0].max_walltime": ("02:00:00", "01:00:00"),
                "schedulers[0].queues[0].max_queued": ("3", "1"),
                "schedulers[0].queues[1].min_nodes": ("8", "10"),
            },
        ),
        (
            {"bqueues": BQUEUES, "lsid": LSID},
            "{kind: lsf, queues: [{name: pdebug, max_walltime: 03:00:00}], launchers: [{name: jsrun}]}",
            {
                "schedulers[0].queues[0].max_walltime": ("03:00:00", "02:00:00"),
                "schedulers[0].launchers[0].name": ("jsrun", "not on PATH"),
            },
        ),
        (
            {"bqueues": BQUEUES, **OPENLAVA},
            "{kind: lsf, dialect: csm, queues: [{name: pdebug}]}",
            {"schedulers[0].dialect": ("csm", "classic")},
        ),
    ],
    ids=["flux", "pbs", "lsf", "openlava"],
)
def test_the_other_schedulers_are_compared_with_their_output(
    tmp_path: Path, programs: dict[str, str], scheduler: str, expected: dict[str, tuple[str, str]]
) -> None:
    text = f"system: lab/box\ndescription: x\nschedulers:\n  - {scheduler}\n"
    assert differences(compare(tmp_path, text, machine(tmp_path, programs))) == expected


def test_a_kind_without_a_probe_is_unchecked_and_a_nested_scheduler_is_not_queried(tmp_path: Path) -> None:
    text = (
        "system: lab/box\ndescription: x\nschedulers:\n  - {kind: cobalt}\n"
        "  - {kind: flux, nested: true, launchers: [{name: flux}]}\n"
    )
    findings = compare(tmp_path, text, machine(tmp_path, {}))
    assert findings.differences == []
    assert [key for key, _ in findings.unchecked] == ["detect", "schedulers[0]", "schedulers[1].launchers[0].name"]


def test_the_diff_names_file_line_and_key(tmp_path: Path) -> None:
    findings = compare(tmp_path, edited("48:00:00", "72:00:00"), machine(tmp_path, SLURM))
    file = tmp_path / "box.yaml"
    assert list(diff(findings, file)) == [
        f"{file}:9: schedulers[0].queues[1].max_walltime",
        "- 72:00:00",
        "+ 48:00:00",
    ]


# ------------------------------------------------------------------------------------------- real schedulers


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of a private Slurm with two nodes of two cores."""
    kind = SlurmTestbed()
    testbed = kind.up(tmp_path_factory.mktemp("testbed"), 2, 2, processes.identify(os.getpid()))
    try:
        env = {**os.environ, **testbed.env}
        if "PATH+" in env:
            env["PATH"] = os.pathsep.join((env.pop("PATH+"), os.environ["PATH"]))
        yield env
    finally:
        kind.down(testbed)


def run(env: dict[str, str], *arguments: str) -> Result:
    return CliRunner().invoke(sites, ["verify", *arguments], env=env, catch_exceptions=False)


@pytest.mark.needs("slurm", "munge")
def test_a_draft_agrees_with_its_real_slurm_and_a_changed_one_does_not(tmp_path: Path, slurm: dict[str, str]) -> None:
    facts = survey(slurm)
    file = tmp_path / "box.yaml"
    text = (
        draft(facts, "lab/box")
        .partition("\nmodules:")[0]
        .replace("    # account_env: NAME_OF_A_VARIABLE ", "    account_env: LAB_ACCOUNT ")
    )
    file.write_text(text)
    right = run({**slurm, "LAB_ACCOUNT": "any"}, "--site-file", str(file), "--strict")
    assert right.exit_code == 0, right.output
    assert "0 differences, 0 notes" in right.output
    assert "unchecked: schedulers[0].account_env" not in right.output  # checked by Slurm, without submitting a job

    (queue, *_) = facts.schedulers[0].queues
    changed = text.replace(
        f"- name: {queue.name}\n", "- name: gone\n        max_nodes: 1\n      - name: " + queue.name + "\n"
    )
    changed = changed.replace("        max_nodes: 2", "        max_nodes: 3").replace("  count: 2", "  count: 3")
    file.write_text(changed)
    wrong = run(slurm, "--site-file", str(file), "--json")
    assert wrong.exit_code == 1
    different = {entry["key"]: entry["machine"] for entry in json.loads(wrong.output)["differences"]}
    assert different["schedulers[0].queues[0].name"].startswith("does not exist; known here: ")
    assert different["schedulers[0].queues[1].max_nodes"] == "2"
    assert different["node.count"] == "2"
    assert set(different) == {"schedulers[0].queues[0].name", "schedulers[0].queues[1].max_nodes", "node.count"}


@pytest.mark.needs("slurm", "munge")
def test_a_limit_above_a_real_partitions_is_a_difference(tmp_path: Path, slurm: dict[str, str]) -> None:
    queue = survey(slurm).schedulers[0].queues[0]
    file = tmp_path / "box.yaml"
    file.write_text(
        "system: lab/box\ndescription: x\nschedulers:\n  - kind: slurm\n    queues:\n"
        f"      - {{name: {queue.name}, max_walltime: 9999:00:00}}\n"
    )
    result = run(slurm, "--site-file", str(file))
    assert result.exit_code == 1
    assert f"{file}:6: schedulers[0].queues[0].max_walltime\n- 9999:00:00\n+ {queue.max_walltime}\n" in result.output


@pytest.mark.needs("flux")
def test_a_real_flux_confirms_its_queues_and_no_others(tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/queues.toml").write_text(
        '[queues.pdebug]\npolicy.limits.duration = "1h"\n[queues.pbatch]\n'
        'policy.limits.job-size.max.nnodes = 1\n[policy]\njobspec.defaults.system.queue = "pdebug"\n'
    )
    file = tmp_path / "box.yaml"
    file.write_text(
        "system: lab/box\ndescription: x\nschedulers:\n  - kind: flux\n    queues:\n"
        "      - {name: pdebug, max_nodes: 2, max_walltime: 02:00:00}\n      - {name: pbatch, max_nodes: 2}\n"
        "      - {name: gone}\n    launchers: [{name: flux}]\nnode: {count: 2}\n"
    )
    command = [sys.executable, "-m", "exaworks_sdk", "sites", "verify", "--site-file", str(file), "--json"]
    done = subprocess.run(
        ["flux", "start", f"--config-path={tmp_path / 'conf'}", "--test-size=2", *command],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
        timeout=120,
    )
    different = {entry["key"]: entry["machine"] for entry in json.loads(done.stdout)["differences"]}
    assert different == {
        "schedulers[0].queues[0].max_walltime": "01:00:00",
        "schedulers[0].queues[1].max_nodes": "1",
        "schedulers[0].queues[2].name": "does not exist; known here: pbatch, pdebug",
    }


def test_a_retired_system_cannot_be_verified() -> None:
    result = CliRunner().invoke(sites, ["verify", "ornl/summit"])
    assert result.exit_code == 2
    assert "retired" in result.output
