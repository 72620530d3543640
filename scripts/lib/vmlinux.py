#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""vmlinux.py KERNEL OUTPUT: write the uncompressed kernel, print its release.

Booting it directly (PVH) saves the guest the time of unpacking itself, which
is seconds without KVM. Takes a bzImage or a vmlinux.
"""
import lzma
import re
import struct
import subprocess
import sys
import zlib


def unpack(image, name):
    if image[:4] == b"\x7fELF":
        return image
    if image[0x202:0x206] != b"HdrS":
        sys.exit(f"error: {name} is no x86 Linux kernel (bzImage or vmlinux)")
    offset, size = struct.unpack_from("<II", image, 0x248)
    offset += (image[0x1F1] + 1) * 512
    # The last four bytes of the payload are its unpacked size.
    payload = image[offset:offset + size - 4]
    if payload[:6] == b"\xfd7zXZ\x00":
        return lzma.decompress(payload)
    if payload[:2] == b"\x1f\x8b":
        return zlib.decompress(payload, 31)
    if payload[:4] == b"\x28\xb5\x2f\xfd":
        return subprocess.run(["zstd", "-dcq"], input=payload, stdout=subprocess.PIPE,
                              check=True).stdout
    sys.exit(f"error: {name}: compression not known (xz, gzip and zstd are)")


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: vmlinux.py KERNEL OUTPUT")
    try:
        with open(sys.argv[1], "rb") as source:
            image = source.read()
        kernel = unpack(image, sys.argv[1])
        found = re.search(rb"Linux version ([0-9]\S+)", kernel)
        if not found:
            sys.exit(f"error: {sys.argv[1]} does not name its release")
        with open(sys.argv[2], "wb") as target:
            target.write(kernel)
    except (OSError, EOFError, struct.error, lzma.LZMAError, zlib.error,
            subprocess.CalledProcessError) as error:
        sys.exit(f"error: {sys.argv[1]}: {error}")
    print(found[1].decode())


main()
