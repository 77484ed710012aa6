"""Every valid site file gives a pipeline that GitLab accepts, with scripts that a shell can parse."""

from __future__ import annotations

import subprocess
from typing import Any

import msgspec
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from ci.generate import ROOT_FILE, all_files
from ci.system import system_yaml
from ci.yaml_text import lines
from site_configs.checks import contradictions
from site_configs.schema import System
from tests.ci.gitlab_schema import invalid, violations
from tests.ci.test_scripts import scripts_in

NAMES = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,11}", fullmatch=True)
TRAPS = st.sampled_from(
    ["on", "no", "Yes", "NULL", "~", "1:30", "0777", "1_000", "0x1F", "1e3", "=", "<<", ".inf", "@x"]
)
"""Text that YAML 1.1, which GitLab reads, takes for a value of another type."""
TEXTS = st.one_of(TRAPS, st.text(st.characters(exclude_categories=["Z", "C"]), min_size=1, max_size=12))
LINES = st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=30).filter(str.strip)
VARIABLES = st.from_regex(r"[A-Z][A-Z0-9_]{0,9}", fullmatch=True)
DURATIONS = st.builds("{:02}:{:02}:00".format, st.integers(0, 200), st.integers(1, 59))
ADDRESSES = st.builds("https://{}.example.org".format, st.from_regex(r"[a-z]{1,8}", fullmatch=True))
COUNTS = st.integers(1, 500)


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


QUEUES = st.fixed_dictionaries({"name": TEXTS}, optional={"max_nodes": COUNTS, "max_walltime": DURATIONS, "qos": TEXTS})
SCHEDULERS = st.fixed_dictionaries(
    {"kind": st.sampled_from(["slurm", "pbs", "lsf", "cobalt", "flux"]), "queues": st.lists(QUEUES, max_size=3)},
    optional={
        "account_env": VARIABLES,
        "directives": st.lists(LINES, max_size=2),
        "reservation": st.one_of(NAMES, VARIABLES.map("${}".format)),
    },
)
TOKENS = st.fixed_dictionaries({"variable": VARIABLES, "audience": LINES})
SITES = st.fixed_dictionaries(
    {"system": st.builds("{}/{}".format, NAMES, NAMES), "description": LINES},
    optional={
        "schedulers": st.lists(SCHEDULERS, max_size=2),
        "local": some(allowed=st.booleans()),
        "deployment": st.one_of(
            st.sampled_from(["release", "path", "spack"]),
            st.builds("{}:{}".format, st.sampled_from(["spack", "module", "release"]), TEXTS),
        ),
        "limits": some(queue_wait=DURATIONS),
        "work_dir": st.builds("{}{}".format, st.sampled_from(["/", "$SCRATCH/", "~/", "${A}/"]), LINES),
        "network": some(
            proxy=ADDRESSES, proxy_use=st.sampled_from(["everywhere", "compute"]), no_proxy=st.lists(TEXTS, max_size=2)
        ),
        "runner": some(
            executor=st.sampled_from(["shell", "batch"]),
            tags=st.lists(TEXTS, max_size=2),
            shell_tags=st.lists(TEXTS, max_size=2),
            batch_tags=st.lists(TEXTS, max_size=2),
        ),
        "ci": some(
            trigger=st.sampled_from(["gitlab", "none"]),
            infra=st.sampled_from(["fail", "warn"]),
            server=ADDRESSES,
            scheduler_parameters=VARIABLES,
            site_token=TOKENS,
            collector_token=TOKENS,
            timeout=DURATIONS,
            package_jobs=st.booleans(),
            lanes=st.lists(
                st.sampled_from(["pip", "conda", "spack", "module:a/1", "image:x.sif"]), unique=True, max_size=3
            ),
        ),
        "collector": some(url=ADDRESSES),
        "cadence": DURATIONS,
    },
)


def old_yaml(text: str) -> Any:
    """Read text as YAML 1.1, as GitLab does."""
    reader = YAML(typ="safe", pure=True)
    reader.version = (1, 1)  # type: ignore[assignment]
    return reader.load(text)


@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(SITES)
def test_any_valid_site_file_gives_a_valid_pipeline(site: dict[str, Any]) -> None:
    system = msgspec.convert(site, System)
    assume(not list(contradictions(system, None)))
    text = system_yaml(system)
    tree = YAML(typ="safe", pure=True).load(text)
    assert violations(tree) == []
    assert old_yaml(text) == tree
    for script in scripts_in(tree):
        done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr + script


@settings(max_examples=10)
@given(st.lists(NAMES, min_size=1, max_size=4, unique=True))
def test_any_list_of_systems_gives_a_valid_root_file(names: list[str]) -> None:
    systems = [System(system=f"site/{name}", description="x") for name in names]
    files = all_files(systems)
    assert len(files) == len(names) + 1
    assert invalid(files[ROOT_FILE]) == []


@settings(max_examples=150)
@given(st.one_of(TRAPS, TEXTS, LINES, st.text(st.characters(exclude_categories=["Cs"])), DURATIONS, VARIABLES))
@example("2026-11-22 10:00:00")
@example("a\n\n b\n")
@example("\ufeffx\u2028\x85")
def test_any_text_is_read_back_as_the_same_text_by_old_and_new_yaml(text: str) -> None:
    tree = {"key": text, "list": [text, {text: text}], "map": {"inner": [{"a": text, "b": 1}, [], {}, None, True]}}
    written = "".join(f"{line}\n" for line in lines(tree))
    assert YAML(typ="safe", pure=True).load(written) == tree
    assert old_yaml(written) == tree
