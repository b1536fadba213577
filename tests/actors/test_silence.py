"""When an actor is said to let messages wait."""

from __future__ import annotations

import pytest

from director.actors.leftovers import Socket
from director.actors.silence import Silence


@pytest.mark.parametrize(
    ("looks", "silent"),
    [
        ([{1: 1}, {1: 1}, {1: 1}], True),
        ([{1: 1}, {1: 2}, {1: 2, 9: 100}], True),
        ([{1: 1}, {}, {1: 1}], False),
        ([{1: 3}, {1: 2}, {1: 1}], False),
        ([{1: 1, 8: 50}, {1: 1}, {1: 1}], False),
        ([{}, {}, {}], False),
    ],
)
def test_only_one_that_takes_nothing_of_what_waits_is_silent(
    looks: list[dict[int, int]], silent: bool
) -> None:
    silence = Silence()
    for number, waiting in enumerate(looks):
        sockets = [Socket(4711, inode, True, amount) for inode, amount in waiting.items()]
        silence.look({7: 4711, 8: 4712}, [*sockets, Socket(4713, 77, True, 5)], number * 5.0)
    assert (silence.seconds(7, 10.0) is not None) is silent
    assert silence.seconds(8, 10.0) is None


def test_a_short_while_is_no_silence() -> None:
    silence = Silence()
    for now in (0.0, 5.0):
        silence.look({7: 4711}, [Socket(4711, 1, True, 1)], now)
    assert silence.seconds(7, 9.9) is None and silence.seconds(7, 10.0) == 10.0
