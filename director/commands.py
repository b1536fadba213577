"""DirectorControl as the guide has it (2.8): a ``cmd_COMMAND`` method for each command of the command line.

What lives here: those methods. They take the command line's words, print what it prints, return its exit status. What
does not: the methods that return values and raise errors; those are `director.control`'s, which this class adds to.
"""

from __future__ import annotations

import sys
from typing import Any

from director import cli, control
from director.roles import retrieve
from director.text import nearest


class DirectorControl(control.DirectorControl):
    """`director.control.DirectorControl`, with the command line's commands as methods.

    Each ``cmd_…`` method prints like the command and returns 0 on success, else the command's exit status.
    """

    def __call__(self, command: str, *words: str) -> int:
        """Run any command by its name, as typed: ``control("load", "foo")``."""
        return cli.run([command, *map(str, words)], self)

    def cmd_help(self, *command: str) -> int:
        """Explain the director, or one command."""
        return self("help", *command)

    def cmd_config(self, *words: str) -> int:
        """Show each setting, its value and where it came from."""
        return self("config", *words)

    def cmd_keygen(self, *words: str) -> int:
        """Make a key pair: NAME [--bits N]."""
        return self("keygen", *words)

    def cmd_start(self, *words: str) -> int:
        """Start the actor system and load every group's newest version: [wait]."""
        return self("start", *words)

    def cmd_shutdown(self, *words: str) -> int:
        """Stop the actor system."""
        return self("shutdown", *words)

    def cmd_bootstart(self, *words: str) -> int:
        """Have the actor system started when the host boots: [NAME] [nostart]."""
        return self("bootstart", *words)

    def cmd_bootstop(self, *name: str) -> int:
        """Stop the boot service and remove what bootstart wrote."""
        return self("bootstop", *name)

    def cmd_avail(self, *words: str) -> int:
        """List the loadable files of each group with their hashes, newest first."""
        return self("avail", *words)

    def cmd_tlsinfo(self, file: str, *member: str) -> int:
        """Validate a .tls file; `contents` lists it, a member's name prints that one."""
        return self("tlsinfo", file, *member)

    def cmd_install(self, file: str, *files: str) -> int:
        """Verify each file and place it in the director directory."""
        return self("install", file, *files)

    def cmd_load(self, group_or_file: str, *words: str) -> int:
        """Load a group's newest file or a named one: GROUP_OR_FILE [--settle SECONDS]."""
        return self("load", group_or_file, *words)

    def cmd_refresh(self, *words: str) -> int:
        """Load the newest version of every group."""
        return self("refresh", *words)

    def cmd_list(self, *group: str) -> int:
        """List the loaded sources and their actors, of all groups or of one."""
        return self("list", *group)

    def cmd_unload(self, source_hash: str, *words: str) -> int:
        """Unload the source with this hash."""
        return self("unload", source_hash, *words)

    def cmd_status(self, *group: str) -> int:
        """Show how the running system is."""
        return self("status", *group)

    def cmd_logs(self, group: str, *words: str) -> int:
        """Show the last log lines of a group's actors: GROUP [-n LINES]."""
        return self("logs", group, *words)

    def cmd_history(self, *words: str) -> int:
        """Show what happened to all groups or to one: [GROUP] [-n LAST]."""
        return self("history", *words)

    def cmd_undo(self, group: str, *words: str) -> int:
        """Make the version active that was so before the present one."""
        return self("undo", group, *words)

    def cmd_pin(self, *words: str) -> int:
        """Keep a group at a version: [GROUP [VERSION]]."""
        return self("pin", *words)

    def cmd_unpin(self, group: str, *words: str) -> int:
        """End a pin."""
        return self("unpin", group, *words)

    def cmd_doctor(self, *words: str) -> int:
        """Look for what is wrong, each with its remedy."""
        return self("doctor", *words)

    def cmd_gensrc(self, *arguments: str) -> int:
        """Make a signed loadable source: GROUP KEY DIR [version:V] [deps:F] [tli:F] … SRC…"""
        return self("gensrc", *arguments)

    def cmd_completion(self, shell: str, *words: str) -> int:
        """Print what makes a shell complete commands, groups and files: bash, zsh or fish."""
        return self("completion", shell, *words)

    def cmd_demo(self, *words: str) -> int:
        """Run the main job on the example."""
        return self("demo", *words)

    def get_role_address(
        self, role: str, group: str | None = None, silent: bool = False
    ) -> dict[str, Any] | None:
        """The Director's reply about the active actor of a role (guide 2.8).

        Args:
            role: its name, as in the TLI.
            group: only this one; default all.
            silent: print nothing where there is none.

        Returns:
            the reply, with ``ActorAddress`` and ``StartTime``; None where no active version has the role.
        """
        answer = retrieve(self.connection, role, group)
        answer.pop("RequestId", None)
        if answer["Success"]:
            return answer
        if not silent:
            sys.stdout.write(f"RoleAddress ERROR: {answer}\n")
            hint = nearest(role, self._roles())
            sys.stderr.write(f"{hint}\n" if hint else "")
        return None

    def _roles(self) -> set[str]:
        """The roles of all that is loaded."""
        return {
            actor["Role"]
            for told in self.loaded().values()
            for actors in told["Running"].values()
            for actor in actors
            if actor["Role"]
        }
