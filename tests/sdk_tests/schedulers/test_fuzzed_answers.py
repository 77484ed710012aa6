"""Damaged answers of schedulers: a kind never raises anything but CommandFailed, and never takes a wrong id.

Each test starts from the real answers in ``golden`` and damages them at random.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sdk_tests.schedulers import CommandFailed, CommandResult, JobStatus, SchedulerKind
from tests.sdk_tests.schedulers.samples import GOLDEN, Sample, new_kind, replaced_commands

PATHS = sorted(GOLDEN.glob("*.json"))
SAMPLES = {path.stem: Sample.read(path) for path in PATHS}
MAPPINGS = ("parse_status", "parse_own_jobs", "parse_accounting")
BANNERS = (
    "*** Maintenance on Tuesday, 12:00 - 14:00 ***",
    "slurm_load_jobs error: Unable to contact slurm controller (connect failure)",
    "perl: warning: Setting locale failed.",
    "Warning: Permanently added 'login1' (ED25519) to the list of known hosts.",
    "\x1b[1;31mWARNING\x1b[0m: node failure; lost connection; preempted",
    "{",
    "}]}",
    '"Jobs": {}',
    "JobID:",
    "=" * 4096,
    "",
)
BYTES = ("\0", "\x1b[31m", "\ufffd", '"', "\\", "{", "}", "[", "]", ",", ":", "|", "\t", "\r", "\x0c", "\x85", "\u2028")
NUMBERS = (
    "9" * 30,
    "9" * 5000,
    "-1",
    "1e999",
    "NaN",
    "Infinity",
    "true",
    "null",
    "0.5",
    "\u0663\u0664",
    "\uff11\uff12",
    "\u00b2",
)
NEST = "[" * 100_000
"""Deeper than the stack of any parser."""


def kind_of(sample: str) -> SchedulerKind:
    return new_kind(sample)


def parse(sample: str, done: CommandResult) -> Any:
    """Call the method that reads this answer; return what it returns."""
    kind, method = kind_of(sample), SAMPLES[sample].method
    if method == "allocation_of":
        job_id = requested(sample)
        with replaced_commands(lambda *_: done):
            return kind.allocation_of({kind.job_variable: job_id})
    return getattr(kind, method)(done)


def requested(sample: str) -> str:
    """Return the job that the command of an ``allocation_of`` asks about."""
    return SAMPLES[sample].done.argv[-1] if "flux" not in sample and "slurm" not in sample else "5"


def ids_of(result: Any) -> set[str]:
    return set(result) if isinstance(result, dict) else {result} if isinstance(result, str) else set()


def ids_read(sample: str, done: CommandResult) -> set[str]:
    """Return the ids that are read from an answer; none if it is refused."""
    try:
        return ids_of(parse(sample, done))
    except CommandFailed:
        return set()


def original_ids(sample: str) -> set[str]:
    return ids_read(sample, SAMPLES[sample].done)


def check(sample: str, done: CommandResult) -> Any:
    """Parse an answer; whatever it contains, the result is CommandFailed (None) or has known ids and valid values."""
    try:
        result = parse(sample, done)
    except CommandFailed:
        return None
    unknown = ids_of(result) - original_ids(sample)
    if SAMPLES[sample].method in ("parse_status", "parse_submit"):
        # PBS: a cut name of its server belongs to the same job
        key = kind_of(sample).job_key
        unknown = {each for each in unknown if key(each) not in map(key, original_ids(sample))}
    if SAMPLES[sample].method == "parse_own_jobs" and sample.startswith(("lsf", "pbs", "cobalt")):
        # The listing of these kinds has an id only once: a reader cannot see that it has lost a digit.
        unknown -= set(re.findall(r"[0-9][\w.-]*", done.stdout))
    assert SAMPLES[sample].method == "allocation_of" or not unknown
    for status in result.values() if isinstance(result, dict) else ():
        check_values(status)
    return result


def check_values(status: JobStatus) -> None:
    for field in fields(status):
        value = getattr(status, field.name)
        texts = value if isinstance(value, tuple) else [value] if isinstance(value, str) else []
        for text in texts:
            text.encode()
        if isinstance(value, float):
            assert math.isfinite(value), field.name
        if field.name in ("exit_code", "signal") and value is not None:
            assert type(value) is int, field.name
            assert abs(value) < 2**31, field.name


@st.composite
def damaged(draw: st.DrawFn, text: str) -> str:
    """Damage a text in one to four ways."""
    for _ in range(draw(st.integers(1, 4))):
        text = draw(st.sampled_from(WAYS))(draw, text)
    return text


def _position(draw: st.DrawFn, text: str) -> int:
    return draw(st.integers(0, len(text)))


def cut_end(draw: st.DrawFn, text: str) -> str:
    return text[: _position(draw, text)]


def cut_out(draw: st.DrawFn, text: str) -> str:
    first, second = sorted((_position(draw, text), _position(draw, text)))
    return text[:first] + text[second:]


def drop_line(draw: st.DrawFn, text: str) -> str:
    lines = text.splitlines(keepends=True) or [""]
    del lines[draw(st.integers(0, len(lines) - 1))]
    return "".join(lines)


def repeat_line(draw: st.DrawFn, text: str) -> str:
    lines = text.splitlines(keepends=True) or [""]
    lines.insert(draw(st.integers(0, len(lines))), draw(st.sampled_from(lines)))
    return "".join(lines)


def reorder_lines(draw: st.DrawFn, text: str) -> str:
    lines = text.splitlines(keepends=True)
    first, second = (draw(st.integers(0, max(0, len(lines) - 1))) for _ in range(2))
    if lines:
        lines[first], lines[second] = lines[second], lines[first]
    return "".join(lines)


def insert(draw: st.DrawFn, text: str) -> str:
    at = _position(draw, text)
    return text[:at] + draw(st.sampled_from(BYTES)) + text[at:]


def swap_fields(draw: st.DrawFn, text: str) -> str:
    words = re.split(r"([|:,\s]+)", text)
    first, second = (2 * draw(st.integers(0, (len(words) - 1) // 2)) for _ in range(2))
    words[first], words[second] = words[second], words[first]
    return "".join(words)


def add_banner(draw: st.DrawFn, text: str) -> str:
    lines = text.splitlines(keepends=True)
    lines.insert(draw(st.sampled_from((0, len(lines) // 2, len(lines)))), draw(st.sampled_from(BANNERS)) + "\n")
    return "".join(lines)


def carriage_returns(_: st.DrawFn, text: str) -> str:
    return text.replace("\r\n", "\n").replace("\n", "\r\n")


def wrong_encoding(draw: st.DrawFn, text: str) -> str:
    encoded = text.encode(draw(st.sampled_from(("utf-16", "utf-16-le", "cp037", "latin-1"))), errors="replace")
    return encoded.decode(errors="replace")


def odd_number(draw: st.DrawFn, text: str) -> str:
    numbers = [match.span() for match in re.finditer(r"\d+", text)] or [(0, 0)]
    first, last = draw(st.sampled_from(numbers))
    return text[:first] + draw(st.sampled_from(NUMBERS)) + text[last:]


def nest(draw: st.DrawFn, text: str) -> str:
    at = text.find(": ", _position(draw, text))
    return text[: at + 2] + NEST + text[at + 2 :]


def empty(_: st.DrawFn, text: str) -> str:
    return ""


WAYS: tuple[Callable[[st.DrawFn, str], str], ...] = (
    *(cut_end, cut_out, drop_line, repeat_line, reorder_lines, insert, swap_fields),
    *(add_banner, carriage_returns, wrong_encoding, odd_number, nest, empty),
)
CODES = st.sampled_from((0, 0, 0, 1, 2, 127, 139, 153, 255, None))
SETTINGS = settings(max_examples=40)


@pytest.fixture(scope="module", autouse=True)
def the_user_of_the_answers() -> Iterator[None]:
    """The answers were recorded as root, and an allocation of somebody else is refused before the rest is read."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.getuid", lambda: 0)
        yield


@pytest.mark.parametrize("sample", SAMPLES)
def test_an_undamaged_answer_is_read(sample: str) -> None:
    done = SAMPLES[sample].done
    try:
        result = parse(sample, done)
    except CommandFailed:
        assert done.exit_code != 0
        return
    assert done.exit_code == 0 or "unknown" in sample or "lsf" in sample or "status-ended" in sample
    if SAMPLES[sample].method == "allocation_of":
        assert result is not None
        assert result.alive or "not a" in result.reason or "not run" in result.reason, result


@pytest.mark.parametrize("sample", SAMPLES)
@SETTINGS
@given(data=st.data())
def test_a_damaged_answer_raises_only_command_failed_and_gives_no_wrong_id(sample: str, data: st.DataObject) -> None:
    done = SAMPLES[sample].done
    out = data.draw(damaged(done.stdout), "stdout")
    errors = data.draw(st.one_of(st.just(done.stderr), damaged(done.stderr), st.sampled_from(BANNERS)), "stderr")
    code = data.draw(st.one_of(st.just(done.exit_code), CODES), "exit code")
    assume(SAMPLES[sample].method != "parse_submit" or not _new_numbers(done.stdout, out))
    check(sample, replace(done, stdout=out, stderr=errors, exit_code=code))


def _new_numbers(before: str, after: str) -> bool:
    """Return whether a whole line now holds an id that the scheduler did not print: no reader can see that."""
    known = set(re.findall(r"\w+", before))
    return any(word not in known for line in after.split("\n")[:-1] for word in re.findall(r"\w+", line))


@pytest.mark.parametrize("sample", [name for name, sample in SAMPLES.items() if sample.method == "parse_submit"])
@SETTINGS
@given(data=st.data())
def test_the_beginning_of_a_job_id_is_not_taken_for_an_id(sample: str, data: st.DataObject) -> None:
    done = SAMPLES[sample].done
    length = data.draw(st.integers(0, max(0, len(done.stdout) - 1)))
    assert check(sample, replace(done, stdout=done.stdout[:length])) is None


@pytest.mark.parametrize("sample", [name for name, sample in SAMPLES.items() if sample.method in MAPPINGS])
@SETTINGS
@given(data=st.data())
def test_a_job_whose_lines_are_untouched_is_read_although_others_are_damaged(sample: str, data: st.DataObject) -> None:
    done = SAMPLES[sample].done
    known = original_ids(sample)
    if not known or done.exit_code != 0:
        return
    kind, whole = kind_of(sample), parse(sample, done)
    job_id = data.draw(st.sampled_from(sorted(known)), "job")
    before, block, after = blocks(sample, done.stdout, job_id, known)
    separate = data.draw(st.sampled_from(("before", "after", "both")), "damaged")
    if separate != "after" and before:
        before = line_damage(data, before)
    if separate != "before" and after:
        after = line_damage(data, after)
    result = parse(sample, replace(done, stdout=before + block + after))
    assert kind.job_key(job_id) in {kind.job_key(identity) for identity in result}
    assert _essence(result[job_id]) == _essence(whole[job_id])


@pytest.mark.parametrize("damage", ['"Jo bs":{', '"Jobs":[],"others":{', '"Jobs":null,"Jobs ":{', '"jobs":{'])
def test_jobs_are_read_from_valid_json_that_does_not_hold_them_where_they_belong(damage: str) -> None:
    done = SAMPLES["pbs-status"].done
    text = re.sub(r'"Jobs":\s*\{', damage, done.stdout, count=1)
    assert text != done.stdout
    assert set(parse("pbs-status", replace(done, stdout=text))) == set(parse("pbs-status", done))


@pytest.mark.parametrize("sample", [name for name in SAMPLES if original_ids(name)])
def test_an_id_that_is_longer_than_a_number_of_64_bits_is_not_an_id(sample: str) -> None:
    """Every copy of the id is damaged alike, so that nothing but its length is wrong."""
    done = SAMPLES[sample].done
    identity = sorted(original_ids(sample))[0]
    number = re.match(r"[0-9A-Za-z]+", identity)
    assert number is not None
    damaged_id = f"{number[0]}{'9' * 18}"
    text = re.sub(rf"(?<![0-9A-Za-z]){number[0]}(?![0-9A-Za-z])", damaged_id, done.stdout)
    assert text != done.stdout
    result = ids_read(sample, replace(done, stdout=text))
    assert not any(each.startswith((damaged_id, f"{number[0]}9")) for each in result)


def line_damage(data: st.DataObject, text: str) -> str:
    """Damage lines as whole lines: what a neighbouring line has lost must not be taken from the untouched one."""
    damage = data.draw(damaged_lines(text))
    return damage if damage.endswith("\n") or not damage else damage + "\n"


@st.composite
def damaged_lines(draw: st.DrawFn, text: str) -> str:
    ways = (cut_end, drop_line, repeat_line, insert, add_banner, odd_number, carriage_returns)
    for _ in range(draw(st.integers(1, 3))):
        text = draw(st.sampled_from(ways))(draw, text)
    return text


def blocks(sample: str, text: str, job_id: str, known: Collection[str]) -> tuple[str, str, str]:
    """Divide an answer at the lines of one job."""
    lines = text.splitlines(keepends=True)
    if sample.startswith("lsf-classic"):  # rulers divide the jobs, and belong to both
        rulers = [-1, *(index for index, line in enumerate(lines) if line.startswith("-----")), len(lines)]
        own = next(index for index, line in enumerate(lines) if line.startswith(f"Job <{job_id}>,"))
        first, end = max(at for at in rulers if at < own), min(at for at in rulers if at > own)
        return "".join(lines[: max(first, 0)]), "".join(lines[max(first, 0) : end + 1]), "".join(lines[end + 1 :])
    starts = [
        index
        for index, line in enumerate(lines)
        if (match := re.match(r'(?:JobID:\s*|\s*"JOBID":\s*"|\s*")?([\w.\[\]-]+?)(?:"|\||\s*$)', line))
        and match.group(1) in known
    ]
    own = next(index for index in starts if job_id in re.findall(r"[\w.\[\]-]+", lines[index])[:2])
    end = min([index for index in starts if index > own], default=len(lines))
    if sample.startswith("lsf"):  # a record begins with a brace on a line of its own
        own, end = own - 1, end - (end < len(lines))
    return "".join(lines[:own]), "".join(lines[own:end]), "".join(lines[end:])


def _essence(value: Any) -> Any:
    return (value.state, value.exit_code, value.nodes, value.started) if isinstance(value, JobStatus) else value


def test_every_parsing_method_of_every_batch_kind_has_a_golden_answer() -> None:
    sampled = {(path.stem.partition("-")[0], Sample.read(path).method) for path in Path(GOLDEN).glob("*.json")}
    for kind in ("slurm", "flux", "pbs", "lsf", "cobalt"):
        for method in ("parse_submit", "parse_status", "parse_own_jobs", "allocation_of"):
            assert (kind, method) in sampled
    assert ("slurm", "parse_accounting") in sampled
