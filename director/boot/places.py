"""Places of the booted host as they lie now: below the root of an image, or as they are.

What lives here: paths below a root that no link leads out of, whether something is there or can be removed, whose
files are whose. What does not: writing and removing (`director.boot.apply`).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from director.errors import BootError


def place(root: str, path: str, *, whole: bool = False) -> Path:
    """Where a file of the booted host lies now; never outside of the image.

    Args:
        root: of the image; "" for this host.
        path: as the booted host sees it.
        whole: the last part may be no link that leads out either: what is behind it would be changed.

    Raises:
        BootError: a link leads out of the image.
    """
    if not root:
        return Path(path)
    found = Path(root) / path.lstrip("/")
    try:
        inside = (found if whole else found.parent).resolve()
    except (OSError, RuntimeError):  # a loop of links
        inside = Path("/")
    if not inside.is_relative_to(Path(root).resolve()):
        raise BootError(
            f"{found} leads out of {root} by a symbolic link.",
            hint="Make a directory of the image of it.",
        )
    return found


def there(path: Path) -> bool:
    """Whether something is there, be it a link to nowhere.

    Raises:
        BootError: that cannot be seen.
    """
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as problem:
        raise BootError(
            f"{path} cannot be looked at: {problem.strerror}.", hint=hint_at_root(problem)
        ) from None
    return True


def hint_at_root(problem: OSError) -> str:
    """What to do about a refusal of the system: root may, where this user is not root."""
    refused = isinstance(problem, PermissionError) and os.name == "posix" and os.geteuid() != 0
    return "Try it as root." if refused else ""


def require_removable(path: Path) -> None:
    """Raise BootError where a file or directory cannot be removed, before anything is stopped for it."""
    if os.name != "posix":
        return
    for one in (path.parent, *(() if path.is_symlink() else (path,))):
        if not os.access(one, os.W_OK):
            why = "" if os.geteuid() == 0 else " by this user; try it as root"
            raise BootError(f"{path} cannot be removed{why}: {one} is not writable.")


def drop_empty(root: str, made: Sequence[str]) -> list[str]:
    """Remove what was made on the way, where nothing is left in it.

    Args:
        made: outermost first.

    Returns:
        what was removed, a line each.
    """
    told = []
    for one in reversed(made):
        with contextlib.suppress(OSError, BootError):
            path = place(root, one)
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            elif path.lstat().st_size == 0:
                path.unlink()
            else:
                continue
            told.append(f"removed {path}")
    return told


def ids_of(user: str, root: str) -> tuple[int, int]:
    """User and group id of a user of the booted host.

    Raises:
        BootError: there is no such user.
    """
    if user == "root":
        return 0, 0
    if not root:
        import pwd  # not on Windows

        with contextlib.suppress(KeyError):
            found = pwd.getpwnam(user)
            return found.pw_uid, found.pw_gid
    else:
        with contextlib.suppress(OSError):
            text = place(root, "/etc/passwd", whole=True).read_text(
                encoding="utf-8", errors="replace"
            )
            for line in text.splitlines():
                name, _, user_id, group_id, *_ = [*line.split(":"), "", "", "", ""]
                if name == user and user_id.isdigit() and group_id.isdigit():
                    return int(user_id), int(group_id)
    raise BootError(
        f"There is no user {user}{' in ' + root if root else ''}.",
        hint="Make it first, or say --create-user.",
    )
