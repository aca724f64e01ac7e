"""What the gates share: the files of the tree, the command line, and the proof on bad samples that a gate can fail."""

import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def tree():
    """Paths, relative to the root, of all files that are or could be committed; without git, of all that no build made."""
    listed = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                            capture_output=True, text=True, check=False)
    if listed.returncode == 0:
        names = [name for name in listed.stdout.split("\0") if name]
    else:
        names = []
        for folder, folders, files in os.walk(ROOT):
            folders[:] = [f for f in folders if f not in ("build", ".git", "__pycache__", ".cache")]
            names += [os.path.relpath(os.path.join(folder, file), ROOT) for file in files]
    return sorted({name for name in names if (ROOT / name).is_file()})


def text_of(path):
    """A file as text; None for binary ones (fuzz corpora)."""
    data = (ROOT / path).read_bytes()
    return None if b"\0" in data else data.decode("utf-8", errors="replace")


def is_script(path, text):
    """A shell or Python script, by name or first line: many have no suffix."""
    if path.endswith((".sh", ".py")):
        return path[-2:]
    first = text[:80].split("\n", 1)[0]
    if first.startswith("#!"):
        return "py" if "python" in first else "sh"
    return None


def without_comments(text):
    """C text with comments and the inside of literals blanked, line numbers kept."""
    def blank(match):
        found = match.group(0)
        if found[0] in "\"'":
            return found[0] + " " * (len(found) - 2) + found[0]
        return re.sub(r"[^\n]", " ", found)
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text, flags=re.S)


def main(purpose, check, samples, clean=None):
    """
    `check(files)` takes {path: text} and returns a list of faults. `samples` is a list of ({path: text}, a part of the fault that must be
    found); `clean` one set of files in which nothing may be found. Exit code 0: nothing found.
    """
    parser = argparse.ArgumentParser(description=purpose)
    parser.add_argument("--self-test", action="store_true", help="show on bad samples that this gate can fail")
    arguments = parser.parse_args()
    if arguments.self_test:
        sys.exit(_self_test(check, samples, clean or {}))
    files = {path: text for path in tree() if (text := text_of(path)) is not None}
    faults = check(files)
    for fault in faults:
        print(fault)
    if faults:
        print(f"{len(faults)} faults. {purpose}")
    sys.exit(bool(faults))


def _self_test(check, samples, clean):
    missed = 0
    for files, expected in samples:
        faults = check(files)
        if not any(expected in fault for fault in faults):
            print(f"missed: {expected!r} in {sorted(files)}; found {faults}")
            missed += 1
    faults = check(clean)
    if faults:
        print(f"false alarms: {faults}")
    if not missed and not faults:
        print(f"{len(samples)} bad samples found, no false alarm")
    return bool(missed or faults)


def on_disk(files, run):
    """Writes files into a temporary folder and returns run(folder): for gates whose tool reads files."""
    with tempfile.TemporaryDirectory() as folder:
        for path, text in files.items():
            target = pathlib.Path(folder) / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        return run(folder)
