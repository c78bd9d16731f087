#!/usr/bin/env python3
"""Makes a long load test of a short one: its interval log and its seconds, again and again.

  .ci/long_run.py FOLDER COPIES    changes the run folder in place; `avouch report FOLDER --html` then writes the page of it

A page of a million messages is looked at so; sending them takes minutes of a machine that is otherwise idle.
"""

import json
import pathlib
import sys


def main():
    folder, copies = pathlib.Path(sys.argv[1]), int(sys.argv[2])
    log = (folder / "latency.hlog").read_text().splitlines()
    intervals = [line.split(",", 2) for line in log if line.startswith("Tag=")]
    length_s = int(max(float(start) for _, start, _ in intervals)) + 1
    lines = [line for line in log if not line.startswith("Tag=")]
    for copy in range(copies):
        lines += [f"{tag},{float(start) + copy * length_s:.3f},{rest}" for tag, start, rest in intervals]
    (folder / "latency.hlog").write_text("\n".join(lines) + "\n")

    path = folder / "load.json"
    record = json.loads(path.read_text())
    seconds, first = record["seconds"], record["seconds"][0]["second"]
    record["seconds"] = [
        {**second, "second": first + copy * len(seconds) + number}
        for copy in range(copies)
        for number, second in enumerate(seconds)
    ]
    for count in ("intended", "sent", "accepted", "delivered"):
        record["totals"][count] *= copies
    record["duration_ns"] *= copies
    path.write_text(json.dumps(record))
    print(f"   {folder}: {record['totals']['sent']} messages in {copies * length_s} s")


main()
