"""Run commands one after another, and list the files of the working folder that each of them opens for reading.

argv[1]: the working folder; argv[2]: the folder of its copies, one made before each command; argv[3]: the commands as
JSON, each with the folders that are deleted before it. Prints the lists of files as JSON. This is a separate process
because an audit hook cannot be removed; it does not see files that Rust or C++ code opens.
"""

import json
import os
import shutil
import sys
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path

from vaegan.cli.main import main
from vaegan.io import hash_file
from vaegan.pretrained import WEIGHT_FILES


def run(words: list[str]) -> None:
    """Run a command, which must succeed."""
    sys.argv = ["vaegan", *words]
    with redirect_stdout(sys.stderr):
        try:
            main()
        except SystemExit as end:
            if end.code:
                raise


def record_opens(work: Path, seen: set[str]) -> None:
    """Add the files below a folder that are opened for reading only from now on to ``seen``."""

    def record_event(event: str, details: tuple) -> None:
        if event != "open" or isinstance(details[0], int) or details[2] & os.O_ACCMODE != os.O_RDONLY:
            return
        path = work / os.fsdecode(details[0])
        if path.is_relative_to(work) and path.is_file():
            seen.add(str(path.relative_to(work)))

    sys.addaudithook(record_event)


if __name__ == "__main__":
    work, copies = map(Path, sys.argv[1:3])
    WEIGHT_FILES["alex"] = replace(WEIGHT_FILES["alex"], sha256=hash_file(WEIGHT_FILES["alex"].path))
    os.chdir(work)
    seen: set[str] = set()
    record_opens(work, seen)
    opened_files = []
    for number, (words, lost) in enumerate(json.loads(sys.argv[3])):
        for folder in lost:
            shutil.rmtree(folder)
        copy = copies / str(number)
        shutil.copytree(work, copy)
        seen.clear()
        run(words)
        opened_files.append(sorted(name for name in seen if (copy / name).is_file()))
    print(json.dumps(opened_files))
