"""Every packaged site file loads, is recognised on its own machine only, and names its sources."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from site_configs.cli import sites
from site_configs.detect import detect, matches
from site_configs.errors import NoSystemDetected
from site_configs.load import PACKAGED, load_file
from site_configs.schema import State, System, seconds
from site_configs.values import LauncherKind, Trigger

FILES = {f"{path.parent.name}/{path.stem}": path for path in sorted(PACKAGED.glob("*/*.yaml"))}
SYSTEMS: dict[str, System] = {name: load_file(path) for name, path in FILES.items()}
FACILITIES = [name for name in SYSTEMS if not name.startswith("local/")]
ACTIVE = [name for name in FACILITIES if SYSTEMS[name].state is State.ACTIVE]

HOSTS = [
    ("llnl/tuolumne", "tuolumne1001", {}),
    ("llnl/tuolumne", "tuolumne2149.llnl.gov", {}),
    ("llnl/elcapitan", "elcap1004", {}),
    ("llnl/elcapitan", "elcap.llnl.gov", {}),
    ("llnl/dane", "dane7", {}),
    ("llnl/dane", "dane.llnl.gov", {}),
    ("llnl/lassen", "lassen708", {}),
    ("llnl/lassen", "lassen709.coral.llnl.gov", {}),
    ("llnl/ruby", "ruby961", {}),
    ("ornl/frontier", "login01.frontier.olcf.ornl.gov", {}),
    ("ornl/frontier", "login12.frontier", {}),
    ("ornl/frontier", "login07", {"LMOD_SYSTEM_NAME": "frontier"}),
    ("ornl/andes", "andes-login1.olcf.ornl.gov", {}),
    ("ornl/andes", "andes-login8", {"LMOD_SYSTEM_NAME": "andes"}),
    ("ornl/andes", "andes338.olcf.ornl.gov", {}),
    ("ornl/odo", "login1.odo.olcf.ornl.gov", {}),
    ("ornl/odo", "login2.odo", {}),
    ("ornl/summit", "login1.summit.olcf.ornl.gov", {}),
    ("ornl/summit", "login5", {"LMOD_SYSTEM_NAME": "summit"}),
    ("anl/aurora", "aurora-uan-0009", {}),
    ("anl/aurora", "x4117c3s3b0n0.hsn.cm.aurora.alcf.anl.gov", {}),
    ("anl/polaris", "polaris-login-04.hsn.cm.polaris.alcf.anl.gov", {}),
    ("anl/polaris", "polaris-login-01", {}),
    ("anl/crux", "crux-login-01", {}),
    ("anl/crux", "x1000c0s6b0n1.hostmgmt2000.cm.crux.alcf.anl.gov", {}),
    ("anl/sophia", "sophia-login-02", {}),
    ("anl/sophia", "sophia-gpu-05", {}),
    ("anl/theta", "thetalogin4", {}),
    ("nersc/perlmutter", "login17", {"NERSC_HOST": "perlmutter"}),
    ("nersc/perlmutter", "perlmutter.nersc.gov", {}),
]
"""Host names that the facilities document, in full or as ``hostname`` prints them, and variables that users have."""

OTHER_HOSTS = [
    *("login1", "login07", "laptop", "ruby", "ruby-laptop", "dane", "danes-desk", "andes", "aurora", "aurora-pc"),
    *("elcap", "elcapitan", "sophia", "sophia-pc", "crux", "odo", "login1.odo.example.org"),
]


@pytest.mark.parametrize(("name", "host", "environ"), HOSTS, ids=[f"{name}-{host}" for name, host, _ in HOSTS])
def test_a_documented_host_name_matches_exactly_one_system(name: str, host: str, environ: dict[str, str]) -> None:
    assert [known for known, system in SYSTEMS.items() if matches(system.detect, host, environ)] == [name]


def test_every_facility_system_has_a_documented_host_name() -> None:
    assert {name for name, _, _ in HOSTS} == set(FACILITIES)


@pytest.mark.parametrize("host", OTHER_HOSTS)
def test_a_host_with_only_a_similar_name_matches_no_system(host: str) -> None:
    assert [name for name, system in SYSTEMS.items() if matches(system.detect, host, {})] == []


@pytest.mark.parametrize(("name", "host", "environ"), HOSTS, ids=[f"{name}-{host}" for name, host, _ in HOSTS])
def test_an_active_system_is_detected_and_a_retired_one_is_not(name: str, host: str, environ: dict[str, str]) -> None:
    if SYSTEMS[name].state is State.ACTIVE:
        assert detect(host, environ).system == name
    else:
        with pytest.raises(NoSystemDetected, match=f"only {name}, which is retired"):
            detect(host, environ)


def test_sites_check_accepts_every_file_and_every_spack_scope() -> None:
    result = CliRunner().invoke(sites, ["check"])
    assert result.exit_code == 0, result.output
    assert {line.rpartition(" ")[2] for line in result.stdout.splitlines()} == set(SYSTEMS)


def test_the_systems_are_those_that_the_project_promises() -> None:
    assert {name: (SYSTEMS[name].state.value, SYSTEMS[name].schedulers[0].kind) for name in FACILITIES} == {
        "llnl/tuolumne": ("active", "flux"),
        "llnl/elcapitan": ("active", "flux"),
        "llnl/dane": ("active", "slurm"),
        "llnl/lassen": ("retired", "lsf"),
        "llnl/ruby": ("retired", "slurm"),
        "ornl/frontier": ("active", "slurm"),
        "ornl/andes": ("active", "slurm"),
        "ornl/odo": ("active", "slurm"),
        "ornl/summit": ("retired", "lsf"),
        "anl/aurora": ("active", "pbs"),
        "anl/polaris": ("active", "pbs"),
        "anl/crux": ("active", "pbs"),
        "anl/sophia": ("active", "pbs"),
        "anl/theta": ("retired", "cobalt"),
        "nersc/perlmutter": ("active", "slurm"),
    }


@pytest.mark.parametrize("name", FACILITIES)
def test_a_default_job_fits_its_default_queue(name: str) -> None:
    for spec in SYSTEMS[name].schedulers:
        if spec.nested:
            continue
        queue = spec.queue(None)
        assert queue is not None
        assert queue.admits(spec.default_nodes, 600)
        assert queue.max_queued is None or spec.max_jobs <= queue.max_queued
        assert queue.max_running is None or spec.max_jobs <= queue.max_running
        assert spec.account_env
        assert spec.launchers
        wide = spec.queue(spec.multi_node_queue)
        assert wide is not None
        assert wide.admits(2, 600), "two-node cases need a queue that accepts them"


@pytest.mark.parametrize("name", FACILITIES)
def test_login_nodes_run_no_cases_and_records_are_minimal(name: str) -> None:
    system = SYSTEMS[name]
    assert system.local.allowed is False
    assert system.redaction == "minimal"
    assert system.node.cores
    assert system.node.architecture


WITHOUT_SCOPE = {"anl/crux", "anl/sophia", "ornl/odo"}
"""Active systems for which no public page names the versions of MPI and compilers."""


@pytest.mark.parametrize("name", ACTIVE)
def test_an_active_system_has_node_hours_a_cadence_and_a_spack_scope_or_says_why_not(name: str) -> None:
    system = SYSTEMS[name]
    assert system.limits.node_hours
    assert system.cadence
    assert system.stale_after
    assert seconds(system.stale_after) > seconds(system.cadence)
    assert system.work_dir
    assert bool(system.spack_scope) == (name not in WITHOUT_SCOPE)
    assert ("no Spack scope" in FILES[name].read_text().replace("\n# ", " ")) == (name in WITHOUT_SCOPE)
    assert ("spack" in system.deployment_if_installed) == bool(system.spack_scope)


def test_the_walltime_limit_depends_on_the_size_of_a_job() -> None:
    frontier = SYSTEMS["ornl/frontier"].schedulers[0].queue("batch")
    assert frontier is not None
    assert [frontier.walltime_limit(nodes) for nodes in (1, 91, 92, 183, 184, 9472)] == [
        hours * 3600 for hours in (2, 2, 6, 6, 12, 12)
    ]
    assert frontier.admits(92, 6 * 3600)
    assert not frontier.admits(91, 6 * 3600)
    assert not frontier.admits(9473, 60)
    andes = SYSTEMS["ornl/andes"].schedulers[0].queue("batch")
    assert andes is not None
    assert [andes.walltime_limit(nodes) for nodes in (16, 17, 65)] == [hours * 3600 for hours in (48, 36, 3)]
    prod = SYSTEMS["anl/aurora"].schedulers[0].queue("prod")
    assert prod is not None
    assert not prod.admits(255, 3600)
    assert not prod.admits(256, 60)  # the minimum is five minutes
    assert prod.admits(256, 12 * 3600)
    assert not prod.admits(256, 12 * 3600 + 1)


def test_a_job_names_the_partition_or_qos_that_the_site_requires() -> None:
    frontier, perlmutter = (SYSTEMS[name].schedulers[0] for name in ("ornl/frontier", "nersc/perlmutter"))
    pairs = [queue.partition_and_qos for queue in frontier.queues]
    assert pairs == [("batch", "debug"), ("batch", None), ("extended", None)]
    assert [queue.partition_and_qos for queue in perlmutter.queues][:2] == [(None, "debug"), (None, "regular")]


def test_frontier_has_flux_inside_slurm() -> None:
    outer, nested = SYSTEMS["ornl/frontier"].schedulers
    assert (nested.kind, nested.nested, nested.within) == ("flux", True, outer.label)
    argv = [argument.format(nodes=2, cores=56, gpus=8) for argument in nested.start]
    assert argv == ["srun", "-N", "2", "-n", "2", "-c", "56", "--gpus-per-node=8", "flux", "start"]


def test_every_launcher_has_the_options_of_its_vendor() -> None:
    kinds = {name: [launcher.option_kind for launcher in SYSTEMS[name].schedulers[0].launchers] for name in FACILITIES}
    assert kinds["anl/aurora"] == kinds["anl/polaris"] == kinds["anl/crux"] == [LauncherKind.PALS]
    assert kinds["anl/sophia"] == [LauncherKind.MPIEXEC]
    assert kinds["anl/theta"] == [LauncherKind.APRUN]
    assert kinds["llnl/lassen"] == [LauncherKind.JSRUN, LauncherKind.LRUN]
    assert kinds["llnl/tuolumne"] == kinds["llnl/elcapitan"] == [LauncherKind.FLUX]
    assert kinds["ornl/frontier"] == [LauncherKind.SRUN]


def test_a_system_has_a_runner_exactly_if_gitlab_triggers_it() -> None:
    for name in ACTIVE:
        system = SYSTEMS[name]
        assert (Trigger.GITLAB in system.ci.triggers) == bool(system.runner.tags)
    aurora = SYSTEMS["anl/aurora"]
    assert aurora.ci.scheduler_parameters == "ANL_AURORA_SCHEDULER_PARAMETERS"
    assert (aurora.runner.tags, aurora.runner.batch_tags) == (["aurora"], ["batch"])
    assert SYSTEMS["nersc/perlmutter"].ci.triggers == {Trigger.GITLAB, Trigger.SCRONTAB}


def test_the_packaged_files_are_installed_with_the_package() -> None:
    setuptools = pytest.importorskip("setuptools")
    packages = set(setuptools.find_namespace_packages(str(PACKAGED.parent), include=["site_configs*"]))
    folders = {path.parent for path in PACKAGED.rglob("*.yaml")}
    assert {".".join(folder.relative_to(PACKAGED.parent).parts) for folder in folders} <= packages
