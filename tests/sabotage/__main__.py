"""Run breakages and print how right the harness was: ``python -m tests.sabotage [ID ...] [--to docs/diagnosis.md]``."""

from __future__ import annotations

import argparse
import fnmatch
import json
import tempfile
from dataclasses import asdict
from pathlib import Path

from tests.needs import NEEDS
from tests.sabotage.breakage import Score, Shown, score
from tests.sabotage.families import BREAKAGES
from tests.sabotage.run import run
from tests.sabotage.table import table, write


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ids", nargs="*", default=["*"], help="patterns of ids or families; default: all")
    parser.add_argument("--to", type=Path, help="write the table to the generated part of this file")
    parser.add_argument(
        "--keep", type=Path, help="keep the runs in this folder; what is there already is not run again"
    )
    given = parser.parse_args()
    deployment = NEEDS["components"].find()
    if deployment is None:
        parser.error(NEEDS["components"].get)
    scores: list[Score] = []
    chosen = {
        each.id: each
        for pattern in given.ids
        for each in BREAKAGES
        if any(fnmatch.fnmatch(name, pattern) for name in (each.id, each.family))
    }
    for breakage in chosen.values():
        absent = [name for name in (*breakage.needs, "namespaces") if NEEDS[name].find() is None]
        if absent:
            print(f"{breakage.id}: left out: {', '.join(absent)}")
            continue
        folder = Path(given.keep or tempfile.mkdtemp(prefix="sabotage-"), breakage.id)
        folder.mkdir(parents=True, exist_ok=True)
        result = folder / "shown.json"
        if result.exists():  # of an earlier call with the same folder
            each = score(breakage, Shown(**json.loads(result.read_text(encoding="utf-8"))))
        else:
            each = run(breakage, deployment, folder)
            result.write_text(json.dumps(asdict(each.shown)), encoding="utf-8")
        scores.append(each)
        marks = " ".join(
            name if getattr(each, name) else name.upper() + "!" for name in ("outcome", "cls", "evidence", "advice")
        )
        print(
            f"{'ok   ' if each.right else 'WRONG'} {breakage.id}: {marks}{' FALSE GREEN' if each.false_green else ''}"
        )
        if not each.right:
            print(f"      {each.shown}", flush=True)
    print(table(scores))
    if given.to:
        write(given.to, scores)


if __name__ == "__main__":
    main()
