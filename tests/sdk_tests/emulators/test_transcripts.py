"""What real schedulers answered to the commands of users, played on the emulators, and on the real ones if present."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.sdk_tests.emulators import transcript
from tests.sdk_tests.emulators.players import playing
from tests.sdk_tests.emulators.transcript import Player, Section

DIALECTS = ("pbs", "lsf")
PLAYED = [
    pytest.param(
        *(dialect, emulated, section),
        id=f"{name}-{path.stem}-{section.title.replace(' ', '_')}",
        marks=() if emulated else pytest.mark.long,
    )
    for dialect in DIALECTS
    for emulated, name in ((True, f"emulated_{dialect}"), (False, {"pbs": "openpbs", "lsf": "openlava"}[dialect]))
    for path in transcript.files(dialect)
    for section in transcript.read(path)
]
REHEARSAL = Path(__file__).parents[3] / "docs" / "rehearsal.md"


@pytest.fixture(scope="module")
def player_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str, bool], Player]]:
    """A scheduler of each kind, started when it is first needed, and used by all sections."""
    players: dict[tuple[str, bool], Player] = {}
    with ExitStack() as stack:

        def player(dialect: str, emulated: bool) -> Player:
            if (dialect, emulated) not in players:
                folder = tmp_path_factory.mktemp(dialect)
                players[dialect, emulated] = stack.enter_context(playing(dialect, folder, emulated=emulated))
            return players[dialect, emulated]

        yield player


@pytest.mark.parametrize(("dialect", "emulated", "section"), PLAYED)
def test_the_scheduler_answers_as_the_real_one_did(
    player_of: Callable[[str, bool], Player], dialect: str, emulated: bool, section: Section, tmp_path: Path
) -> None:
    player = player_of(dialect, emulated)
    answers = player.play(section, tmp_path / "folder")
    for exchange, answer in zip(section.exchanges, answers, strict=True):
        assert answer == exchange.expected(emulated=player.emulated), exchange.command


@pytest.mark.parametrize("dialect", DIALECTS)
def test_each_difference_from_the_real_scheduler_is_stated_with_its_reason(dialect: str) -> None:
    text = " ".join(REHEARSAL.read_text().split())
    differences = [
        exchange
        for path in transcript.files(dialect)
        for section in transcript.read(path)
        for exchange in section.exchanges
        if exchange.reason
    ]
    assert differences
    for exchange in differences:
        assert exchange.reason in text, exchange.command
        assert exchange.other != exchange.answer, exchange.command
