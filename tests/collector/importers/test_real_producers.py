"""The programs themselves write the file that is read: what they ran and how it ended is what is imported."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import pytest

from collector.importers.junit import Report, read_junit
from tests.needs import need

KEPT = ("PATH", "HOME", "LANG", "TMPDIR")


def run(folder: Path, *command: str | Path) -> None:
    """Run a program that may fail because tests fail."""
    environment = {name: value for name, value in os.environ.items() if name in KEPT}
    done = subprocess.run(
        [str(part) for part in command], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode < 64, done.stdout + done.stderr


def read(file: Path, dialect: str) -> Report:
    report = read_junit(file.read_bytes(), None, "local")
    assert report.dialect == dialect
    return report


def outcomes(report: Report) -> dict[str, str]:
    """Return the outcome of each case by its name, without the checksum that ends a changed one."""
    names = {each.case_id: re.sub(r"-[0-9a-f]{8}(?=@)", "", each.case_id) for each in report.findings}
    return {
        names[each.case_id].removeprefix("imported/").removesuffix("@local"): each.outcome.value
        for each in report.findings
    }


CTEST = {  # the command and the property of each test, and the outcome that is read
    "passes": ("/bin/true", "", "pass"),
    "fails": ("/bin/false", "", "fail"),
    "crashes": ("/bin/sh -c 'kill -SEGV $$'", "", "fail"),
    "runs-too-long": ("/bin/sleep 60", "TIMEOUT 1", "fail"),
    "is-disabled": ("/bin/true", "DISABLED TRUE", "skip"),
    "fails-and-is-disabled": ("/bin/false", "DISABLED TRUE", "skip"),
    "skips-by-code": ("/bin/sh -c 'exit 77'", "SKIP_RETURN_CODE 77", "skip"),
    "skips-by-words": ("/bin/echo no GPU", 'SKIP_REGULAR_EXPRESSION "no GPU"', "skip"),
    "is-not-built": ("/no/such/program", "", "error"),
    "should-fail": ("/bin/false", "WILL_FAIL TRUE", "pass"),
    "should-fail-and-does-not": ("/bin/true", "WILL_FAIL TRUE", "fail"),
    "says-so": ("/bin/echo ring complete", 'PASS_REGULAR_EXPRESSION "complete"', "pass"),
    "does-not-say-so": ("/bin/echo ring broken", 'PASS_REGULAR_EXPRESSION "complete"', "fail"),
    "says-error": ("/bin/echo ERROR", 'FAIL_REGULAR_EXPRESSION "ERROR"', "fail"),
    "has-no-file": ("/bin/true", 'REQUIRED_FILES "/no/such/file"', "error"),
    "prepares-database": ("/bin/false", "FIXTURES_SETUP db", "fail"),
    "needs-database": ("/bin/true", "FIXTURES_REQUIRED db", "error"),
}


@pytest.mark.needs("ctest")
@pytest.mark.parametrize("names", [list(CTEST), ["passes"], ["is-disabled", "skips-by-code", "is-not-built"]])
def test_what_ctest_ran_is_what_is_imported(tmp_path: Path, names: Sequence[str]) -> None:
    lines = []
    for name in names:
        command, properties, _ = CTEST[name]
        program, _, arguments = command.partition(" ")
        words = f"[=[{program}]=]"
        if arguments.startswith("-c "):
            words += f" -c [=[{arguments[3:].strip(chr(39))}]=]"
        elif arguments:
            words += " " + " ".join(f"[=[{each}]=]" for each in arguments.split())
        lines.append(f"add_test([=[{name}]=] {words})")
        if properties:
            lines.append(f"set_tests_properties([=[{name}]=] PROPERTIES {properties})")
    (tmp_path / "CTestTestfile.cmake").write_text("\n".join(lines))
    run(tmp_path, need("ctest"), "--output-junit", tmp_path / "ctest.xml")
    assert outcomes(read(tmp_path / "ctest.xml", "CTest")) == {name: CTEST[name][2] for name in names}


@pytest.mark.needs("ctest")
def test_a_ctest_file_that_was_cut_is_refused(tmp_path: Path) -> None:
    (tmp_path / "CTestTestfile.cmake").write_text("add_test(one /bin/true)\nadd_test(two /bin/false)\n")
    run(tmp_path, need("ctest"), "--output-junit", tmp_path / "ctest.xml")
    text = (tmp_path / "ctest.xml").read_text()
    first, last = text.index("<testcase"), text.rindex("<testcase")
    for cut in (text[:first] + text[last:], text[:last] + "</testsuite>"):
        with pytest.raises(Exception, match=r"declares tests=2, but the file contains 1|declares failures=1"):
            read_junit(cut.encode(), None, "local")


GOOGLETEST = """
#include <gtest/gtest.h>
TEST(Ring, Passes) { EXPECT_EQ(2 + 2, 4); }
TEST(Ring, Fails) { EXPECT_EQ(2 + 2, 5) << "wrong sum"; }
TEST(Ring, FailsTwice) { EXPECT_TRUE(false); EXPECT_TRUE(false); }
TEST(Ring, IsSkipped) { GTEST_SKIP() << "no GPU"; }
TEST(Ring, Throws) { throw std::runtime_error("no device"); }
TEST(Ring, DISABLED_Reduce) { FAIL(); }
TEST(DISABLED_Suite, One) {}
class Even : public testing::TestWithParam<int> {};
TEST_P(Even, IsEven) { EXPECT_EQ(GetParam() % 2, 0); }
INSTANTIATE_TEST_SUITE_P(Sizes, Even, testing::Values(2, 3));
struct Device : testing::Environment { void SetUp() override { if (std::getenv("BROKEN")) FAIL() << "no device"; } };
int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  testing::AddGlobalTestEnvironment(new Device);
  return RUN_ALL_TESTS();
}
"""
RAN = {
    "Ring.Passes": "pass",
    "Ring.Fails": "fail",
    "Ring.FailsTwice": "fail",
    "Ring.IsSkipped": "skip",
    "Ring.Throws": "fail",
    "Sizes-Even.IsEven-0": "pass",
    "Sizes-Even.IsEven-1": "fail",
}
DISABLED = {"Ring.DISABLED_Reduce": "skip", "DISABLED_Suite.One": "skip"}


@pytest.fixture(scope="module")
def googletest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program with GoogleTest, built once."""
    need("googletest")
    folder = tmp_path_factory.mktemp("googletest")
    (folder / "ring.cc").write_text(GOOGLETEST)
    run(folder, need("g++"), "-std=c++14", "-O0", "ring.cc", "-o", "ring", "-lgtest", "-lpthread")
    return folder / "ring"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), RAN | DISABLED),
        (("--gtest_also_run_disabled_tests",), RAN | {"Ring.DISABLED_Reduce": "fail", "DISABLED_Suite.One": "pass"}),
        (
            ("--gtest_filter=Ring.*-*Throws",),
            {name: RAN[name] for name in list(RAN)[:4]} | {"Ring.DISABLED_Reduce": "skip"},
        ),
        (("--gtest_shuffle",), RAN | DISABLED),
    ],
)
def test_what_googletest_ran_is_what_is_imported(
    googletest: Path, tmp_path: Path, options: tuple[str, ...], expected: dict[str, str]
) -> None:
    run(tmp_path, googletest, f"--gtest_output=xml:{tmp_path / 'g.xml'}", *options)
    assert outcomes(read(tmp_path / "g.xml", "GoogleTest")) == expected


SHAPES: dict[str, tuple[Callable[[str], str], str]] = {
    "passes": (lambda name: f"def test_{name}(): pass", "pass"),
    "fails": (lambda name: f"def test_{name}(): assert 1 == 2", "fail"),
    "skips": (lambda name: f"@pytest.mark.skip(reason='no GPU')\ndef test_{name}(): pass", "skip"),
    "skips_inside": (lambda name: f"def test_{name}(): pytest.skip('no GPU')", "skip"),
    "xfails": (lambda name: f"@pytest.mark.xfail\ndef test_{name}(): assert 0", "xfail"),
    "strict": (lambda name: f"@pytest.mark.xfail(strict=True)\ndef test_{name}(): pass", "fail"),
    "setup": (lambda name: f"def test_{name}(broken): pass", "error"),
    "teardown": (lambda name: f"def test_{name}(untidy): pass", "error"),
    "both": (lambda name: f"def test_{name}(untidy): assert 0", "fail"),
    "exits": (lambda name: f"def test_{name}(): raise SystemExit(0)", "fail"),
}
HEAD = """import pytest
@pytest.fixture
def broken(): raise OSError("no device")
@pytest.fixture
def untidy():
    yield
    raise OSError("not removed")
"""


@pytest.mark.parametrize(("seed", "family"), [(1, "xunit1"), (2, "xunit2")])
def test_what_pytest_ran_is_what_is_imported(tmp_path: Path, seed: int, family: str) -> None:
    chosen = Random(seed).choices(list(SHAPES), k=12)
    tests = [SHAPES[shape][0](f"{number}_{shape}") for number, shape in enumerate(chosen)]
    (tmp_path / "test_ring.py").write_text(HEAD + "\n".join(tests))
    run(
        *(tmp_path, sys.executable, "-I", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"),
        *("--junitxml", tmp_path / "p.xml", "-o", f"junit_family={family}", "test_ring.py"),
    )
    expected = {f"test_ring.test_{number}_{shape}": SHAPES[shape][1] for number, shape in enumerate(chosen)}
    assert outcomes(read(tmp_path / "p.xml", "pytest")) == expected


REFRAME = """
import reframe as rfm
import reframe.utility.sanity as sn

class Base(rfm.RunOnlyRegressionTest):
    valid_systems = ["*"]
    valid_prog_environs = ["*"]
    executable = "echo"

@rfm.simple_test
class Ring(Base):
    word = parameter(["ring", "reduce"])
    @run_before("run")
    def say(self): self.executable_opts = [self.word]
    @sanity_function
    def check(self): return sn.assert_found("ring", self.stdout)

@rfm.simple_test
class Dependent(Base):
    @run_after("init")
    def after(self): self.depends_on(Ring.variant_name(Ring.get_variant_nums(word="reduce")[0]))
    @sanity_function
    def check(self): return True
"""


@pytest.mark.needs("reframe")
def test_what_reframe_ran_is_what_is_imported(tmp_path: Path) -> None:
    (tmp_path / "ring.py").write_text(REFRAME)
    run(
        tmp_path,
        need("reframe"),
        "-c",
        "ring.py",
        "-r",
        "--report-junit",
        tmp_path / "r.xml",
        "--report-file",
        "r.json",
    )
    shown = {
        name.removeprefix("ring.").partition(":generic")[0]: each
        for name, each in outcomes(read(tmp_path / "r.xml", "ReFrame")).items()
    }
    assert shown == {"Ring:word=ring": "pass", "Ring:word=reduce": "fail", "Dependent": "skip"}
