"""What is looked at of a failed attempt: output, answer, logs, and what the scheduler answers about its jobs."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sdk_tests.diagnosis import Where, find_cause
from sdk_tests.judging import examination
from sdk_tests.judging.classification import Health, classify
from sdk_tests.judging.examination import ANSWER, Examination, observed, of_ending, texts_of
from sdk_tests.model.attempt import AttemptResult
from sdk_tests.plan.components import components
from sdk_tests.schedulers.registry import kinds
from site_configs.schema import SchedulerSpec


def result(ending: str = "exited", **rest: Any) -> AttemptResult:
    return AttemptResult(case_id="parsl/a@slurm", attempt=1, ending=ending, **rest)


@dataclass
class Commands:
    """Stand-ins for a scheduler's commands: each prints a text."""

    folder: Path
    environ: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, text: str, code: int = 0) -> None:
        path = self.folder / name
        path.write_text(f"#!/bin/sh\necho \"$0 $*\" >> {self.folder}/calls\ncat <<'END'\n{text}\nEND\nexit {code}\n")
        path.chmod(0o755)

    def calls(self) -> list[str]:
        path = self.folder / "calls"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    folder = tmp_path / "bin"
    folder.mkdir()
    return Commands(folder, {"PATH": f"{folder}:/usr/bin:/bin"})


def examine(commands: Commands, tmp_path: Path, kind: str, given: AttemptResult) -> Any:
    scheduler = kinds()[kind](SchedulerSpec(kind=kind), commands.environ)
    available = SimpleNamespace(kind=scheduler, outermost=SimpleNamespace(kind=scheduler))
    preparation: Any = SimpleNamespace(components=components(), schedulers={"slurm": available})
    cell: Any = SimpleNamespace(case=SimpleNamespace(component="parsl", partners=()), scheduler="slurm")
    private = tmp_path / "private"
    scratch = private / "work" / "000-a-1"
    scratch.mkdir(parents=True, exist_ok=True)
    examined = Examination(preparation, private, private / "work", "work")
    return examined.texts(cell, given, scratch)


DESCRIBED = {
    "slurm": ("scontrol", "JobId=7 JobState=PENDING Reason=JobHeldUser Dependency=(null)", "slurm-held"),
    "pbs": ("qstat", "Job Id: 7.server\n    job_state = H\n    Hold_Types = s", "pbs-held"),
    "lsf": ("bjobs", "Job <7>, User <alice>, Status <PSUSP>, Queue <debug>", "lsf-held"),
    "flux": (
        "flux",
        '1.2 exception type="alloc" severity=0 note="alloc denied due to type=unsatisfiable"',
        "flux-unsatisfiable",
    ),
    "cobalt": ("qstat", "JobID: 7\n    State             : user_hold", "cobalt-held"),
}


@pytest.mark.parametrize("kind", DESCRIBED)
def test_each_scheduler_is_asked_about_the_jobs_of_a_failed_case_and_its_answer_is_kept(
    kind: str, commands: Commands, tmp_path: Path
) -> None:
    command, answer, rule = DESCRIBED[kind]
    commands.add(command, answer)
    texts = examine(commands, tmp_path, kind, result("timeout", job_ids=("7",)))
    words = [text for text in texts if text.where is Where.SCHEDULER]
    assert words[0].owner == kind
    assert (tmp_path / "private" / (words[0].path or "")).read_text().strip() == answer.strip()
    match = find_cause(texts)
    assert match is not None
    assert match.rule.id == rule
    assert any("7" in call for call in commands.calls())


def test_without_a_known_job_the_ones_below_the_scratch_folder_are_asked_about(
    commands: Commands, tmp_path: Path
) -> None:
    scratch = tmp_path / "private" / "work" / "000-a-1"
    commands.add("squeue", f"41|ours|{scratch}/psij|41|\n42|other|/elsewhere|42|")
    commands.add("scontrol", "JobId=41 JobState=COMPLETED")
    examine(commands, tmp_path, "slurm", result(tail="boom", exit_code=1))
    assert [call.rpartition(" ")[2] for call in commands.calls() if "scontrol" in call] == ["41"]


def test_a_scheduler_that_answers_garbage_nothing_or_not_at_all_costs_nothing_but_its_answer(
    commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examination, "QUESTION_SECONDS", 0.5)
    commands.add("squeue", "\x00 garbage | |")
    commands.add("scontrol", "", 1)
    assert examine(commands, tmp_path, "slurm", result(tail="boom", exit_code=1))[0].content == "boom"
    hang = commands.folder / "scontrol"
    hang.write_text("#!/bin/sh\nexec sleep 60\n")
    texts = examine(commands, tmp_path, "slurm", result(tail="boom", exit_code=1, job_ids=("7", "8")))
    assert all(text.where is not Where.SCHEDULER or text.owner != "slurm" for text in texts if text.content == "")


def test_after_the_time_for_questions_a_scheduler_is_not_asked_again(
    commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examination, "QUESTIONS_SECONDS", 0.0)
    commands.add("scontrol", "JobState=FAILED")
    examine(commands, tmp_path, "slurm", result("timeout", job_ids=("7",)))
    assert commands.calls() == []


def test_texts_in_an_answer_are_searched_as_well() -> None:
    answer = {"tasks": [{"state": "FAILED", "stderr": "mpirun has detected an attempt to run as root."}]}
    match = find_cause(texts_of(result(exit_code=0, answers=(answer,))))
    assert match is not None
    assert match.rule.id == "mpi-root"


@pytest.mark.parametrize("ending", ["refused", "unreachable", "queue-wait", "job-ended", "vanished"])
def test_the_detail_of_an_ending_by_the_scheduler_is_the_schedulers_answer(ending: str) -> None:
    (text,) = texts_of(result(ending, detail="sbatch: error: Batch job submission failed: Invalid account"))
    assert text.where is Where.SCHEDULER


ENDINGS = [
    (result(exit_code=3, tail="x"), "exit code 3, no answer"),
    (result(exit_code=0, answers=({}, {})), "exit code 0, 2 answers"),
    (result(exit_code=None, signal=9), "killed by signal 9, no answer"),
    (result("timeout", detail="120 s"), "it was still running at its time limit, and was killed: 120 s"),
    (result("refused", detail="no"), "the scheduler refused the job: no"),
    (result("something new"), "something new"),
]


@pytest.mark.parametrize(("given", "got"), ENDINGS, ids=[got for _, got in ENDINGS])
def test_every_ending_has_an_expected_and_a_got(given: AttemptResult, got: str) -> None:
    assert of_ending(given) == ("exit code 0 and one answer", got)
    judgement = classify(given, Health(), False, texts_of(given), observed(given, [], None, None))
    assert judgement.diagnosis is not None
    assert judgement.diagnosis.got == got


def test_the_whole_answer_is_kept_up_to_a_limit() -> None:
    answer = {"tasks": ["x" * 100] * 50}
    kept = observed(result(exit_code=0, answers=(answer,)), [], "a", "b")
    assert json.loads(kept.answer or "") == answer
    huge = observed(result(exit_code=0, answers=({"x": "y" * 10 * ANSWER},)), [], "a", "b")
    assert len(huge.answer or "") == ANSWER


def test_a_reader_with_a_defect_is_replaced_by_the_general_one(tmp_path: Path, commands: Commands) -> None:
    broken = tmp_path / "_logs.py"
    broken.write_text("raise RuntimeError('a defect')\n")
    kind: Any = SimpleNamespace(logs=str(broken))
    local = kinds()["local"](SchedulerSpec(kind="local"), {})
    available = SimpleNamespace(kind=local, outermost=SimpleNamespace(kind=local))
    preparation: Any = SimpleNamespace(components={"own": kind}, schedulers={"local": available})
    cell: Any = SimpleNamespace(case=SimpleNamespace(component="own", partners=("unknown",)), scheduler="local")
    scratch = tmp_path / "private" / "work" / "000-a-1"
    scratch.mkdir(parents=True)
    (scratch / "own.log").write_text("ERROR\n")
    texts = Examination(preparation, tmp_path / "private", scratch.parent, "work").texts(cell, result(), scratch)
    assert [text.name for text in texts] == ["own.log"]
