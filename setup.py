"""What pyproject.toml cannot declare: files that are generated when a wheel is built.

These are manual pages and scripts for completion, below ``share``, and the tutorials, as data of their package. An
installation in place (``pip install -e``) has none of them: it reads the tutorials of the checkout.
"""

import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from setuptools import setup
from setuptools.command.build_py import build_py

from distutils.command.install_data import install_data  # isort: skip (part of setuptools, importable after it)

ROOT = Path(__file__).resolve().parent
PAGES = Path("exaworks_sdk", "tutorials", "pages")


class BuildPackages(build_py):
    """Also copy the tutorials into their package."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            target = Path(self.build_lib) / PAGES
            target.mkdir(parents=True, exist_ok=True)
            for page in sorted((ROOT / "docs" / "tutorials").glob("*.md")):
                shutil.copyfile(page, target / page.name)


class InstallShared(install_data):
    """Install the generated files."""

    def run(self) -> None:
        sys.path.insert(0, str(ROOT))
        from exaworks_sdk import __version__
        from exaworks_sdk.manual import shared_files

        declared = self.distribution.entry_points["exaworks.commands"]
        points = {name.strip(): value.strip() for name, _, value in (point.partition("=") for point in declared)}
        with TemporaryDirectory() as folder:
            self.data_files = []
            for name, text in shared_files(points, __version__).items():
                path = Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
                self.data_files.append((str(Path(name).parent), [str(path)]))
            super().run()


setup(
    cmdclass={"build_py": BuildPackages, "install_data": InstallShared},
    data_files=[("share", [])],  # the real list exists when the command runs
)
