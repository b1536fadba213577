"""The herd: a data file beside the code, read as any package reads its own."""

import csv
import importlib.resources

from thespian.actors import ActorTypeDispatcher


def herd():
    """The animals of the herd by name: ``kind`` and ``kilograms``."""
    text = importlib.resources.files("foo.subdir1").joinpath("herd.csv").read_text("utf-8")
    return {
        row["animal"]: {"kind": row["kind"], "kilograms": float(row["kilograms"])}
        for row in csv.DictReader(text.splitlines())
    }


class BarActor(ActorTypeDispatcher):
    """Sends the herd to whom it is told."""

    def receiveMsg_dict(self, message, sender):
        self.send(sender, {**message, "herd": herd()})
