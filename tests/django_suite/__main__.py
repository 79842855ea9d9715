"""Django's own test suite on the stock engine and on ours: ``make django-suite VENDOR=sqlite``.

The tests come from the source distribution of the Django that is installed. The outcomes on the
stock engine are kept, since they only change with Django's version; ``--stock`` makes them again,
and ``--fast`` does without: it runs there only what does not pass on ours.
Prints each test that passes on the stock engine and not on ours, and exits with 1 if there is any.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import django

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".suite"
VENDORS = ("sqlite", "postgresql", "mysql")


def fetch_tests() -> Path:
    """Download and unpack the tests of the installed Django; returns their folder."""
    version = django.__version__
    folder = CACHE / f"django-{version}"
    if not (folder / "tests" / "runtests.py").exists():
        CACHE.mkdir(exist_ok=True)
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        subprocess.run(
            [*pip, "--no-binary", "Django", f"Django=={version}", "--dest", CACHE], check=True
        )
        with tarfile.open(next(CACHE.glob(f"[Dd]jango-{version}.tar.gz"))) as archive:
            if hasattr(tarfile, "data_filter"):
                archive.extractall(CACHE, filter="data")
            else:
                archive.extractall(CACHE)
    return folder / "tests"


def run(tests: Path, engine: str, vendor: str, labels: list[str], parallel: int) -> Path:
    """Run the suite on one engine; returns the file with the outcome of each test."""
    name = f"{django.__version__}-{vendor}-{engine}"
    results = CACHE / (f"{name}.json" if not labels else f"{name}-labels.json")
    results.unlink(missing_ok=True)
    log = results.with_suffix(".log")
    environment = {
        **os.environ,
        "SUITE_ENGINE": engine,
        "SUITE_VENDOR": vendor,
        "SUITE_RESULTS": str(results),
        "PYTHONPATH": str(ROOT),
    }
    command = [
        *(sys.executable, "runtests.py", "--settings=tests.django_suite.settings", "--noinput"),
        *(f"--parallel={parallel}", *labels),
    ]
    print(f"{engine} engine on {vendor}: {log}", flush=True)
    with log.open("w") as output:
        subprocess.run(
            command,
            cwd=tests,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if not results.exists():
        sys.exit(f"The run on the {engine} engine broke off; see {log}.")
    return results


def main() -> int:
    """Run, compare, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.django_suite", description=__doc__)
    parser.add_argument("--vendor", choices=VENDORS, required=True)
    parser.add_argument("--parallel", type=int, default=1)
    parser.add_argument("--stock", action="store_true", help="Run the stock engine again.")
    parser.add_argument(
        "--fast",
        action="store_true",
        help="Run on the stock engine only what does not pass on ours.",
    )
    parser.add_argument("labels", nargs="*", help="Test labels. Default: the whole suite.")
    options = parser.parse_args()

    tests = fetch_tests()
    kept = CACHE / f"{django.__version__}-{options.vendor}-stock.json"
    stock = kept
    whole = options.labels or options.stock or not kept.exists()
    if whole and not options.fast:
        stock = run(tests, "stock", options.vendor, options.labels, options.parallel)
    ours = run(tests, "storm", options.vendor, options.labels, options.parallel)
    on_ours = json.loads(ours.read_text())
    others = list(on_ours)
    if options.fast:
        others = [test for test in on_ours if on_ours[test] != "passed" and " " not in test]
        print(f"{len(on_ours) - len(others)} of {len(on_ours)} tests pass on ours", flush=True)
        if others:  # without labels it would be the whole suite
            stock = run(tests, "stock", options.vendor, sorted(others), options.parallel)
    on_stock = json.loads(stock.read_text()) if others else {}
    passed = sorted(test for test, outcome in on_stock.items() if outcome == "passed")
    skipped = [test for test in passed if on_ours.get(test) == "skipped"]
    short = [test for test in passed if on_ours.get(test) not in ("passed", "skipped")]
    for test in skipped:
        print(f"skipped with a reason: {test}")
    for test in short:
        print(f"falls short: {test}: {on_ours.get(test, 'not run')}")
    count = sum(outcome == "passed" for outcome in on_ours.values())
    of = f"of the other {len(on_stock)}, " if options.fast else ""
    print(
        f"Django {django.__version__} on {options.vendor}: {len(on_ours)} tests; "
        f"{count} pass on ours, {of}{len(passed)} on the stock engine; "
        f"{len(skipped)} skipped with a reason, {len(short)} fall short"
    )
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())
