"""A task of the ensemble: ``write FILE TEXT`` writes a digest of the text, ``join FILE INPUT…`` a digest of its inputs.

The second line of a file is the time when it was written; in a joined file, the times of the inputs follow.
"""

import hashlib
import sys
import time
from pathlib import Path

verb, target, *rest = sys.argv[1:]
inputs = [Path(name).read_text().split() for name in rest] if verb == "join" else []
text = "".join(digest for digest, _ in inputs) if inputs else rest[0]
lines = [hashlib.sha256(text.encode()).hexdigest(), str(time.time()), *(when for _, when in inputs)]
Path(target).write_text("\n".join(lines) + "\n")
