"""Standard streams that are closed, full, or that nobody reads: told in one line, never by a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from director.demo import free_port

FULL = Path("/dev/full")
pytestmark = pytest.mark.skipif(not FULL.exists(), reason="has no /dev/full")

#: Commands that print something where nothing runs, each in its own way.
COMMANDS = [
    "",
    "help",
    "help load",
    "--help",
    "--version",
    "config",
    "config --json",
    "keygen made",
    "avail",
    "list --json",
    "status --json",
    "history --json",
    "pin --json",
    "doctor",
    "completion bash",
    "nonsense --json",
]


def director(place: Path, words: str, redirection: str) -> subprocess.CompletedProcess[str]:
    """The command, with its streams as a shell's redirection says."""
    port = place / "director" / "adminport.cfg"
    if not port.exists():
        port.parent.mkdir()
        port.write_text(str(free_port()))
    return subprocess.run(
        ["bash", "-c", f'set -o pipefail; "{sys.executable}" -m director {words} {redirection}'],
        env={**os.environ, "THESPIAN_DIRECTOR_DIR": str(place / "director")},
        cwd=place,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("words", COMMANDS)
@pytest.mark.parametrize(
    ("redirection", "reason"),
    [(">/dev/full", "No space left on device"), (">&-", "Bad file descriptor")],
)
def test_a_result_that_cannot_be_written_is_a_failure(
    tmp_path: Path, words: str, redirection: str, reason: str
) -> None:
    done = director(tmp_path, words, redirection)
    assert done.returncode not in {0, 120}
    assert done.stderr.splitlines()[-1] == f"director: write error: {reason}"
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("words", ["history", "status"])
def test_where_nothing_is_to_be_written_a_closed_stdout_is_no_failure(
    tmp_path: Path, words: str
) -> None:
    (plain, closed) = (director(tmp_path, words, redirection) for redirection in ("", ">&-"))
    assert (closed.returncode, closed.stderr) == (plain.returncode, plain.stderr)


@pytest.mark.parametrize("words", ["help", "help load", "--help", "config", "completion bash"])
def test_a_reader_who_has_read_enough_is_welcome_to_go(tmp_path: Path, words: str) -> None:
    done = director(tmp_path, words, "| head -c 1")
    assert (done.returncode, done.stderr, len(done.stdout)) == (0, "", 1)


@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-"])
def test_where_stderr_cannot_be_written_the_exit_status_still_tells(
    tmp_path: Path, redirection: str
) -> None:
    assert director(tmp_path, "nonsense", redirection).returncode == 2


def test_a_closed_stdin_takes_nothing_for_itself(tmp_path: Path) -> None:
    assert director(tmp_path, "config", "<&-").returncode == 0


def test_what_was_done_stays_done_although_it_could_not_be_told(tmp_path: Path) -> None:
    assert director(tmp_path, "keygen made", ">/dev/full").returncode == 1
    assert (tmp_path / "made.pem").is_file() and (tmp_path / "made_tls.key").is_file()
