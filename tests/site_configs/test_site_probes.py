"""The probes read the documented output of each scheduler."""

from __future__ import annotations

from pathlib import Path

import pytest

from site_configs.probes import SCHEDULERS, ObservedScheduler, flux, lsf, modules, pbs, slurm
from site_configs.probes.observed import UNLIMITED, ObservedQueue
from tests.site_configs.machine import (
    BJOBS,
    BQUEUES,
    FLUX,
    LMOD,
    LSID,
    OPENLAVA,
    QSTAT_JSON,
    QSTAT_TEXT,
    SINFO,
    machine,
)


def observed(answer: ObservedScheduler | str) -> ObservedScheduler:
    assert isinstance(answer, ObservedScheduler), answer
    return answer


def test_a_partition_with_two_kinds_of_node_has_the_shape_of_the_smaller_one(tmp_path: Path) -> None:
    scheduler = observed(slurm.probe(machine(tmp_path, {"sinfo": SINFO})))
    batch = next(queue for queue in scheduler.queues if queue.name == "batch")
    assert (batch.nodes, batch.cores, batch.memory_gb, batch.max_nodes) == (4, 64, 250, None)
    assert scheduler.nodes == 4  # not the sum over partitions, which share nodes
    assert [queue.max_walltime for queue in scheduler.queues] == ["00:30:00", "48:00:00", UNLIMITED]
    assert [queue.name for queue in scheduler.queues if not queue.up] == ["shared"]


def test_the_limits_of_a_qos_are_read_from_the_database(tmp_path: Path) -> None:
    text = "#!/bin/sh\nprintf 'debug|00:30:00|cpu=64,node=8|2|5\\nregular|2-00:00:00||||\\nbad\\nfree|||| \\n'\n"
    qualities = slurm.qos(machine(tmp_path, {"sacctmgr": text}))
    assert isinstance(qualities, dict)
    assert qualities["debug"] == slurm.Qos("debug", "00:30:00", 8, 2, 5)
    assert qualities["free"] == slurm.Qos("free")
    assert "bad" not in qualities


def test_a_slurm_without_a_database_gives_a_reason_instead_of_qos(tmp_path: Path) -> None:
    text = "#!/bin/sh\necho 'You are not running a supported accounting_storage plugin' >&2\nexit 1\n"
    assert slurm.qos(machine(tmp_path, {"sacctmgr": text})) == (
        "sacctmgr exited with 1: You are not running a supported accounting_storage plugin"
    )


def test_a_refused_account_is_distinguished_from_other_refusals(tmp_path: Path) -> None:
    text = """#!/bin/sh
case "$*" in
  *--account=good*) ;;
  *--account=wide*) echo "allocation failure: Requested node configuration is not available" >&2; exit 1 ;;
  *) echo "allocation failure: Invalid account or account/partition combination specified" >&2; exit 1 ;;
esac
"""
    env = machine(tmp_path, {"sbatch": text})
    assert slurm.account_refused("good", "debug", None, 1, [], env) == (False, None)
    assert slurm.account_refused("wide", "debug", None, 1, [], env)[0] is False
    refused, message = slurm.account_refused("bad", "debug", "normal", 1, ["-C", "cpu"], env)
    assert refused
    assert "Invalid account" in str(message)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30m", "00:30:00"),
        ("1.5h", "01:30:00"),
        ("1d", "24:00:00"),
        ("86400.0", "24:00:00"),
        ("inf", UNLIMITED),
        ("?", None),
    ],
)
def test_flux_durations_are_read_in_every_form(text: str, expected: str | None) -> None:
    assert flux.duration(text) == expected


def test_a_flux_without_named_queues_has_none(tmp_path: Path) -> None:
    text = FLUX.replace("pbatch|pbatch*|enabled|86400.0|0-256\npdebug|pdebug|enabled|1h|1-16\npall|pall", "|")
    assert observed(flux.probe(machine(tmp_path, {"flux": text}))).queues == ()


def test_a_flux_that_does_not_answer_is_absent_with_its_own_message(tmp_path: Path) -> None:
    text = "#!/bin/sh\necho 'flux-queue: ERROR: Unable to connect to Flux' >&2\nexit 1\n"
    assert flux.probe(machine(tmp_path, {"flux": text})) == (
        "flux exited with 1: flux-queue: ERROR: Unable to connect to Flux"
    )


def test_pbs_is_read_as_json_or_as_text(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    new = observed(pbs.probe(machine(tmp_path, {"qstat": QSTAT_JSON})))
    old = observed(pbs.probe(machine(tmp_path / "old", {"qstat": QSTAT_TEXT})))
    assert [queue.name for queue in new.queues] == ["debug", "prod", "off"]
    assert [queue.up for queue in new.queues] == [True, True, False]
    assert new.queues[1].routes == ("small", "large")
    assert old.queues[0] == ObservedQueue("workq", default=True, max_nodes=8, max_walltime="24:00:00")
    assert old.version == "14.1.2"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("01:00:00", "01:00:00"), ("10:00", "00:10:00"), ("3600", "01:00:00"), ("168:00:00", "168:00:00"), ("", None)],
)
def test_pbs_walltimes_are_read_in_every_form(text: str, expected: str | None) -> None:
    assert pbs.walltime(text) == expected


def test_a_qstat_that_does_not_belong_to_pbs_is_a_reason(tmp_path: Path) -> None:
    assert pbs.probe(machine(tmp_path, {"qstat": "#!/bin/sh\necho JobID State\n"})) == (
        "qstat printed something that is not JSON"
    )


def test_the_maximum_limits_of_lsf_count_and_not_the_default_limits(tmp_path: Path) -> None:
    scheduler = observed(lsf.probe(machine(tmp_path, {"bqueues": BQUEUES, "lsid": LSID})))
    debug, batch = scheduler.queues
    assert (debug.default, debug.up, debug.max_walltime) == (True, True, "02:00:00")
    assert (batch.default, batch.up, batch.max_walltime) == (False, False, "12:00:00")
    assert scheduler.version == "10.1.0.13"


@pytest.mark.parametrize(
    ("programs", "expected"),
    [
        ({"bjobs": BJOBS}, "slots"),
        ({"bjobs": BJOBS, "jsrun": "#!/bin/sh\n"}, "csm"),
        ({"bjobs": "#!/bin/sh\necho No unfinished job found >&2; exit 255\n"}, "slots"),
        (OPENLAVA, "classic"),
        ({}, None),
    ],
)
def test_the_dialect_of_an_lsf_is_found_out(tmp_path: Path, programs: dict[str, str], expected: str | None) -> None:
    scheduler = observed(lsf.probe(machine(tmp_path, {"bqueues": BQUEUES, "lsid": LSID, **programs})))
    assert scheduler.dialect == expected
    assert scheduler.version == ("2.2" if programs is OPENLAVA else "10.1.0.13")


def test_every_probe_names_the_missing_command(tmp_path: Path) -> None:
    env = machine(tmp_path, {})
    assert {kind: probe(env) for kind, probe in SCHEDULERS.items()} == {
        "slurm": "no sinfo on PATH",
        "flux": "no flux on PATH",
        "pbs": "no qstat on PATH",
        "lsf": "no bqueues on PATH",
    }


def test_a_module_is_available_in_any_version_or_in_the_named_one(tmp_path: Path) -> None:
    env = machine(tmp_path, {"lmod": LMOD}, LOADEDMODULES="cmake/3.30")
    env["LMOD_CMD"] = str(tmp_path / "bin/lmod")
    assert modules.available("gcc", env) == (True, None)
    assert modules.available("gcc/13.1", env) == (True, None)
    assert modules.available("gcc/9", env) == (False, None)
    assert modules.available("cmake/3.30", env) == (True, None)  # it is loaded, so no query is needed
    assert modules.available("special", env) == (False, None)
    assert modules.available("special", env, ["/soft/extra"]) == (True, None)


def test_without_a_module_system_it_is_not_known_whether_a_module_is_available(tmp_path: Path) -> None:
    available, reason = modules.available("gcc", machine(tmp_path, {}))
    assert available is None
    assert "LMOD_CMD" in str(reason)
