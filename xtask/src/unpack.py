"""Takes chosen members out of a wheel: unpack.py WHEEL FOLDER FROM=TO ...

FROM names one member, or with a trailing slash every member below it.
"""

import pathlib
import shutil
import sys
import zipfile

wheel, folder, *pairs = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    for source, target in (pair.split("=") for pair in pairs):
        names = [
            name
            for name in archive.namelist()
            if not name.endswith("/")
            and (name == source or (source.endswith("/") and name.startswith(source)))
        ]
        if not names:
            sys.exit(f"{wheel} holds no {source}")
        for name in names:
            path = pathlib.Path(folder, target + name.removeprefix(source))
            path.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(name) as packed, open(path, "wb") as unpacked:
                shutil.copyfileobj(packed, unpacked, 1 << 20)
