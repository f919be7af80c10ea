#!/usr/bin/env python3
"""Writes a ramdisk (cpio "newc") whose bytes follow from its contents alone.

  ramdisk.py OUT NAME=FILE… [NAME=dir] [NAME=char:MAJOR:MINOR]

Entries are sorted; folders on the way are made; owners are root, times zero, inodes counted. Files under
modules/ have mode 0444, others 0555. It is not compressed: what a compressor makes of it would depend on
the compressor's version. Format: Documentation/driver-api/early-userspace/buffer-format.rst of Linux.
"""

import sys

DIRECTORY, REGULAR, CHARACTER = 0o040000, 0o100000, 0o020000


def padded(data: bytes, to: int) -> bytes:
    return data + bytes(-len(data) % to)


def entry(inode: int, name: str, mode: int, data: bytes = b"", device=(0, 0)) -> bytes:
    path = name.encode() + b"\0"
    links = 2 if mode & DIRECTORY == DIRECTORY else 1
    fields = (inode, mode, 0, 0, links, 0, len(data), 0, 0, *device, len(path), 0)
    head = b"070701" + b"".join(b"%08x" % field for field in fields)
    return padded(head + path, 4) + padded(data, 4)


def main(out: str, arguments: list[str]) -> None:
    entries = {}
    for argument in arguments:
        name, _, what = argument.partition("=")
        parents = name.split("/")[:-1]
        for end in range(len(parents)):
            entries.setdefault("/".join(parents[: end + 1]), (DIRECTORY | 0o555, b"", (0, 0)))
        if what == "dir":
            entries[name] = (DIRECTORY | 0o555, b"", (0, 0))
        elif what.startswith("char:"):
            major, minor = map(int, what.split(":")[1:])
            entries[name] = (CHARACTER | 0o600, b"", (major, minor))
        else:
            mode = 0o444 if name.startswith("modules/") else 0o555
            with open(what, "rb") as file:
                entries[name] = (REGULAR | mode, file.read(), (0, 0))
    archive = b"".join(
        entry(inode, name, mode, data, device)
        for inode, (name, (mode, data, device)) in enumerate(sorted(entries.items()), 1)
    )
    # The loader puts ramdisks one behind the other.
    with open(out, "wb") as file:
        file.write(padded(archive + entry(0, "TRAILER!!!", 0), 512))


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2:])
