"""Prints, as JSON, how the files of installed packages differ from what was installed, and what they require.

Run by the harness, after a case has failed, as ``python _damage.py '{"distributions": ["parsl"]}'``. It looks at these
packages and at all that they require. What was installed is in RECORD of each package: sizes and sha256 digests. It
uses the standard library only, since it runs in the deployment's interpreter.
"""

import base64
import csv
import hashlib
import json
import os
import re
import sys
from importlib import metadata
from pathlib import PurePosixPath

IRRELEVANT = {"test", "tests", "testing", "doc", "docs", "examples", "benchmarks", "__pycache__"}
"""Folders whose files are not needed to run anything; sites leave them out to save space."""


def key(name):
    """Return the normalised name of a package."""
    return re.sub(r"[-_.]+", "-", name).lower()


def closure(names):
    """Return the installed packages of these names, with all that they require, by normalised name."""
    found, open_names = {}, list(names)
    while open_names:
        name = open_names.pop()
        if key(name) in found:
            continue
        try:
            found[key(name)] = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        for text in found[key(name)].requires or ():
            if "extra ==" not in text:
                open_names.append(re.match(r"[\w.-]+", text).group())
    return found


def damaged(dist):
    """Yield path and defect of each file of a package that is not as it was installed.

    RECORD is read here, because ``Distribution.files`` leaves out files that are missing (Python 3.12 and later).
    """
    for row in csv.reader((dist.read_text("RECORD") or "").splitlines()):
        recorded, digest, size = (*row, "", "", "")[:3]
        method, _, value = digest.partition("=")
        file = PurePosixPath(recorded)
        about = any(part.endswith(".dist-info") for part in file.parts)  # about the package, not of it
        if not value or about or IRRELEVANT.intersection(file.parts) or file.suffix == ".pyc":
            continue
        path = os.path.normpath(dist.locate_file(recorded))
        name = "/".join(part for part in file.parts if part != "..")
        try:
            there = os.stat(path).st_size
            if size.isdigit() and there != int(size):
                yield name, f"has {there} bytes, {size} were installed"
            elif method == "sha256":
                with open(path, "rb") as content:
                    found = hashlib.sha256(content.read()).digest()
                if base64.urlsafe_b64encode(found).rstrip(b"=").decode() != value:
                    yield name, "is not the file that was installed"
        except FileNotFoundError:
            yield name, "is missing"
        except OSError as error:
            yield name, f"cannot be read: {error.strerror}"


def main():
    found = closure(json.loads(sys.argv[1])["distributions"])
    packages = [
        {
            "name": dist.metadata["Name"],
            "version": dist.version,
            "requires": [text for text in dist.requires or () if "extra ==" not in text],
            "damaged": list(damaged(dist)),
        }
        for dist in found.values()
    ]
    print(f"\n{json.dumps(packages)}")


if __name__ == "__main__":
    main()
