"""The layout that the packages keep: who imports whom, sizes, check ids, what is in a wheel."""

import ast
import collections
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from django.test import SimpleTestCase, tag

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("storm_django", "txmiddleware", "openid_auth")
OURS = {*PACKAGES, "example_site", "tests"}
# Besides itself, what each package may import from this repository.
MAY_IMPORT = {"storm_django": {"txmiddleware"}, "txmiddleware": set(), "openid_auth": set()}
# What each package must run without.
MUST_RUN_WITHOUT = {
    "storm_django": set(),
    "txmiddleware": {"storm", "openid"},
    "openid_auth": {"storm", "transaction", "zope"},
}
MOST_LINES = 400


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Yield each imported module's dotted name and the line, wherever in the file it stands."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text(), path)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            yield ".".join([*base, *filter(None, [node.module])]), node.lineno


def top(name: str) -> str:
    return name.partition(".")[0]


@tag("once")
class ImportTests(SimpleTestCase):
    def test_a_package_imports_no_other_than_it_may(self) -> None:
        for package in PACKAGES:
            forbidden = OURS - {package} - MAY_IMPORT[package]
            wrong = [
                f"{path.relative_to(ROOT)}:{line} imports {name}"
                for path in modules(package)
                for name, line in imports(path)
                if top(name) in forbidden
            ]
            with self.subTest(package):
                self.assertEqual(wrong, [])

    def test_a_package_runs_without_what_only_others_need(self) -> None:
        for package in PACKAGES:
            wrong = [
                f"{path.relative_to(ROOT)}:{line} imports {name}"
                for path in modules(package)
                for name, line in imports(path)
                if top(name) in MUST_RUN_WITHOUT[package]
            ]
            with self.subTest(package):
                self.assertEqual(wrong, [])

    def test_relative_and_nested_imports_are_seen(self) -> None:
        with tempfile.TemporaryDirectory(dir=ROOT / "tests") as folder:
            path = Path(folder, "module.py")
            path.write_text("from . import a\nfrom ..b import c\ndef f():\n    import d.e\n")
            here = f"tests.{Path(folder).name}"
            self.assertEqual(list(imports(path)), [(here, 1), ("tests.b", 2), ("d.e", 4)])


@tag("once")
class SizeTests(SimpleTestCase):
    def test_no_module_is_longer_than_it_may_be(self) -> None:
        lengths = {
            str(path.relative_to(ROOT)): len(path.read_text().splitlines())
            for package in PACKAGES
            for path in modules(package)
        }
        self.assertEqual({path: n for path, n in lengths.items() if n > MOST_LINES}, {})


@tag("once")
class CheckIdTests(SimpleTestCase):
    def test_each_check_id_is_used_once(self) -> None:
        pattern = re.compile(rf"({'|'.join(PACKAGES)})\.[CEIWD]\d{{3}}")
        found = collections.Counter(
            node.value
            for package in [*PACKAGES, "example_site"]
            for path in modules(package)
            for module in [ast.parse(path.read_text(), path)]
            for statement in module.body
            if not ast.unparse(statement).startswith("SILENCED_SYSTEM_CHECKS = ")
            for node in ast.walk(statement)
            if isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and pattern.fullmatch(node.value)
        )
        self.assertGreater(len(found), 0)
        self.assertEqual([name for name, count in found.items() if count > 1], [])


@tag("once")
class DistributionTests(SimpleTestCase):
    def test_setup_py_holds_no_metadata(self) -> None:
        docstring, from_setuptools, call = ast.parse((ROOT / "setup.py").read_text()).body
        self.assertIsInstance(docstring, ast.Expr)
        self.assertEqual(ast.unparse(from_setuptools), "from setuptools import setup")
        self.assertEqual(ast.unparse(call), "setup()")

    def test_a_wheel_holds_the_three_packages_whole_and_nothing_else(self) -> None:
        expected = {
            str(path.relative_to(ROOT))
            for package in PACKAGES
            for path in (ROOT / package).rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
        with tempfile.TemporaryDirectory() as folder:
            names = wheel_names(Path(folder))
        self.assertEqual({name for name in names if ".dist-info/" not in name}, expected)
        self.assertTrue(any(name.endswith(".dist-info/licenses/LICENSE") for name in names))


def wheel_names(folder: Path) -> list[str]:
    """Build a wheel of a copy of the repository, so that no build folder is left in it."""
    copy = folder / "copy"
    skipped = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "*.egg-info")
    shutil.copytree(ROOT, copy, ignore=skipped)
    # Warnings of pip and setuptools are not ours to mend.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONWARNINGS"}
    options = ["--no-deps", "--no-build-isolation", "--wheel-dir", str(folder)]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", *options, str(copy)],
        env=environment,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise AssertionError(f"pip wheel failed:\n{done.stdout}{done.stderr}")
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()
