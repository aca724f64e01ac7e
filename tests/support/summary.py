#!/usr/bin/env -S python3 -B
"""Adds up the JUnit files of several ctest runs: what failed, what was skipped and why, and one line of totals."""

import re
import sys
import xml.etree.ElementTree as ElementTree


def last_words(case):
    """The last line that a test said, for the reason why it was skipped."""
    said = [line.strip() for line in (case.findtext("system-out") or "").splitlines() if line.strip()]
    reasons = [line for line in said if "skip" in line.lower()]
    return (reasons or said or ["no reason given"])[-1][:160]


def skipped_inside(case):
    """Tests that one binary skipped while it passed as a whole: cmocka's and unittest's words."""
    said = case.findtext("system-out") or ""
    names = re.findall(r"^\[  SKIPPED \] (?!\d+ test)(\S+)$", said, re.M)
    names += re.findall(r"^(\w+) \(.*\) \.\.\. skipped", said, re.M)
    return sorted(set(names))


def main(files):
    passed, failed, skipped = [], [], []
    seconds = 0.0
    for file in files:
        # "build/asan/junit-unit.xml": the preset tells runs of one test apart.
        preset = file.split("/")[-2]
        for case in ElementTree.parse(file).getroot().iter("testcase"):
            name = f"{case.get('name')} [{preset}]"
            seconds += float(case.get("time") or 0)
            status = case.get("status")
            if status == "run":
                passed.append(name)
                skipped += [(f"{name}: {inner}", "skipped itself") for inner in skipped_inside(case)]
            elif status in ("notrun", "disabled") and "NOT_RUN" not in (case.findtext("system-out") or ""):
                reason = case.find("skipped")
                message = reason.get("message", "") if reason is not None else ""
                if "SKIP_RETURN_CODE" in message:
                    skipped.append((name, last_words(case)))
                else:
                    failed.append((name, message or "did not run"))
            else:
                failed.append((name, "failed"))
    for name, reason in skipped:
        print(f"skipped  {name}: {reason}")
    for name, reason in failed:
        print(f"FAILED   {name}: {reason}")
    print(f"{len(passed)} passed, {len(failed)} failed, {len(skipped)} skipped ({seconds:.0f} s of tests)")
    return bool(failed) or not passed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
