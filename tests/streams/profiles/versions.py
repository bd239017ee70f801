"""A stored profile in each version of the layout, and an empty one."""

from __future__ import annotations

import base64
import zlib
from functools import partial

import numpy as np

from streams.profiles import profile as profiles
from streams.profiles.layout import RECORD_5
from streams.profiles.profile import PastEvent
from tests.streams.shoppers import SPACE

HEAD = (
    "cf0000019c1c38a400c408003c00b800340000c4080040006400c20030c42a00a4381c9c01000040f89e395b66422f070000000318a0381c9c"
)
TAIL = (
    "0100008472c2e34d854f7500000000009192cf0000019c1c38a400a972656420626f6f7473c40c50d5dd37c961108c0000204081a6636c69636b"
    "739229cf0000019c1c38a47b"
)
VERSION_1 = bytes.fromhex("9801" + HEAD + TAIL)
VERSION_2 = bytes.fromhex("9902" + HEAD + TAIL + "c40cdbbeaf7e34fa7ca50000c03f")
VERSION_3 = bytes.fromhex(
    "9a03cf0000019c1c38a400c40c0000803fff7f00c000200000c40c000080444000ff7fa0ff0400c42a00a4381c9c01000040f89e395b66422f07"
    "0000000318a0381c9c0100008472c2e34d854f7500000000009192cf0000019c1c38a400a972656420626f6f7473c40c50d5dd37c96110"
    "8c0000204081cf47e6d0f54373db359229cf0000019c1c38a47bc40cdbbeaf7e34fa7ca50000c03f00"
)
VERSION_4 = bytes.fromhex(
    "9d04"
    + VERSION_3.hex()[4:]
    + "c410dbbeaf7e34fa7ca5800e8069003e003c93cb400a000000000000cb3ff0000000000000cb4000000000"
    "000000cf0000019c1c38a018"
)
"""Version 4: version 3 with a habit, prices and the start of the session."""
VERSION_5 = zlib.decompress(
    base64.b85decode(
        b"c-muSVgvyOh9wp<bAXh@0tk%?xEvt#2YaZ1gX!&J=dTx@xijDZnhf|s^%89MAOXDY8T`QE$2`mEG$;L*qC<~;Tm4IioCk2kPr%i?"
        b"<|h*cddM~Q_P+IXCckQylB>TcHANvQKfk1yVQ2z&n%kh@fM5QAJ%0HHpnQW1GY(l622L>jzn<X$g90#}16d3Hv%urEfv+Kx!H&TO0OII0js"
    )
)
"""Version 4 as version 5, compressed: it is mostly zeros."""
EVENTS = (PastEvent(0xDEADBEEF, 41, 3), PastEvent(7, 2**32 - 1, 2**16 - 1))
VERSION_6 = b"".join(
    (
        b"\x06" + VERSION_5[1:RECORD_5],
        np.array([0xDEADBEEF, 7], "<u4").tobytes() + bytes(56) + np.array([41, 2**32 - 1], "<u4").tobytes() + bytes(56),
        b"\x03\0\xff\xff" + bytes(28),
        bytes(32),
        VERSION_5[RECORD_5:],
    )
)
"""Version 5 with two events, without the shopper's activity."""
EARLIER_ITEMS = (0xC0FFEE, 2**32 - 1)
VERSION_7 = b"\x07" + VERSION_6[1:7] + b"\x02" + VERSION_6[8:] + bytes.fromhex("eeffc000ffffffff")
"""Version 6 with two earlier items of the session."""
empty = partial(profiles.empty, space=SPACE)
