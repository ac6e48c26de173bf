"""Pack files into a deterministic .tgz: the same content gives the same bytes, whatever the machine or its cores.

entry.py           one file or symlink of a bundle
globs.py           which paths a setting means
refusals.py        what must never be in a bundle
parallel_gzip.py   one gzip member, compressed on all cores
pack.py            entries -> the .tgz, its digests and build.json
"""

from shipit.bundle.entry import Entry
from shipit.bundle.globs import Globs
from shipit.bundle.pack import BUILD_JSON, Packed, pack

__all__ = ["BUILD_JSON", "Entry", "Globs", "Packed", "pack"]
