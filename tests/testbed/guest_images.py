"""What a virtual machine of tests/systemd starts from: a kernel, and disks of the guest's parts.

Each disk is an ext4 image of one part of the cache, built once for that part and only ever read:
QEMU keeps what a guest writes elsewhere. Containers need none of this.
"""

from __future__ import annotations

import hashlib
import struct
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

from tests.testbed import apt, guest
from tests.testbed.cache import (
    PartUnavailable,
    build_once,
    recipe_of,
    remove_tree,
    run,
)

_KERNEL = "linux-image-cloud-amd64"
_RECIPE_VERSION = 3  # raise it when a change below alters the result
_SPARE = 4 * 2**30  # room for what a guest writes; the file is sparse
_BLOCK = 4096
_SECTOR = 512
_PARTITION_AT = 2**20
_SIGNATURE = 0x68796272
ROOT_PARTITION = f"PARTUUID={_SIGNATURE:08x}-01"
"""How the kernel's command line names the root's partition: by the disk's signature."""


def prepare(parts: Iterable[Path]) -> None:
    """Build the kernel, QEMU and the disks of the root and of `parts`. Raises PartUnavailable."""
    qemu()
    kernel()
    root_disk()
    for part in parts:
        disk(part)


def qemu() -> str:
    """QEMU's program, installed on this machine if it is absent."""
    return apt.ensure_command("qemu-system-x86_64", "qemu-system-x86")


def kernel() -> Path:
    """Debian's cloud kernel: it has NVMe, ext4 and the virtio console built in, so no initrd."""

    def build(folder: Path) -> None:
        meta = apt.download("trixie", _KERNEL, folder / "meta")
        fields = subprocess.run(
            ["dpkg-deb", "--field", str(meta), "Depends"],
            capture_output=True,
            text=True,
            check=True,
        )
        package = fields.stdout.split()[0]
        archive = apt.download("trixie", package, folder / "work")
        run(["dpkg-deb", "--extract", str(archive), str(folder / "files")], log="guest-kernel")
        next((folder / "files/boot").glob("vmlinuz-*")).rename(folder / "vmlinuz")
        for name in ("meta", "work", "files"):
            remove_tree(folder / name)

    return build_once("guest/kernel", f"{_RECIPE_VERSION} {_KERNEL}", build) / "vmlinuz"


def root_disk() -> Path:
    """The image of the guest's root: one partition, which the kernel finds as `ROOT_PARTITION`."""

    def write(target: Path) -> None:
        write_disk(guest.root(), target, offset=_PARTITION_AT, spare=_SPARE)
        blocks = (target.stat().st_size - _PARTITION_AT) // _SECTOR
        entry = struct.pack(
            "<BBBBBBBBII", 0, 0, 0, 0, 0x83, 0, 0, 0, _PARTITION_AT // _SECTOR, blocks
        )
        with target.open("r+b") as image:
            image.seek(440)
            image.write(struct.pack("<IH", _SIGNATURE, 0) + entry + bytes(48) + b"\x55\xaa")

    return _cached(guest.root(), write)


def disk(part: Path) -> Path:
    """The image of another part of the cache, by the part's own recipe."""
    return _cached(part, lambda target: write_disk(part, target))


def write_disk(source: Path, target: Path, *, offset: int = 0, spare: int = 2**24) -> None:
    """Make the ext4 image `target` of the folder `source`, with `spare` bytes free.

    The file system begins at the byte `offset`.
    """
    make = apt.ensure_command("mke2fs", "e2fsprogs")
    used, entries = 0, 0
    for path in source.rglob("*"):
        entries += 1
        if path.is_file() and not path.is_symlink():
            used += -(-path.stat().st_size // _BLOCK) * _BLOCK
    inodes = entries + 8192
    blocks = (used + spare) // _BLOCK + inodes // 8
    options = ["-q", "-t", "ext4", "-b", str(_BLOCK), "-m", "0", "-O", "^has_journal"]
    options += ["-E", f"lazy_itable_init=1,offset={offset}", "-N", str(inodes)]
    run(
        [make, *options, "-d", str(source), str(target), str(blocks)],
        log=f"guest-disk-{source.name}",
    )


def _cached(part: Path, write: Callable[[Path], None]) -> Path:
    recipe = recipe_of(part)
    if recipe is None:
        raise PartUnavailable(f"{part} is no part of the testbed: it has no recipe.")
    digest = hashlib.sha256(recipe.encode()).hexdigest()
    name = f"guest/disk-{part.parent.name}-{part.name}"
    folder = build_once(
        name, f"{_RECIPE_VERSION} {digest}", lambda folder: write(folder / "disk.ext4")
    )
    return folder / "disk.ext4"
