"""Transcripts: commands for a scheduler, and what a real one answered to them.

A file of ``transcripts/`` holds sections. Each begins with ``## title``. A line ``$ command`` is run by sh, in the same
shell as the commands before it; ``> `` continues it. The lines below are what it printed on standard output; those
after ``2> `` were printed on standard error, and ``[exit 3]`` is the exit code if it is not 0. What differs from run
to run is replaced: ids of jobs by J1, J2, …, the folder by DIR, names of hosts, queues and users, and dates.

``differs: REASON`` after an answer begins what the emulator answers instead, each line after ``| ``. The reason stands
in docs/rehearsal.md.

``python -m tests.sdk_tests.emulators.transcript pbs`` (or ``lsf``) plays the commands on the real scheduler and writes
its answers into the files.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

FOLDER = Path(__file__).with_name("transcripts")
LIMIT = 300.0
"""Seconds that a section may take."""
_DATE = re.compile(
    r"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) )?[A-Z][a-z]{2} +\d{1,2} (?:at )?\d\d:\d\d(?::\d\d)?(?: 20\d\d)?"
)


@dataclass(frozen=True)
class Exchange:
    """A command and the answer to it.

    answer: lines of the real scheduler. other, reason: what the emulator answers instead, and why; empty if it does
    not.
    """

    command: str
    answer: tuple[str, ...] = ()
    reason: str = ""
    other: tuple[str, ...] = ()

    def expected(self, *, emulated: bool) -> tuple[str, ...]:
        return self.other if emulated and self.reason else self.answer


@dataclass(frozen=True)
class Section:
    """One title, with the exchanges that are played one after the other."""

    title: str
    exchanges: tuple[Exchange, ...]


@dataclass
class Player:
    """A scheduler that commands can be played on.

    names: what is replaced in its answers: each text and its replacement. prelude: functions of sh for the commands.
    job: a pattern of the ids of jobs in the answers; its first group is the number. end: a command that ends all jobs.
    """

    env: Mapping[str, str]
    names: Mapping[str, str]
    prelude: str
    job: re.Pattern[str]
    end: Sequence[str]
    emulated: bool
    numbered: re.Pattern[str] | None = None
    _jobs: list[str] = field(default_factory=list)

    def play(self, section: Section, folder: Path) -> list[tuple[str, ...]]:
        """Run the commands of a section in a new folder, and return the answer to each."""
        answers, script = folder / ".answers", [self.prelude]
        answers.mkdir(parents=True)
        for number, exchange in enumerate(section.exchanges):
            place = f"{answers}/{number}"
            script.append(f"{{ {exchange.command}\n}} > {place}.out 2> {place}.err\necho $? > {place}.code")
        source = folder / ".play.sh"
        source.write_text("\n".join(script) + "\n")
        try:
            subprocess.run(
                ["sh", str(source)],
                env=dict(self.env),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                timeout=LIMIT,
                check=False,
            )
        finally:
            subprocess.run(self.end, env=dict(self.env), cwd=folder, capture_output=True, timeout=60, check=False)
        self._jobs = []
        return [self._answer(answers / str(number), folder) for number in range(len(section.exchanges))]

    def _answer(self, place: Path, folder: Path) -> tuple[str, ...]:
        lines: list[str] = []
        for suffix, before in ((".out", ""), (".err", "2> ")):
            path = place.with_suffix(suffix)
            text = path.read_text(errors="replace") if path.exists() else "(not run)"
            lines += [(before + line).rstrip() for line in _without_usage(self._plain(text, folder))]
        code = place.with_suffix(".code").read_text().strip() if place.with_suffix(".code").exists() else "?"
        return (*lines, *([f"[exit {code}]"] if code != "0" else []))

    def _plain(self, text: str, folder: Path) -> str:
        text = re.sub(r"(?m)^/\S+/bin/(?=\w+: )", "", text.replace("\0", "").replace(str(folder), "DIR"))
        for name, replacement in self.names.items():
            text = re.sub(rf"(?<![\w-]){re.escape(name)}(?![\w-])", replacement, text)
        for match in self.job.finditer(text):
            if match[1] not in self._jobs:
                self._jobs.append(match[1])
        for position, number in enumerate(self._jobs, start=1):
            pattern = self.numbered.pattern if self.numbered else r"(?<![\w.])NUMBER(?!\w)"
            text = re.sub(pattern.replace("NUMBER", number), f"J{position}", text)
        return re.sub(r"[ \t]+", " ", _DATE.sub("DATE", text))


def _without_usage(text: str) -> Iterator[str]:
    """Yield the lines of a text that are not empty; of the text that explains the options, only that it was printed."""
    for line in text.splitlines():
        if line.lower().startswith("usage:"):
            yield "usage"
            return
        if line.strip():
            yield line


def read(path: Path) -> list[Section]:
    """Read a file of transcripts."""
    sections: list[Section] = []
    exchanges: list[Exchange] = []
    for line in path.read_text().splitlines():
        if line.startswith("## "):
            exchanges = []
            sections.append(Section(line[3:], ()))
        elif not sections or not line.strip():
            continue
        elif line.startswith("$ "):
            exchanges.append(Exchange(line[2:]))
        elif line.startswith("> ") and not exchanges[-1].answer:
            exchanges[-1] = replace(exchanges[-1], command=f"{exchanges[-1].command}\n{line[2:]}")
        elif line.startswith("differs: "):
            exchanges[-1] = replace(exchanges[-1], reason=line[9:])
        elif line.startswith("| "):
            exchanges[-1] = replace(exchanges[-1], other=(*exchanges[-1].other, line[2:]))
        else:
            exchanges[-1] = replace(exchanges[-1], answer=(*exchanges[-1].answer, line))
        if sections:
            sections[-1] = replace(sections[-1], exchanges=tuple(exchanges))
    return sections


def text(sections: Iterable[Section], head: str) -> str:
    """Return the content of a file of transcripts."""
    lines = [head.rstrip()]
    for section in sections:
        lines += ["", f"## {section.title}"]
        for exchange in section.exchanges:
            first, *more = exchange.command.split("\n")
            lines += [f"$ {first}", *(f"> {line}" for line in more), *exchange.answer]
            if exchange.reason:
                lines += [f"differs: {exchange.reason}", *(f"| {line}" for line in exchange.other)]
    return "\n".join(lines) + "\n"


def head_of(path: Path) -> str:
    """Return the lines before the first section."""
    return path.read_text().partition("\n## ")[0]


def files(dialect: str) -> list[Path]:
    return sorted((FOLDER / dialect).glob("*.txt"))


def main(dialect: str, names: Sequence[str]) -> None:
    """Write the answers of the real scheduler into the files of a dialect; names: only these files."""
    import tempfile

    from tests.sdk_tests.emulators.players import playing

    with tempfile.TemporaryDirectory(prefix="transcript-", dir="/var/tmp") as temporary:
        Path(temporary).chmod(0o755)
        with playing(dialect, Path(temporary), emulated=False) as player:
            for path in files(dialect):
                if names and path.stem not in names:
                    continue
                recorded = []
                for number, section in enumerate(read(path)):
                    given = player.play(section, Path(temporary, path.stem, str(number)))
                    exchanges = [
                        replace(exchange, answer=answer)
                        for exchange, answer in zip(section.exchanges, given, strict=True)
                    ]
                    recorded.append(Section(section.title, tuple(exchanges)))
                path.write_text(text(recorded, head_of(path)))
                print(f"{path}: {len(recorded)} sections", file=sys.stderr)


if __name__ == "__main__":
    os.environ.setdefault("TZ", "UTC")
    main(sys.argv[1], sys.argv[2:])
