"""A second opinion on a ledger, from its published files alone.

    verify.py TLOG_FOLDER VERIFIER_KEY_FILE [INDEX ...]

Checks the checkpoint's signature (C2SP signed-note), then for each record named (all, where none
is; those named are printed) an inclusion proof (RFC 6962) that it works out itself from the tiles
(C2SP tlog-tiles).
Shares no code with Safeconduct. Exit code 0: all of it holds.
"""

import base64
import hashlib
import json
import pathlib
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

WIDTH = 256


class Wrong(Exception):
    """What does not hold."""


def checkpoint(note, key):
    """Size and root that the note signs."""
    # From the left: a name holds no `+`, but the key's base64 may.
    name, key_id, encoded = key.strip().split("+", 2)
    material = base64.b64decode(encoded)
    if material[0] != 1:
        raise Wrong("the key is not Ed25519")
    expected = hashlib.sha256(name.encode() + b"\n" + material).digest()[:4]
    if expected.hex() != key_id:
        raise Wrong("the key does not have its id")
    text, _, signatures = note.rpartition(b"\n\n")
    text += b"\n"
    for line in signatures.decode().splitlines():
        dash, signer, encoded = line.split(" ")
        signature = base64.b64decode(encoded)
        if dash == "\u2014" and signer == name and signature[:4] == expected:
            try:
                Ed25519PublicKey.from_public_bytes(material[1:]).verify(signature[4:], text)
            except InvalidSignature:
                raise Wrong("the signature does not hold") from None
            origin, size, root = text.decode().splitlines()[:3]
            if origin != name:
                raise Wrong("the checkpoint is of another ledger")
            return int(size), base64.b64decode(root)
    raise Wrong("the key has not signed")


class Tree:
    """The published tree of one size."""

    def __init__(self, folder, size):
        self.folder, self.size, self.read = folder, size, {}

    def tile(self, level, number):
        """The bytes of a tile; `entries` is a level too."""
        if (level, number) not in self.read:
            step = WIDTH ** (0 if level == "entries" else level)
            width = min(self.size // step - number * WIDTH, WIDTH)
            groups = [f"{number % 1000:03d}"]
            above = number // 1000
            while above:
                groups.insert(0, f"x{above % 1000:03d}")
                above //= 1000
            path = self.folder / "tile" / str(level) / "/".join(groups)
            if width < WIDTH:
                partial = path.with_name(path.name + ".p") / str(width)
                # A partial tile may go once the full one is there, which begins with it.
                path = partial if partial.is_file() else path
            self.read[level, number] = path.read_bytes()
        return self.read[level, number]

    def perfect(self, start, height):
        """The hash over 2**height leaves from `start`, all of them there."""
        level, inner = divmod(height, 8)
        first = start >> (8 * level)
        number, offset = divmod(first, WIDTH)
        tile = self.tile(level, number)
        hashes = [tile[32 * n : 32 * n + 32] for n in range(offset, offset + 2**inner)]
        while len(hashes) > 1:
            pairs = zip(hashes[::2], hashes[1::2])
            hashes = [node(left, right) for left, right in pairs]
        return hashes[0]

    def over(self, start, count):
        """The hash over `count` leaves from `start`."""
        if count & (count - 1) == 0:
            return self.perfect(start, count.bit_length() - 1)
        split = largest_power_below(count)
        return node(self.over(start, split), self.over(start + split, count - split))

    def proof(self, index):
        """RFC 6962 section 2.1.1: the path from a leaf to the root."""
        path, start, count = [], 0, self.size
        while count > 1:
            split = largest_power_below(count)
            if index < start + split:
                path.append(("right", self.over(start + split, count - split)))
                count = split
            else:
                path.append(("left", self.over(start, split)))
                start, count = start + split, count - split
        return reversed(path)

    def leaf(self, index):
        """A record's bytes."""
        bundle = self.tile("entries", index // WIDTH)
        at = 0
        for _ in range(index % WIDTH):
            at += 2 + int.from_bytes(bundle[at : at + 2], "big")
        length = int.from_bytes(bundle[at : at + 2], "big")
        return bundle[at + 2 : at + 2 + length]


def node(left, right):
    return hashlib.sha256(b"\x01" + left + right).digest()


def largest_power_below(count):
    return 1 << ((count - 1).bit_length() - 1)


def main(folder, key, *indexes):
    folder = pathlib.Path(folder)
    size, root = checkpoint((folder / "checkpoint").read_bytes(), pathlib.Path(key).read_text())
    tree = Tree(folder, size)
    for index in [int(index) for index in indexes] or range(size):
        if index >= size:
            raise Wrong(f"the checkpoint is over {size} records only")
        leaf = tree.leaf(index)
        json.loads(leaf)
        found = hashlib.sha256(b"\x00" + leaf).digest()
        for side, sibling in tree.proof(index):
            found = node(sibling, found) if side == "left" else node(found, sibling)
        if found != root:
            raise Wrong(f"record {index} is not in the tree that was signed")
        if indexes:
            print(leaf.decode())
    print(f"{size} records, root {root.hex()}")


try:
    main(*sys.argv[1:])
except (Wrong, OSError, ValueError, IndexError) as error:
    sys.exit(f"NOT VERIFIED: {error}")
