"""The backends under test, one context each, and the totals at the end of the run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest

import webnn
from tests.conformance.sequence import Player
from tests.conformance.verdicts import summary
from tests.conformance.wpt import Case


@pytest.fixture(scope="session", params=["onnxruntime", "arrays"])
def backend_name(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    (backend,) = [info for info in webnn.available_backends() if info.name == name]
    if not backend.available:
        pytest.skip(f"{name}: {backend.reason}")
    return name


@pytest.fixture(scope="session")
def context(backend_name: str) -> Iterator[webnn.MLContext]:
    with webnn.ML().create_context(backend=backend_name) as context:
        yield context


@pytest.fixture(autouse=True)
def nothing_left() -> None:
    """Nothing is checked after each test: contexts live as long as the sequences of their file."""


@pytest.fixture(scope="module")
def play(backend_name: str) -> Iterator[Callable[[Case], None]]:
    """Plays a recorded sequence; the setup of its file is played once, before the first."""
    setups: dict[str, Player] = {}

    async def play_case(case: Case) -> None:
        if case.file not in setups:
            setups[case.file] = Player(backend_name)
            await setups[case.file].play(case.setup)
        player = Player(backend_name, setups[case.file].objects)
        try:
            await player.play(case.data["steps"])
        finally:
            player.destroy_contexts(but=setups[case.file].objects)

    with asyncio.Runner() as runner:
        yield lambda case: runner.run(play_case(case))
        for player in setups.values():
            player.destroy_contexts()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in summary(terminalreporter.stats):
        terminalreporter.write_line(line)
