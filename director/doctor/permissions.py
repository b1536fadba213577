"""Who else may decide what runs here: owners and modes of the director directory, and of what lies in it.

What lives here: keys, settings, an operator's own TLIs, the directory itself and those above it, the state directory.
What does not: .tls files, whose signatures decide, and what is in the files.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Set
from pathlib import Path

from director.doctor.finding import Finding, error, warning
from director.store import Store


def permissions(store: Store) -> Iterator[Finding]:
    """What other users may write, or this one may not read."""
    looked_at = [store.directory, *store.key_files()]
    looked_at += sorted([*store.directory.glob("*.cfg"), *store.directory.glob("[!.]*.tli")])
    # Root, who may do all anyway, and the user that the actor system runs as.
    place = store.state if store.state.is_dir() else store.directory
    trusted = {0, place.stat().st_uid}
    for path in looked_at:
        try:
            told = path.stat()
        except OSError as problem:
            yield error("unreadable", f"{path}: {problem.strerror}.", "Mend its mode.")
            continue
        if os.name == "posix":
            yield from _writers(path, told, trusted)
        if not os.access(path, os.R_OK):
            yield error("unreadable", f"{path} cannot be read.", "Mend its mode.")
    for path in store.directory.absolute().parents:
        mode = path.stat().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            text = f"{path}: everybody may put another directory in the place of {store.directory}."
            yield error("world-writable", text, f"chmod o-w {path}")
    if store.state.is_dir():
        if store.state.stat().st_mode & 0o077:
            text = f"The state directory {store.state} is open to other users."
            yield warning("state-open", text, f"chmod 700 {store.state}")
        if not os.access(store.state, os.W_OK):
            text = f"The state directory {store.state} cannot be written by this user."
            yield warning("state-read-only", text, "Run as the actor system's user.")


def _writers(path: Path, told: os.stat_result, trusted: Set[int]) -> Iterator[Finding]:
    if told.st_uid not in trusted:
        text = f"{path} belongs to {_name_of(told.st_uid)}, who so decides what runs here."
        yield warning("foreign-owner", text, f"chown it to {_name_of(min(trusted))}.")
    # In a directory that everybody may write to, the sticky bit keeps them from what is there, not from adding keys.
    what = (
        "place keys there, and so decides"
        if stat.S_ISDIR(told.st_mode)
        else "write it, and so decides"
    )
    if told.st_mode & stat.S_IWOTH:
        text = f"{path}: everybody may {what} what runs here."
        yield error("world-writable", text, f"chmod o-w {path}")
    elif told.st_mode & stat.S_IWGRP and not _own(told.st_gid, trusted):
        text = f"{path}: who is of the group {_group_of(told.st_gid)} may {what} what runs here."
        yield warning("group-writable", text, f"chmod g-w {path}")


def _own(group: int, trusted: Set[int]) -> bool:
    """Whether a group is root's, or one that a trusted user has alone, as many systems give each user one."""
    import grp
    import pwd

    if group == 0:
        return True
    try:
        users = {pwd.getpwuid(user).pw_name for user in trusted}
        told = grp.getgrgid(group)
    except KeyError:
        return False
    return told.gr_name in users and users.issuperset(told.gr_mem)


def _name_of(user: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"user {user}"


def _group_of(group: int) -> str:
    import grp

    try:
        return grp.getgrgid(group).gr_name
    except KeyError:
        return str(group)
