"""What the Director asks the Source Authority of its host, and what it is told.

What lives here: the wait for its sign of life, loads that go through it, its word about what may run, its verdicts.
What does not: what follows from them (`director.actors.groups`), the authority itself (`director.actors.authority`).
"""

from __future__ import annotations

import io
import os
import time
from datetime import timedelta
from typing import Any

from director.actors import versions as m
from director.actors.doors import AUTHORITY_CLASS
from director.actors.messages import AUTHORITY_NAME, PIN, Message
from director.actors.parting import Parting

#: Seconds that the Source Authority may take to give a sign of life, until it is asked for one again.
SIGN = 1.0
#: Seconds until it is asked once more whether something may run, and how often in all.
WORD_AGAIN, WORD_TRIES = 3.0, 9


#: Characters that are kept of who asks.
LONGEST_ASKER = 200


class Asking(Parting):
    """The part of the Director that asks its Source Authority."""

    def _ask_authority(self, source_hash: str) -> None:
        """Load when the authority has given a sign of life; one that died is created again by this."""
        if source_hash not in self.waiting:
            self.waiting.append(source_hash)
        # For a moment after its death Thespian still gives the address of the dead one, where nothing is answered.
        self.wakeupAfter(timedelta(seconds=SIGN), payload=("authority", source_hash, 0))
        asker = self._asker(source_hash)
        told = {"AuthorityOp": "Asker", "SourceHash": source_hash, "Who": asker}
        self.send(self._authority(), told)

    def _authority(self) -> Any:
        """The Source Authority, which was told its directories."""
        authority = self.createActor(AUTHORITY_CLASS, globalName=AUTHORITY_NAME)
        store = self._store()
        places = {"Directory": str(store.directory), "State": str(store.state)}
        told = {"Director": self.myAddress, "Pid": os.getpid()}
        self.send(authority, {"AuthorityOp": "Startup", **told, **places})
        return authority

    def _asker(self, source_hash: str) -> str:
        """Who asks for what happens to a source's group now, as their command told it; "" where nobody does.

        Commands tell it, for the audit log. It proves nothing: whoever reaches the Admin's port may say what they like.
        """
        version = self.groups.versions.get(source_hash)
        for _, told in reversed(self.requests.values()):
            other = self.groups.versions.get(str(told.get("SourceHash")))
            groups = {told.get("Group"), other.group if other else None}
            if told.get("SourceHash") == source_hash or (version and version.group in groups):
                return str(told.get("Who", ""))[:LONGEST_ASKER]
        return ""

    def _ask_may_run(self, **question: Any) -> None:
        if isinstance(question["Number"], str):
            question["Who"] = str(self.requests[question["Number"]][1].get("Who", ""))
        else:
            question["Who"] = self._asker(question["Sources"][0])
        question["Who"] = question["Who"][:LONGEST_ASKER]
        self.asked[question["Number"]] = question
        self._ask_again(question["Number"], 0)

    def _ask_again(self, number: int | str, tries: int) -> None:
        """Ask what is open still: the address of an authority that died is given for a moment (see above)."""
        if number in self.asked and tries < WORD_TRIES:
            self.send(self._authority(), {"AuthorityOp": "MayRun", **self.asked[number]})
            later = timedelta(seconds=WORD_AGAIN)
            self.wakeupAfter(later, payload=("asked", number, tries + 1))
        elif self.asked.pop(number, None) and isinstance(number, str):
            code, text = "no-authority", "the Source Authority said nothing; look into its log"
            told = {"Refused": {PIN: (code, text)}, "Code": code, "Message": text}
            self._answered(number, told)

    def _load_waiting(self) -> None:
        waiting, self.waiting = self.waiting, []
        for source_hash in waiting:
            if self._wanted_again(source_hash):
                self._perform(self.groups.source_loaded(source_hash, time.monotonic()))
            elif source_hash in self.bytes:
                data, name = self.bytes[source_hash]
                source = io.BytesIO(data)
                source.name = name
                self.loadActorSource(source)

    def _verdict(self, message: Message) -> None:
        source_hash = message["SourceHash"]
        if message["Valid"]:
            self.unpacked[source_hash] = message["Unpacked"]
            self.refusals.pop(source_hash, None)
        else:
            self.refusals[source_hash] = (message["Code"], message["Message"])
            self._perform(
                self.groups.source_refused(
                    source_hash, message["Code"], message["Message"], time.monotonic()
                )
            )
        self._answer_late()

    def _word(self, message: Message) -> None:
        """The Source Authority's answer to MayRun."""
        refused = {one: (str(code), str(text)) for one, (code, text) in message["Refused"].items()}
        number = message["Number"]
        self.asked.pop(number, None)
        if isinstance(number, str):
            self._answered(number, message)
        else:
            word = m.Word(message["May"], refused)
            self._perform(self.groups.trust_told(number, word, time.monotonic()))
