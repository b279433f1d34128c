"""Coverings of few points with few sets: any g of v points lie together in a set of k. Each set is a number in base 16 whose
binary digits say which points it has.

Source: found by simulated annealing (Nurmela and Ostergard, 1993); as many sets as in the La Jolla Covering Repository's
tables, or one or two more. Nothing here is taken on trust: `iosim` counts what they cost, and a test checks each of them.
"""

from __future__ import annotations

# (g, v, k): the sets
COVERINGS: dict[tuple[int, int, int], str] = {
    (2, 5, 3): "1a 1c 7 19",
    (2, 7, 4): "71 3a 2e 4b 55",
    (2, 8, 4): "3a 8e b4 55 4b e1",
    (2, 8, 5): "76 8f d9 b9",
    (2, 9, 4): "87 e1 191 8d 55 14a 134 3a",
    (2, 9, 5): "f8 1c9 ce 117 127",
    (2, 10, 4): "2b0 24c 3a 243 186 35 309 170 c9",
    (2, 10, 5): "d6 22e b9 313 3c8 165",
    (2, 11, 5): "60d 463 bc 14e 2d2 334 591",
    (2, 11, 6): "77 336 3d1 4dc 54d 6aa",
    (2, 12, 5): "a15 11b 362 8b4 d84 84e 4c3 471 6a8",
    (2, 12, 7): "a8f 375 cda f23 5bc",
    (2, 13, 5): "8a3 782 e44 e09 16c 1630 1911 d5 109a 1056",
    (2, 13, 6): "1332 d0e 715 ad8 1c29 14e4 3c3",
    (2, 13, 7): "6cd 1c6a ba6 99b 15b4 1371",
    (2, 14, 6): "3131 587 221e 16a8 1866 2cd0 b49",
    (2, 15, 6): "24a9 1d84 284e 655 1362 1931 40d3 4e0a 62a4 7118",
    (2, 17, 6): "50a6 28d1 11251 18780 c01d 533 a06a 14e08 10a26 13602 9988 6544",
    (3, 6, 4): "17 39 1e 2d 36 2b",
    (3, 7, 5): "76 6b 4f 3d 5b",
    (3, 8, 5): "b5 e3 5d 7a d6 2f ec 9b",
    (3, 8, 6): "de 7d f3 af",
    (3, 9, 5): "e5 1d4 1a6 79 ba 14e 8f 163 117 d3 13c 1c9",
    (3, 9, 6): "137 15d 1b5 1ab 1e3 fa ee",
    (3, 10, 5): "b3 386 1f 166 dc ea 31c 253 361 2c9 12d 2c5 23a 1ca 2b4 193 1f0",
    (3, 10, 6): "13b 197 2b9 25e 3c3 2e6 1ce 33c 26d 1f1",
    (3, 10, 7): "1b7 37c 25f 2eb 3ce 3d9",
    (3, 11, 5): "62c 433 361 398 742 76 2b2 455 ad 4e8 5a4 1c3 2d4 691 24b 519 15c 307 13a 48e",
    (3, 11, 6): "3ca 22f 587 f3 4ec 53a 656 3b4 699 761 15d",
    (3, 11, 7): "5ae 4bb 7b8 4fc 357 74b 3e3 6ad",
    (3, 12, 6): "2b5 4d9 31e da4 355 b38 e54 a63 ee bc8 696 c0f 993 572 729",
    (3, 12, 7): "3cb e5a ed1 2fc d8b 7d2 4e7 637 be4 d2e 93d",
    (3, 12, 8): "dab a7d db6 fe2 65f 3dd",
    (3, 13, 6): "c4b 1cc8 9b8 366 1a0e 875 111d 2ad 1523 146c a8b 1b41 93a 758 14e2 d86 10d6 693 13c1 617 1e30",
    (3, 14, 6): (
        "674 184e 28b2 c78 d86 713 2b48 8e9 24e1 1698 3c05 218e 1d5 3056 22f 3129 2a34 12c3 1562 13a4 51d "
        "2a13 251a 3e80 1931"
    ),
    (3, 14, 7): "2596 32e2 1857 23f 360d 11e5 156a 3c64 bcc 6f1 f23 388b 1cb8 3b18 2179",
    (4, 7, 5): "7c 57 67 1f 2f 79 37 4f 7a",
    (4, 7, 6): "77 7b 7e 5f 7d",
    (4, 8, 5): "5b d9 da dc d3 76 3e b6 f8 3d ab 6b 8f 37 e6 f1 ad 4f d5 6d",
    (4, 8, 6): "9f af 7d cf f5 fa 77",
    (4, 9, 5): (
        "ae 187 b3 133 1b4 11e 1c3 1aa 7c 169 193 73 d6 1f0 37 12d ea 15a 9d d9 1cc 155 1b8 1a9 166 3b 9b 4f e5 11b"
    ),
    (4, 9, 6): "1cb 1b5 af 19e 13b 16d f3 1f8 1e6 dd 7e 157",
    (4, 9, 7): "fb 19f 17d 1ee 1f3 f7",
    (4, 10, 6): "36a 3c9 2f8 1b9 3b4 2e5 32d 1f2 2d3 23b 35c b7 317 3c6 15b de 167 2ae 18f 7d",
    (4, 10, 7): "1bb 39b 3b6 3ec 27d 26f 3f2 df 15f 3e5",
    (4, 11, 6): (
        "25e 1ea 2b3 5b4 32e 267 34b 655 175 9f 2e9 7a1 68d 559 4d3 6ca 51e 4ea 2a7 707 fc 770 5c6 639 636 "
        "17a 798 393 52b 1cd 3d4 46d"
    ),
    (4, 11, 7): "5bc 23f 6f4 6ab 793 4b7 3c7 1f3 766 5cb 39e 3ea 74d 375 579 fd 65e",
    (4, 12, 6): (
        "cf 70b 7c1 c2b a4d e92 399 666 23e cac dc4 d43 1a7 aca 578 e15 45d ce1 a87 273 9d1 e58 d0e 356 876 "
        "8b9 b68 497 1ea 535 f30 b25 ba2 4da 16d 2f4 99c 78c 91b 6a9 5b2"
    ),
    (4, 12, 7): "7e2 ecc 3b9 49f 63e f0b 8eb ec6 3da 97a 9ae db8 f94 dd1 e72 56d a5d 673 937 ea5 3c7 55e 8f6 b6c",
    (4, 14, 8): (
        "737 3e70 30f3 3ba2 27f 1567 2cad 2b17 3c8b 38c7 f5c 2e4e 12fc 3b58 29ae 1ec9 1397 353c df1 17aa 3d19 "
        "3aa5 b7a 1d9a 33ca 219f 192f 2769 2c76 3e94 25c7"
    ),
}


def small_covering(g: int, v: int, k: int) -> tuple[tuple[int, ...], ...]:
    """The sets, sorted, each with its points in ascending order."""
    masks = (int(word, 16) for word in COVERINGS[g, v, k].split())
    return tuple(sorted(tuple(x for x in range(v) if mask >> x & 1) for mask in masks))
