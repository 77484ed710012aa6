"""What an attempt that did not pass left behind, as texts for the diagnosis: output, answer, logs, scheduler's answers.

Nothing here runs for an attempt that passed. Logs and questions to a scheduler have limits of time and size.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from sdk_tests.diagnosis import Observed, Text, Where
from sdk_tests.diagnosis.harvest import Keep, Reader, described, harvest, reader_of
from sdk_tests.model.attempt import AttemptResult
from sdk_tests.plan.available_scheduler import AvailableScheduler
from sdk_tests.plan.cells import Cell
from sdk_tests.plan.preparation import Preparation
from sdk_tests.plan.probe import PAYLOADS
from sdk_tests.schedulers import CommandResult

QUESTION_SECONDS = 4.0
"""Seconds for one question to a scheduler."""
QUESTIONS_SECONDS = 60.0
"""Seconds for all questions of a run; after that, schedulers are not asked any more."""
JOBS = 4
"""Jobs of one attempt that the scheduler is asked about."""
ANSWER = 64_000
"""Characters of an answer that a record contains."""

OUTPUT_NAME = "output of the payload"


class Examination:
    """Examines attempts of one run. ``keep``: where the logs are kept."""

    def __init__(self, preparation: Preparation, private: Path, work: Path, kept: str | None) -> None:
        self._preparation = preparation
        self._private, self._work, self._kept = private, work, kept
        self._readers: dict[str, Reader] = {}
        self._asking = 0.0

    def texts(self, cell: Cell, result: AttemptResult, scratch: Path) -> list[Text]:
        """Return what an attempt left behind, the most telling first; the last ones are logs."""
        keep = Keep(self._private, self._work, self._kept, self._private / "logs" / scratch.name)
        readers = [(name, self._reader(name)) for name in (cell.case.component, *cell.case.partners)]
        words = self._words(self._preparation.schedulers.get(cell.scheduler), result, scratch, keep)
        return [*texts_of(result), *words, *harvest(readers, scratch, keep)]

    def _reader(self, component: str) -> Reader:
        if component not in self._readers:
            kind = self._preparation.components.get(component)
            path = PAYLOADS / kind.logs if kind is not None and kind.logs else None
            try:
                self._readers[component] = reader_of(path)
            except Exception:  # noqa: BLE001  # a reader belongs to a component; its defect must not cost the verdict
                self._readers[component] = reader_of(None)
        return self._readers[component]

    def _words(
        self, scheduler: AvailableScheduler | None, result: AttemptResult, scratch: Path, keep: Keep
    ) -> Iterator[Text]:
        """Yield what the scheduler answers about the jobs of an attempt; its answers are kept beside the logs."""
        if scheduler is None or not scheduler.kind.batch:
            return
        kind = scheduler.outermost.kind
        ids = job_ids(result)
        recent = kind.recent_jobs_argv()
        if recent is not None and not ids:
            done = self._ask(recent, kind.env)
            try:
                own = kind.parse_own_jobs(done) if done is not None else {}
            except Exception:  # noqa: BLE001  # an answer that cannot be read names no job
                own = {}
            ids = [
                job for job, each in own.items() if Path(each.folder) == scratch or scratch in Path(each.folder).parents
            ]
        for job in ids[:JOBS]:
            for argv in kind.describe_argvs(job):
                done = self._ask(argv, kind.env)
                if done is None or done.exit_code != 0:  # that it has no answer does not explain the case
                    continue
                content = "\n".join(part for part in (done.stdout.strip(), done.stderr.strip()) if part)
                name = " ".join((done.program, *(word for word in argv[-3:] if word in ("show", "job", job))))
                if content:
                    yield Text(Where.SCHEDULER, name, content, kind.kind, _kept(keep, name, content), len(content))

    def _ask(self, argv: list[str], env: Any) -> CommandResult | None:
        """Run one question to a scheduler; None if there is no time left for questions, or it cannot be run."""
        if self._asking >= QUESTIONS_SECONDS:
            return None
        began = time.monotonic()
        try:
            done = subprocess.run(
                argv,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=QUESTION_SECONDS,
                check=False,
            )
        except (subprocess.TimeoutExpired, OSError):
            return None
        finally:
            self._asking += time.monotonic() - began
        out, err = (part.decode(errors="replace") for part in (done.stdout, done.stderr))
        return CommandResult(tuple(argv), done.returncode, out, err)


def _kept(keep: Keep, name: str, content: str) -> str | None:
    path = keep.copies / f"{name.replace(' ', '-').replace(os.sep, '-')}.txt"
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.write_text(content, encoding="utf-8", errors="replace")
    except OSError:
        return None
    return str(path.relative_to(keep.private))


def job_ids(result: AttemptResult) -> list[str]:
    """Return the jobs of the harness for an attempt, and those that the payload's answer names."""
    ids = list(result.job_ids)
    for answer in result.answers:
        reported: Any = answer.get("job_ids") or answer.get("job_id") or []
        ids += [str(job_id) for job_id in (reported if isinstance(reported, list) else [reported])]
    return list(dict.fromkeys(ids))


REFUSALS = ("refused", "unreachable", "queue-wait", "vanished", "job-ended", "job-cancelled", "node_fail", "preempted")
"""Endings whose detail contains what the scheduler answered."""


def texts_of(result: AttemptResult) -> list[Text]:
    """Return what an attempt result itself contains: its output, the scheduler's answers, texts in the answer."""
    of_scheduler = result.ending in REFUSALS
    where, owner = (Where.SCHEDULER, "") if of_scheduler else (Where.OUTPUT, "")
    native = " ".join(part for part in (result.native_state, result.native_reason) if part)
    texts = [
        Text(where, "the scheduler" if of_scheduler else "the harness", result.detail, owner),
        Text(Where.OUTPUT, OUTPUT_NAME, result.tail),
        Text(Where.SCHEDULER, "state of the job", native),
        *(Text(Where.OUTPUT, "answer of the payload", "\n".join(_strings(answer))) for answer in result.answers),
    ]
    return [text for text in texts if text.content.strip()]


def _strings(value: Any) -> Iterator[str]:
    """Yield every text of an answer that may be a message."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _strings(each)
    elif isinstance(value, list):
        for each in value:
            yield from _strings(each)


def observed(result: AttemptResult, texts: Iterable[Text], expected: str | None, got: str | None) -> Observed:
    """Return what the record states about an attempt besides its cause."""
    answer = json.dumps(result.answers[0], default=str)[:ANSWER] if result.answers else None
    kept = [text for text in texts if text.path is not None]
    if expected is None and got is None:
        expected, got = of_ending(result)
    return Observed(expected, got, answer, described(kept))


def of_ending(result: AttemptResult) -> tuple[str, str]:
    """Return what was expected of an attempt that no test function judged, and what came."""
    came = {
        "timeout": "it was still running at its time limit, and was killed",
        "refused": "the scheduler refused the job",
        "unreachable": "the scheduler stopped answering",
        "queue-wait": "the job did not start in time",
        "vanished": "the scheduler no longer knows the job",
        "job-ended": "the job ended before the payload had a result",
        "job-cancelled": "somebody cancelled the job before the payload had a result",
        "node_fail": "the job lost a node",
        "preempted": "the job was preempted",
        "unstarted": "the program could not be started",
        "blocked": "it was not started",
        "control-failed": "it was not started, because the control case of its scheduler failed",
        "harness-error": "the harness failed",
    }.get(result.ending)
    if result.ending == "exited":
        answers = {0: "no answer", 1: "one answer"}.get(len(result.answers), f"{len(result.answers)} answers")
        how = f"killed by signal {result.signal}" if result.signal is not None else f"exit code {result.exit_code}"
        came = f"{how}, {answers}"
    if result.detail and result.ending != "exited":
        came = f"{came or result.ending}: {result.detail}"
    return "exit code 0 and one answer", (came or result.ending)[:2000]
