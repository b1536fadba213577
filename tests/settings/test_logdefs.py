"""The logging where there is no thesplog.cfg, as `logging.config` itself sets it up."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CODE = """
import logging, logging.config, sys
from pathlib import Path
from director.settings.logdefs import default_logging, placed

logging.config.dictConfig(placed(default_logging(), Path(sys.argv[1])))
log, line = logging.getLogger("app.front"), "x" * 100_000
for number in range(250):
    log.info("%s %s", number, line)
log.info("the last")
"""


def test_the_default_log_rotates_and_has_the_actors_address(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", CODE, str(tmp_path)], check=True, timeout=60)
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert set(sizes) == {"thespian.log", "thespian.log.1", "thespian.log.2", "thespian.log.3"}
    assert all(size <= 5 << 20 for size in sizes.values())
    last = (tmp_path / "thespian.log").read_text().splitlines()[-1]
    # Outside of actors the address is empty.
    assert last.split()[2:5] == ["INFO", "app.front", "the"]
