"""Every mistake in a site file is a SiteFileError that names the file, line and key, with a hint at the correction."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from site_configs import load
from site_configs.errors import SiteError, SiteFileError, UnknownSystem
from site_configs.schema import System

SITE = """\
system: lab/box
description: A machine for tests
schedulers:
  - kind: slurm
    queues:
      - name: debug
        max_nodes: 2
        max_walltime: 00:30:00
      - name: wide
        max_nodes: 64
    default_queue: debug
    multi_node_queue: wide
    account_env: LAB_ACCOUNT
    directives: [--constraint=cpu]
    launchers:
      - name: srun
        flags: [--mpi=pmi2]
    max_jobs: 4
    status_interval: 5
limits:
  queue_wait: 00:20:00
waivers:
  - cases: parsl/htex*
    reason: known upstream
    expires: 2999-12-31
"""

REFERENCE = "{cases: parsl/*, metric: tasks_per_second, value: 7, unit: 1/s, tolerance: 5}"


def edited(old: str, new: str) -> str:
    assert SITE.count(old) == 1
    return SITE.replace(old, new)


def refusal(text: str) -> str:
    with pytest.raises(SiteFileError) as caught:
        load.load_text(text, "lab/box.yaml")
    assert caught.value.exit_code == 2
    return caught.value.message


def test_a_correct_file_loads_with_its_values_and_the_defaults_of_other_keys() -> None:
    system = load.load_text(SITE, "lab/box.yaml")
    assert (system.site, system.name) == ("lab", "box")
    (slurm,) = system.schedulers
    assert [queue.name for queue in slurm.queues] == ["debug", "wide"]
    assert slurm.queues[0].max_walltime == "00:30:00"  # YAML 1.2: not a number in base 60
    assert system.waivers[0].expires == "2999-12-31"  # and not a date object
    assert slurm.status_interval == 5.0
    assert system.redaction == "full"
    assert system.local.allowed is False


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "expected"),
    [
        ("max_nodes: 2\n", "max_node: 2\n", 7, "schedulers[0].queues[0].max_node", "did you mean 'max_nodes'?"),
        ("limits:", "limit:", 20, "limit", "did you mean 'limits'?"),
        ("limits:", "zzz:", 20, "zzz", "known here: allowed_skips"),
        ("max_jobs: 4", "max_jobs: four", 18, "schedulers[0].max_jobs", "got 'four'"),
        ("max_jobs: 4", "max_jobs: 0", 18, "schedulers[0].max_jobs", "at least 1, got 0"),
        ("max_jobs: 4", "max_jobs: 1.5", 18, "schedulers[0].max_jobs", "got 1.5"),
        ("max_jobs: 4", "max_jobs:", 18, "schedulers[0].max_jobs", "got nothing"),
        ("max_jobs: 4", "max_jobs: true", 18, "schedulers[0].max_jobs", "got true"),
        ("max_jobs: 4", "exclusive: yes", 18, "schedulers[0].exclusive", "expected true or false, got 'yes'"),
        ("max_jobs: 4", "version_family: 22.05", 18, "schedulers[0].version_family", "put it in quotes"),
        ("status_interval: 5", "status_interval: 0", 19, "schedulers[0].status_interval", "above 0"),
        ("status_interval: 5", "status_interval: -1", 19, "schedulers[0].status_interval", "above 0"),
        ("status_interval: 5", "status_interval: .inf", 19, "schedulers[0].status_interval", "not a finite number"),
        ("00:30:00", "30 minutes", 8, "schedulers[0].queues[0].max_walltime", "HH:MM:SS"),
        ("00:30:00", "1800", 8, "schedulers[0].queues[0].max_walltime", "HH:MM:SS"),
        ("00:30:00", "00:61:00", 8, "schedulers[0].queues[0].max_walltime", "HH:MM:SS"),
        ("00:30:00", "00:00:00", 8, "schedulers[0].queues[0].max_walltime", "no job fits"),
        ("max_nodes: 2\n", "min_nodes: 3\n        max_nodes: 2\n", 7, "queues[0].min_nodes", "no job fits"),
        ("max_walltime: 00", "min_walltime: 01:00:00\n        max_walltime: 00", 8, "min_walltime", "no job fits"),
        ("default_queue: debug", "default_queue: debgu", 11, "schedulers[0].default_queue", "did you mean 'debug'?"),
        ("multi_node_queue: wide", "multi_node_queue: big", 12, "multi_node_queue", "known here: debug, wide"),
        ("max_nodes: 64", "max_nodes: 1", 12, "schedulers[0].multi_node_queue", "at most one node"),
        ("name: wide", "name: debug", 9, "schedulers[0].queues[1].name", "listed twice"),
        ("kind: slurm", "kind: slrum", 4, "schedulers[0].kind", "did you mean 'slurm'?"),
        ("kind: slurm", "kind: local", 4, "schedulers[0].kind", "local.allowed"),
        ("queue_wait: 00:20:00", "queue_wait: 00:00:00", 21, "limits.queue_wait", "given up at once"),
        ("queue_wait: 00:20:00", "infra_retries: -1", 21, "limits.infra_retries", "0 or more"),
        ("limits:", "redaction: some\nlimits:", 20, "redaction", "full or minimal"),
        ("limits:", "state: retierd\nlimits:", 20, "state", "did you mean 'retired'?"),
        ("limits:", "promises: [parsel]\nlimits:", 20, "promises[0]", "did you mean 'parsl'?"),
        ("limits:", "testbeds: [slrum]\nlimits:", 20, "testbeds[0]", "did you mean 'slurm'?"),
        ("limits:", "deployment: path:x\nlimits:", 20, "deployment", "on PATH"),
        ("limits:", "promises: [radical_pilot]\nlimits:", 20, "promises[0]", "did you mean 'radical.pilot'?"),
        ("limits:", "promises: parsl\nlimits:", 20, "promises", "write [parsl]"),
        ("limits:", "deployment: spak:env\nlimits:", 20, "deployment", "did you mean 'spack'?"),
        ("limits:", "deployment: module\nlimits:", 20, "deployment", "module:NAME"),
        ("limits:", "deployment: 'spack:'\nlimits:", 20, "deployment", "spack:NAME"),
        ("limits:", "node: {cores: 64, usable_cores: 65}\nlimits:", 20, "node.usable_cores", "more than"),
        ("limits:", "detect: {hosts: ['*']}\nlimits:", 20, "detect.hosts", "every machine"),
        ("limits:", "detect: {environment: {A-B: x}}\nlimits:", 20, "detect.environment.A-B", "variable"),
        ("limits:", "work_dir: scratch\nlimits:", 20, "work_dir", "absolute"),
        ("limits:", "cadence: 24:00:00\nstale_after: 01:00:00\nlimits:", 21, "stale_after", "cadence"),
        ("limits:", "collector: {url: 'https://a:b@c.example'}\nlimits:", 20, "collector.url", "never in the file"),
        ("limits:", "collector: {url: c.example}\nlimits:", 20, "collector.url", "https://"),
        ("limits:", "collector: {url: 'https://c.example', embedded: true}\nlimits:", 20, "embedded", "not both"),
        ("limits:", "collector: {token: abc}\nlimits:", 20, "collector.token", "secrets are never in the file"),
        ("expires: 2999-12-31", "expires: 2001-01-01", 25, "waivers[0].expires", "expired on 2001-01-01"),
        ("expires: 2999-12-31", "expires: 2999-02-31", 25, "waivers[0].expires", "calendar"),
        ("expires: 2999-12-31", "expires: soon", 25, "waivers[0].expires", "YYYY-MM-DD"),
        ("system: lab/box", "system: box", 1, "system", "SITE/SYSTEM"),
        ("system: lab/box", "system: Lab/Box", 1, "system", "SITE/SYSTEM"),
        ("system: lab/box\n", "", 1, "", "the key 'system' is missing"),
        ("    reason: known upstream\n", "", 23, "waivers[0]", "the key 'reason' is missing"),
        ("--constraint=cpu", '"a\\nb"', 14, "schedulers[0].directives[0]", "an entry is one line"),
        ("description: A machine for tests", "description: !!binary abc", 2, "description", "tag"),
        ("description: A machine for tests", "description: &x A machine", 2, "description", "anchors"),
        ("description: A machine for tests", "description: 9999999999999999999999", 2, "description", "64 bits"),
        ("description: A machine for tests", 'description: "\\ud800"', 2, "description", "Unicode"),
        ("description: A machine for tests", "description: x\n3: y", 3, "", "a key must be plain text, not '3'"),
    ],
)
def test_a_mistake_is_named_by_file_line_and_key(old: str, new: str, line: int, key: str, expected: str) -> None:
    message = refusal(edited(old, new))
    assert message.startswith(f"lab/box.yaml:{line}: ")
    assert f"{key}: " in message
    assert expected in message


@pytest.mark.parametrize("deployment", ["path", "release", "release:2026.11", "spack", "spack:/opt/view", "module:m/1"])
def test_a_valid_deployment_is_accepted(deployment: str) -> None:
    assert load.load_text(f"{SITE}deployment: {deployment}\n", "lab").deployment == deployment


def test_all_mistakes_are_reported_at_once_in_the_order_of_the_file() -> None:
    text = edited("max_jobs: 4", "max_jobs: 0").replace("limits:", "limit:").replace("kind: slurm", "kynd: slurm")
    lines = refusal(text).splitlines()
    assert [line.split(":")[1] for line in lines] == ["4", "4", "18", "20"]


def test_a_key_given_twice_names_both_lines() -> None:
    message = refusal(edited("    max_jobs: 4\n", "    max_jobs: 4\n    max_jobs: 5\n"))
    assert message == "lab/box.yaml:19: schedulers[0].max_jobs: given twice, first on line 18: keep one"


@pytest.mark.parametrize("key", ["account", "project", "bank"])
def test_an_account_in_the_file_has_its_own_message(key: str) -> None:
    message = refusal(edited("max_jobs: 4", f"{key}: abc123"))
    assert message.startswith(f"lab/box.yaml:18: schedulers[0].{key}: accounts are never in the file")
    assert "account_env" in message


def test_an_account_in_a_directive_in_addition_to_account_env_is_given_twice() -> None:
    message = refusal(edited("--constraint=cpu", "--account=abc123"))
    assert "lab/box.yaml:14: schedulers[0].directives[0]: the account is given twice" in message
    assert "LAB_ACCOUNT" in message


@pytest.mark.parametrize(
    ("kind", "directive"),
    [("slurm", "-A abc"), ("flux", "--bank=abc"), ("pbs", "-A abc"), ("lsf", "-P abc"), ("cobalt", "-A abc")],
)
def test_an_account_in_a_directive_is_refused_in_every_dialect(kind: str, directive: str) -> None:
    text = edited("kind: slurm", f"kind: {kind}").replace("    account_env: LAB_ACCOUNT\n", "")
    message = refusal(text.replace("--constraint=cpu", f'"{directive}"'))
    assert "directives[0]: accounts are never in the file" in message


def test_a_dialect_is_refused_for_any_scheduler_but_lsf_and_so_is_an_unknown_one() -> None:
    assert "schedulers[0].dialect: only LSF has this key; the scheduler is slurm" in refusal(
        edited("kind: slurm", "kind: slurm\n    dialect: slots")
    )
    message = refusal(edited("kind: slurm", "kind: lsf\n    dialect: nodes"))
    assert "schedulers[0].dialect" in message
    assert "nodes" in message


def test_an_account_among_a_launchers_flags_is_refused() -> None:
    assert "launchers[0].flags[0]: the account is given twice" in refusal(edited("--mpi=pmi2", "--account=x"))


def test_a_directive_with_its_prefix_is_refused() -> None:
    assert "remove #SBATCH: the prefix is added" in refusal(edited("--constraint=cpu", '"#SBATCH --constraint=cpu"'))


def test_the_same_scheduler_kind_again_is_refused_unless_it_is_nested() -> None:
    again = SITE.replace("limits:", "  - kind: slurm\nlimits:")
    assert "schedulers[1].kind: 'slurm' is the label of schedulers[0] already" in refusal(again)
    nested = SITE.replace("limits:", "  - kind: slurm\n    nested: true\nlimits:")
    assert len(load.load_text(nested, "x").schedulers) == 2


def test_several_schedulers_of_a_kind_have_different_names() -> None:
    again = SITE.replace("limits:", "  - {kind: slurm, name: gpu}\nlimits:")
    assert [spec.label for spec in load.load_text(again, "x").schedulers] == ["slurm", "gpu"]
    clash = SITE.replace("limits:", "  - {kind: flux, name: slurm}\nlimits:")
    assert "schedulers[1].name: 'slurm' is the label of schedulers[0] already" in refusal(clash)


@pytest.mark.parametrize(
    ("old", "new", "key", "expected"),
    [
        (
            "max_nodes: 64",
            "max_nodes: 64\n        by_qos: true",
            "queues[1].by_qos",
            "needs the name of a QOS: give qos",
        ),
        (
            "max_nodes: 64",
            "max_nodes: 64\n        by_qos: true\n        qos: q\n        partition: p",
            "queues[1].partition",
            "keep one of the two keys",
        ),
        (
            "max_nodes: 64",
            "steps: [{nodes: 8, max_walltime: 02:00:00}, {nodes: 4, max_walltime: 01:00:00}]",
            "queues[1].steps[1].nodes",
            "smaller jobs first",
        ),
        (
            "max_nodes: 64",
            "max_nodes: 64\n        steps: [{nodes: 65, max_walltime: 02:00:00}]",
            "queues[1].steps[0].nodes",
            "more than max_nodes 64",
        ),
        (
            "max_nodes: 64",
            "max_walltime: 01:00:00\n        steps: [{nodes: 5, max_walltime: 02:00:00}]",
            "queues[1].steps[0].max_walltime",
            "more than the queue's max_walltime",
        ),
        ("max_jobs: 4", "max_jobs: 4\n    default_nodes: 3", "default_nodes", "'debug' allows at most 2 nodes"),
        ("max_nodes: 2\n", "min_nodes: 2\n        max_nodes: 2\n", "default_nodes", "'debug' needs at least 2 nodes"),
        ("max_jobs: 4", "max_jobs: 4\n    start: [flux, start]", "schedulers[0].start", "nested: true"),
        ("max_jobs: 4", "max_jobs: 4\n    nested: true", "schedulers[0].nested", "no outer scheduler is listed"),
        ("max_jobs: 4", "max_jobs: 4\n    reservation: a b", "schedulers[0].reservation", "reservation, or $VARIABLE"),
        (
            "limits:",
            "  - {kind: flux, nested: true, within: slurm, reservation: maint}\nlimits:",
            "schedulers[1].reservation",
            "a nested scheduler has no reservations",
        ),
        (
            "limits:",
            "  - {kind: flux, nested: true, within: slrum}\nlimits:",
            "schedulers[1].within",
            "did you mean 'slurm'?",
        ),
        (
            "limits:",
            "  - {kind: flux, nested: true, start: [srun, '{node}']}\nlimits:",
            "schedulers[1].start[1]",
            "{node} is not a placeholder; known here: nodes, cores, gpus",
        ),
        (
            "limits:",
            "  - {kind: pbs, queues: [{name: a, qos: b}]}\nlimits:",
            "schedulers[1].queues[0].qos",
            "only Slurm",
        ),
        ("flags: [--mpi=pmi2]", "kind: sruns", "schedulers[0].launchers[0].kind", "did you mean 'srun'?"),
        ("flags: [--mpi=pmi2]", "\n      - name: srun", "schedulers[0].launchers[1].name", "listed twice"),
        ("limits:", f"references: [{REFERENCE}, {REFERENCE}]\nlimits:", "references[1].metric", "listed twice"),
        ("limits:", f"references: [{REFERENCE.replace('7', '0')}]\nlimits:", "references[0].value", "above 0"),
        ("limits:", f"references: [{REFERENCE.replace('5', '-5')}]\nlimits:", "references[0].tolerance", "0 or more"),
        ("limits:", "node: {usable_cores: 4}\nlimits:", "node.usable_cores", "node.cores is missing"),
        ("limits:", "node: {count: 8}\nlimits:", "schedulers[0].queues[1].max_nodes", "more than the 8 nodes"),
        ("limits:", "detect: {hosts: [a], match: any}\nlimits:", "detect.match", "give both"),
        ("limits:", "ci: {trigger: gitlab}\nlimits:", "ci.trigger", "needs a runner"),
        ("limits:", "ci: {trigger: cron}\nlimits:", "ci.trigger", "need an interval: give cadence"),
        ("limits:", "ci: {infra: ignore}\nlimits:", "ci.infra", "known here: fail, warn"),
        ("limits:", "ci: {timeout: 00:00:00}\nlimits:", "ci.timeout", "no job can finish"),
        ("limits:", "ci: {server: 'https://u:p@g.example'}\nlimits:", "ci.server", "never in the file"),
        ("limits:", "ci: {site_token: {variable: A}}\nlimits:", "ci.site_token", "'audience' is missing"),
    ],
)
def test_a_contradiction_is_named_by_its_key(old: str, new: str, key: str, expected: str) -> None:
    message = refusal(edited(old, new))
    assert key in message
    assert expected in message


def test_scrontab_needs_a_slurm() -> None:
    text = edited("kind: slurm", "kind: flux").replace("limits:", "cadence: 24:00:00\nci: {trigger: scrontab}\nlimits:")
    assert "ci.trigger: scrontab belongs to Slurm" in refusal(text)


def test_a_launchers_kind_follows_from_its_command() -> None:
    system = load.load_text(edited("name: srun", "name: /opt/bin/aprun"), "x")
    assert system.schedulers[0].launchers[0].option_kind.value == "aprun"
    system = load.load_text(edited("name: srun", "name: mpirun"), "x")
    assert system.schedulers[0].launchers[0].option_kind.value == "mpiexec"


def test_a_waiver_is_valid_on_its_last_day() -> None:
    today = datetime.datetime.now(datetime.timezone.utc).date()
    assert load.load_text(edited("2999-12-31", today.isoformat()), "x").waivers[0].expires == today.isoformat()
    yesterday = today - datetime.timedelta(days=1)
    assert "expired" in refusal(edited("2999-12-31", yesterday.isoformat()))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "expected keys and values, got nothing"),
        ("- a\n", "expected keys and values, got a list"),
        ("a: [1\nb: 2\n", "not YAML"),
        ("a: 1\n---\nb: 2\n", "not YAML"),
        ("a:\n\t- b\n", "not YAML"),
        ("%YAML 1.1\n---\na: 1\n", "YAML 1.2"),
        ("a: &x 1\nb: *x\n", "anchors"),
        ("[" * 2000, "nested too deeply"),
        ("extras: " + "[" * 40 + "]" * 40, "nested too deeply"),
    ],
)
def test_text_that_is_not_a_site_file_is_refused(text: str, expected: str) -> None:
    message = refusal(text)
    assert message.startswith("lab/box.yaml:")
    assert expected in message


def test_a_file_that_cannot_be_read_is_refused_with_the_reason(tmp_path: Path) -> None:
    for path, expected in ((tmp_path / "absent.yaml", "No such file"), (tmp_path, "directory")):
        with pytest.raises(SiteFileError, match=expected):
            load.load_file(path)
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"system: lab/box\ndescription: caf\xe9\n")
    with pytest.raises(SiteFileError, match=r"latin.yaml:2: not UTF-8"):
        load.load_file(latin)
    large = tmp_path / "large.yaml"
    large.write_bytes(b"#" * 1_000_001)
    with pytest.raises(SiteFileError, match="larger than"):
        load.load_file(large)


def test_a_spack_scope_must_be_a_folder_next_to_the_file(tmp_path: Path) -> None:
    file = tmp_path / "box.yaml"
    file.write_text(SITE + "spack_scope: spack\n")
    with pytest.raises(SiteFileError, match=r"box.yaml:26: spack_scope: 'spack' is not a folder"):
        load.load_file(file)
    (tmp_path / "spack").mkdir()
    assert load.load_file(file).spack_scope == "spack"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A search folder with one system, ``lab/box``."""
    (tmp_path / "sites/lab").mkdir(parents=True)
    (tmp_path / "sites/lab/box.yaml").write_text(SITE)
    monkeypatch.setenv("EXAWORKS_SITES", str(tmp_path / "sites"))
    return tmp_path / "sites"


def test_a_folder_of_the_user_comes_before_the_packaged_files(folder: Path) -> None:
    (folder / "local").mkdir()
    (folder / "local/workstation.yaml").write_text("system: local/workstation\ndescription: mine\n")
    assert load.find("local/workstation").description == "mine"
    packaged = [f"{path.parent.name}/{path.stem}" for path in load.PACKAGED.glob("*/*.yaml")]
    assert [system.system for system in load.systems()] == sorted(["lab/box", *packaged])


def test_the_first_of_two_folders_wins(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "first/lab").mkdir(parents=True)
    (tmp_path / "first/lab/box.yaml").write_text(SITE.replace("A machine for tests", "first"))
    monkeypatch.setenv("EXAWORKS_SITES", f"{tmp_path / 'first'}::{folder}")
    assert load.find("lab/box").description == "first"


def test_a_site_file_comes_before_all_folders(folder: Path, tmp_path: Path) -> None:
    loose = tmp_path / "mine.yaml"
    loose.write_text(SITE.replace("A machine for tests", "loose"))
    assert load.find("lab/box", site_file=loose).description == "loose"
    assert load.find("local/workstation", site_file=loose).system == "local/workstation"


def test_a_file_whose_path_does_not_agree_with_its_name_is_refused(folder: Path) -> None:
    (folder / "lab/other.yaml").write_text(SITE)
    refused = r"other.yaml:1: system: the name is 'lab/box', but the file's path means 'lab/other'"
    with pytest.raises(SiteFileError, match=refused):
        load.find("lab/other")
    with pytest.raises(SiteFileError, match=refused):
        load.load_file(folder / "lab/other.yaml")


def test_a_file_with_another_ending_is_refused(folder: Path) -> None:
    (folder / "lab/second.yml").write_text(SITE)
    with pytest.raises(SiteFileError, match=r"second.yml: the name of a site file ends in .yaml"):
        load.systems()


def test_the_error_for_an_unknown_system_names_the_nearest(folder: Path) -> None:
    with pytest.raises(UnknownSystem, match="did you mean 'lab/box'"):
        load.find("lab/bocks")
    with pytest.raises(UnknownSystem, match=r"known here: .*lab/box, .*local/workstation"):
        load.find("../../etc/passwd")


def test_a_missing_search_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SiteError, match=r"EXAWORKS_SITES names .*not a folder"):
        load.systems({"EXAWORKS_SITES": str(tmp_path / "absent")})


def test_an_expired_waiver_stops_only_the_users_of_that_machine(folder: Path) -> None:
    (folder / "lab/box.yaml").write_text(edited("2999-12-31", "2001-01-01"))
    assert "lab/box" in [system.system for system in load.systems()]
    assert load.find("local/workstation").system == "local/workstation"
    with pytest.raises(SiteFileError, match="expired"):
        load.find("lab/box")


def test_the_digest_depends_on_the_values_and_not_on_the_layout() -> None:
    plain = load.load_text(SITE, "x")
    reordered = load.load_text("# a comment\nlimits: {queue_wait: '00:20:00'}\n" + SITE.replace(
        "limits:\n  queue_wait: 00:20:00\n", ""), "x")  # fmt: skip
    assert load.digest(plain) == load.digest(reordered)
    assert len(load.digest(plain)) == 64
    assert load.digest(plain) != load.digest(load.load_text(edited("max_jobs: 4", "max_jobs: 5"), "x"))


LINES = SITE.splitlines(keepends=True)
KEYS = st.sampled_from([*System.__struct_fields__, "account", "kind", "queues", "name"])
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["00:30:00", "slurm"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


def loads_or_refuses(text: str) -> None:
    message = ""
    try:
        assert load.digest(load.load_text(text, "any.yaml"))
    except SiteFileError as error:
        message = error.message
    assert message.startswith("any.yaml:") or not message
    message.encode("utf-8")


@settings(max_examples=300, database=None)
@given(st.text(alphabet=st.characters() | st.sampled_from("\n\t :-[]{}&*!|>%@`'\"\\#?,0123x.e~"), max_size=200))
def test_the_loader_raises_no_other_error_for_any_text(text: str) -> None:
    loads_or_refuses(text)


@settings(max_examples=150, database=None)
@given(st.data())
def test_the_loader_raises_no_other_error_for_a_damaged_file(data: st.DataObject) -> None:
    lines = list(LINES)
    for _ in range(data.draw(st.integers(1, 3))):
        index = data.draw(st.integers(0, len(lines) - 1))
        cut = data.draw(st.integers(0, len(lines[index])))
        lines[index] = lines[index][:cut] + data.draw(st.text(max_size=6)) + lines[index][cut:]
    loads_or_refuses("".join(lines))


@settings(max_examples=150, database=None)
@given(st.dictionaries(KEYS, VALUES, max_size=8))
def test_the_loader_raises_no_other_error_for_any_structure_of_values(values: dict[str, object]) -> None:
    import json

    loads_or_refuses(json.dumps(values))
