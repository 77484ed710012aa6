"""The machine is recognised by its host name and environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from site_configs.detect import detect
from site_configs.errors import AmbiguousSystem, NoSystemDetected, SiteFileError


@pytest.fixture
def sites(tmp_path: Path) -> dict[str, str]:
    """Return the environment that makes five systems of a lab known, in a search folder of their own."""
    lab = tmp_path / "lab"
    lab.mkdir()
    for name, rest in {
        "big": "detect: {hosts: ['login*.big.example', 'big-*']}",
        "small": "detect: {environment: {LAB_SYSTEM: 'small*'}}",
        "both": "detect: {hosts: ['mixed*'], environment: {LAB_SYSTEM: both}}",
        "old": "detect: {hosts: ['old*']}\nstate: retired",
        "anonymous": "cadence: 24:00:00",
    }.items():
        (lab / f"{name}.yaml").write_text(f"system: lab/{name}\ndescription: {name}\n{rest}\n")
    return {"EXAWORKS_SITES": str(tmp_path)}


def no_scheduler() -> list[str]:
    return []


def slurm() -> list[str]:
    return ["slurm"]


def not_called() -> list[str]:
    raise AssertionError("a site matches, so no scheduler needs to be queried")


@pytest.mark.parametrize("host", ["login03.big.example", "LOGIN1.BIG.EXAMPLE", "big-7", "big-7.internal"])
def test_a_host_name_is_recognised_by_any_pattern_in_full_or_by_its_first_label(
    sites: dict[str, str], host: str
) -> None:
    assert detect(host, sites, not_called).system == "lab/big"


def test_an_environment_pattern_alone_is_enough(sites: dict[str, str]) -> None:
    assert detect("anything", {**sites, "LAB_SYSTEM": "small-2"}, not_called).system == "lab/small"


def test_hosts_and_environment_must_both_match_if_both_are_given(sites: dict[str, str]) -> None:
    assert detect("mixed1", {**sites, "LAB_SYSTEM": "both"}, not_called).system == "lab/both"
    assert detect("mixed1", sites, no_scheduler).system == "local/workstation"
    assert detect("elsewhere", {**sites, "LAB_SYSTEM": "both"}, no_scheduler).system == "local/workstation"


def test_a_host_or_the_environment_is_enough_with_match_any(sites: dict[str, str]) -> None:
    either = Path(sites["EXAWORKS_SITES"]) / "lab/either.yaml"
    either.write_text(
        "system: lab/either\ndescription: x\n"
        "detect: {hosts: ['fe*'], environment: {LAB_SYSTEM: either, LAB_ROLE: '*'}, match: any}\n"
    )
    assert detect("fe1", sites, not_called).system == "lab/either"
    assert detect("login1", {**sites, "LAB_SYSTEM": "either", "LAB_ROLE": "x"}, not_called).system == "lab/either"
    assert detect("login1", {**sites, "LAB_SYSTEM": "either"}, no_scheduler).system == "local/workstation"


def test_a_machine_without_site_file_and_scheduler_is_a_workstation(sites: dict[str, str]) -> None:
    assert detect("laptop", sites, no_scheduler).system == "local/workstation"
    assert detect("laptop", sites).system == "local/workstation"


def test_a_scheduler_without_a_site_file_is_an_error_with_advice(sites: dict[str, str]) -> None:
    with pytest.raises(NoSystemDetected) as caught:
        detect("unknown7", sites, slurm)
    for text in ("'unknown7'", "slurm", "exaworks sites new", "--site local/workstation"):
        assert text in caught.value.message
    assert caught.value.exit_code == 2


def test_if_two_systems_match_the_error_names_both(sites: dict[str, str]) -> None:
    with pytest.raises(AmbiguousSystem, match=r"lab/big and lab/small.*--site"):
        detect("big-1", {**sites, "LAB_SYSTEM": "small"}, not_called)


def test_a_retired_system_is_never_detected(sites: dict[str, str]) -> None:
    with pytest.raises(NoSystemDetected, match=r"only lab/old, which is retired"):
        detect("old3", sites, no_scheduler)
    assert detect("old3", {**sites, "LAB_SYSTEM": "small"}, not_called).system == "lab/small"


def test_a_broken_site_file_in_a_search_folder_is_an_error(sites: dict[str, str]) -> None:
    broken = Path(sites["EXAWORKS_SITES"]) / "lab/broken.yaml"
    broken.write_text("system: lab/broken\n")
    with pytest.raises(SiteFileError, match=r"broken.yaml:1: the key 'description' is missing"):
        detect("laptop", sites, no_scheduler)


def test_an_expired_waiver_elsewhere_does_not_stop_this_machine(sites: dict[str, str]) -> None:
    small = Path(sites["EXAWORKS_SITES"]) / "lab/small.yaml"
    waiver = "waivers: [{cases: 'parsl/*', reason: broken, expires: 2001-01-01}]\n"
    small.write_text(small.read_text() + waiver)
    assert detect("big-1", sites, not_called).system == "lab/big"
    with pytest.raises(SiteFileError, match="expired"):
        detect("any", {**sites, "LAB_SYSTEM": "small"}, not_called)


def test_this_machine_is_recognised_from_its_own_name(monkeypatch: pytest.MonkeyPatch, sites: dict[str, str]) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "big-9")
    monkeypatch.setenv("EXAWORKS_SITES", sites["EXAWORKS_SITES"])
    assert detect().system == "lab/big"
