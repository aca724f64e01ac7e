#!/usr/bin/env -S python3 -B
"""The fault points in the source against the rows that strike at them, and what is left of them in a build without them."""

import importlib
import json
import pathlib
import re
import subprocess
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE))
import kit  # noqa: E402

POINT = re.compile(r'\bPR_FAULT(?:_IF)?\([^;]*?"([\w.]+)"\);')


def points():
    """{name: where} of every fault point in the source."""
    found = {}
    for folder in ("common", "dispatcher"):
        for file in sorted((ROOT / folder).rglob("*.c")):
            for name in POINT.findall(file.read_text()):
                found.setdefault(name, []).append(str(file.relative_to(ROOT)))
    return found


class Names(unittest.TestCase):
    def setUp(self):
        for file in HERE.glob("*_rows.py"):
            importlib.import_module(file.stem)

    def test_every_fault_point_has_a_row_that_strikes_there_and_every_row_a_point(self):
        exercised = {name for row in kit.ROWS.values() for name in row.exercises}
        self.assertEqual(sorted(points()), sorted(exercised))

    def test_every_group_of_rows_is_run_by_ctest(self):
        listed = re.search(r"foreach\(group ([\w ]+)\)", (HERE / "CMakeLists.txt").read_text())[1].split()
        self.assertEqual(sorted(listed), sorted({row.group for row in kit.ROWS.values()}))

    def test_a_build_without_them_has_no_trace_of_them(self):
        source = '#include "base/fault.h"\nvoid f(int a);\nvoid f(int a) { PR_FAULT("x"); PR_FAULT_IF(a, "x"); PR_FAULT_GAUGE(&a); }\n'
        done = subprocess.run(["cc", "-E", "-P", f"-I{ROOT / 'common'}", "-xc", "-"], input=source, capture_output=True, text=True, check=True)
        self.assertNotIn("pr_fault", done.stdout)
        presets = {p["name"]: p.get("cacheVariables", {}) for p in json.loads((ROOT / "CMakePresets.json").read_text())["configurePresets"]}
        self.assertEqual({name for name, values in presets.items() if values.get("PR_FAULTS") == "ON"}, {"dev", "asan", "tsan", "ci"})


if __name__ == "__main__":
    unittest.main(verbosity=2)
