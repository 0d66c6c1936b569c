"""The hostile packets of the reliability notes, by their numbers: what a client sends, what it must get for
that.

Each row is sent by a client that is in the namespace `/`, unless its number says otherwise.
"""

from dataclasses import dataclass

Frames = tuple[str | bytes, ...]


@dataclass(frozen=True)
class Row:
    """Frames that must end the connection."""

    number: int
    frames: Frames
    codec: bool = True
    """Whether the codec alone refuses the first of them."""

    def __str__(self) -> str:
        """The row's id in a test report."""
        shown = ",".join(ascii(frame[:24]) for frame in self.frames)
        return f"{self.number}:{shown}"


ONE = '{"_placeholder":true,"num":0}'
DEEP = "[" * 100_000

REFUSED = [
    Row(42, ("abc",)),
    Row(42, ("",)),
    Row(42, ("7",)),
    Row(43, ("2",)),
    Row(43, ("2{}",)),
    Row(43, ("2[]",)),
    Row(43, ("2[null]",)),
    Row(43, ("2[true]",)),
    Row(43, ("2[1]",)),
    Row(43, ('2[{"toString":"foo"}]',)),
    *(
        Row(44, (f'2["{name}"]',))
        for name in (
            "connect",
            "connect_error",
            "disconnect",
            "disconnecting",
            "newListener",
            "removeListener",
        )
    ),
    Row(45, (f'2["{"a" * 129}"]',)),
    Row(45, (f'2["{"é" * 65}"]',)),
    Row(45, (f'2["{"a" * 999_000}"]',)),
    Row(46, ('2["a"]x',)),
    Row(46, ('2["a"]["b"]',)),
    Row(46, ('2["a"',)),
    Row(47, ('2abc["a"]',)),
    Row(48, ('2²["a"]',)),
    Row(49, ('2１２["a"]',)),
    Row(50, ('2 1["a"]',)),
    Row(50, ('21 ["a"]',)),
    Row(51, ("2" + "1" * 400 + '["a"]',)),
    Row(51, ('29007199254740992["a"]',)),
    Row(51, ('2-1["a"]',)),
    Row(51, ('21.5["a"]',)),
    Row(54, ('31"a"',)),
    Row(54, ("31{}",)),
    Row(54, ("31",)),
    Row(54, ("3[]",)),
    Row(55, ("0/other,[]",)),
    Row(55, ('0/other,"token"',)),
    Row(55, ("0/other,1",)),
    Row(55, ("0/other,null",)),
    Row(55, ("0/other,5{}",)),
    Row(57, ("0/" + "a" * 100_000,)),
    Row(57, ("0/" + "a" * 128,)),
    Row(59, tuple(f"0/unknown{number}" for number in range(9)), codec=False),
    Row(60, ("0",), codec=False),
    Row(61, ('4{"message":"no"}',)),
    *(
        Row(62, (f'{count}["a",{ONE}]',))
        for count in ("5-", "51.5-", "5+1-", "50x1-", "51e0-", "5", "5 1-", "501-")
    ),
    Row(62, (f'21-["a",{ONE}]',)),
    Row(63, ('50-["a"]',)),
    Row(63, ("60-1[]",)),
    Row(64, (f'59999999999-["a",{ONE}]',)),
    Row(64, (f'511-["a",{",".join(ONE.replace("0", str(number)) for number in range(11))}]',)),
    Row(65, (f'51-["a",{ONE}]', '2["b"]'), codec=False),
    Row(65, (f'52-["a",{ONE},{ONE.replace("0", "1")}]', b"x", f'51-["a",{ONE}]'), codec=False),
    Row(66, (b"stray",), codec=False),
    Row(66, (f'51-["a",{ONE}]', b"x", b"y"), codec=False),
    *(
        Row(68, (f'51-["a",{{"_placeholder":true,"num":{number}}}]',))
        for number in ("5", "-1", "true", "false", "1.0", "0.0", '"0"', "null", "9007199254740993")
    ),
    Row(68, ('51-["a",{"_placeholder":true}]',)),
    Row(68, ('51-["a",{"_placeholder":1,"num":0}]',)),
    Row(68, ('51-["a",{"_placeholder":true,"num":0,"more":1}]',)),
    Row(68, ('51-["a"]',)),
    Row(69, (f'51-["a",{",".join([ONE] * 10_000)}]',)),
    Row(69, (f'52-["a",{ONE},{ONE}]',)),
    Row(70, (f'2["a",{ONE}]',)),
    Row(70, ('2["a",{"b":[{"\\u005fplaceholder":true,"num":0}]}]',)),
    Row(70, (f"31[{ONE}]",)),
    Row(71, ("1{}",)),
    Row(71, ("1[]",)),
    Row(71, ("15",)),
    Row(72, (f'2["a",{DEEP}',)),
    Row(72, (f'2["a",{DEEP}{"]" * 100_000}]',)),
    Row(72, ('2["a",' + '{"a":' * 40 + "1" + "}" * 41,)),
    Row(72, ("0/other," + '{"a":' * 40 + "1" + "}" * 40,)),
    *(Row(73, (f'2["a",{value}]',)) for value in ("NaN", "Infinity", "-Infinity", "1e400", "-1e400")),
    Row(74, (f'2["a",{"1" * 5000}]',)),
    *(Row(76, (f'2["a","{text}"]',)) for text in (r"\ud800", r"\udc00\ud800", r"\ud800a")),
    Row(76, (r'2["\ud800"]',)),
    Row(76, (r'2["a",{"\udfff":1}]',)),
]

BEFORE_CONNECT: list[Frames] = [
    ('2["a"]',),
    ("1",),
    ("31[]",),
    ('4{"message":"no"}',),
    (b"binary",),
    (f'51-["a",{ONE}]', b"x"),
    ('2/chat,["a"]',),
    ("abc",),
]
"""Number 40: nothing may come before CONNECT."""
