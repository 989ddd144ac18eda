"""Judges codes as docs/code-format.md says for a scanner without a network."""

from cwt.exceptions import VerifyError
from ym1 import Refused, cbor, expect, is_bytes, is_seconds, is_uint, key_of, read_sign1, verify_sign1

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
MAX_CHARS, MAX_NAME_BYTES, MAX_CHANGES = 1_500, 40, 8
QUARTER_S, CLOCK_SKEW_S, MAX_PROOF_AGE_S = 900, 30, 60
ISS, EXP, NBF, IAT, CNF = 1, 4, 5, 6, 8
HANDLE, SNAPSHOT, DENIAL_TAG, PAPER, GUARDIAN = -65537, -65539, -65540, -65541, -65542
COLOURS = ["green", "yellow", "red", "none"]
RESULTS = ["negative", "positive", "inconclusive", "invalid"]


def base45(text):
    decoded = bytearray()
    for at in range(0, len(text), 3):
        digits = [ALPHABET.find(c) for c in text[at : at + 3]]
        expect(len(digits) > 1 and -1 not in digits)
        number = sum(digit * 45**place for place, digit in enumerate(digits))
        length = len(digits) - 1
        expect(number < 256**length)
        decoded += number.to_bytes(length, "big")
    return bytes(decoded)


def read_token(token):
    key_id, claims = read_sign1(token)
    expect(type(claims) is dict and type(claims.get(ISS)) is str)
    times = [claims.get(IAT), claims.get(NBF, claims.get(IAT)), claims.get(EXP)]
    expect(all(map(is_seconds, times)) and times[0] <= times[1] < times[2])
    expect(type(claims.get(HANDLE)) is bytes)
    known = {ISS, EXP, NBF, IAT, HANDLE}
    point = None
    if PAPER in claims:
        known |= {PAPER}
        read_paper(claims[PAPER])
    else:
        known |= {SNAPSHOT}
        read_snapshot(claims.get(SNAPSHOT))
    if CNF in claims:
        expect(PAPER not in claims)
        known |= {CNF, DENIAL_TAG}
        expect(type(claims[CNF]) is dict and list(claims[CNF]) == [1])
        key = claims[CNF][1]
        expect(type(key) is dict and list(key) == [1, -1, -2, -3] and key[1] == 2 and key[-1] == 1)
        expect(is_bytes(key[-2], 32) and type(key[-3]) is bool and is_bytes(claims.get(DENIAL_TAG), 8))
        point = bytes([3 if key[-3] else 2]) + key[-2]
    expect(claims.get(GUARDIAN, True) is True)
    known |= {GUARDIAN}
    expect(all(type(claim) is int and (claim in known or claim < GUARDIAN) for claim in claims))
    return key_id, claims, point


def read_paper(paper):
    expect(type(paper) is list and len(paper) == 2)
    expect(all(map(is_name, paper)))


def is_name(text):
    return text is None or (type(text) is str and len(text.encode()) <= MAX_NAME_BYTES)


def read_snapshot(snapshot):
    expect(type(snapshot) is list and len(snapshot) == 6)
    lag, timeline, test, doses, complete, name = snapshot
    expect(is_uint(lag) and is_uint(doses) and doses < 256 and type(complete) is bool)
    expect(type(timeline) is list and len(timeline) % 2 == 1 and len(timeline) // 2 <= MAX_CHANGES)
    expect(all(is_uint(colour) and colour < len(COLOURS) for colour in timeline[::2]))
    quarters = [0, *timeline[1::2]]
    expect(all(is_uint(n) and n < 65_536 for n in quarters) and all(a < b for a, b in zip(quarters, quarters[1:])))
    if test is not None:
        expect(type(test) is list and len(test) == 2 and is_uint(test[0]) and test[0] < len(RESULTS))
        expect(is_uint(test[1]) and test[1] < 2**32)
    expect(is_name(name))


def judge(text, issuers, now):
    text = text.strip()
    expect(text.startswith("YM1:") and len(text) <= MAX_CHARS)
    code = base45(text[4:])
    items = cbor(code)
    expect(type(items) is list and len(items) in (2, 4) and type(items[0]) is bytes and is_bytes(items[-1], 8))
    key_id, claims, point = read_token(items[0])
    expect((point is None) == (len(items) == 2))
    if point:
        expect(is_uint(items[1]) and is_bytes(items[2], 64))

    verify_sign1(items[0], key_id, issuers)

    at = now
    if point:
        at = items[1]
        try:
            phone = key_of(point)
        except ValueError:
            raise Refused("malformed") from None
        # Head and content of the proof (66 bytes) and of the MAC (9) follow what was signed.
        try:
            phone.verify(b"YM1 proof" + code[: -66 - 9], items[2])
        except VerifyError:
            raise Refused("wrong_phone") from None

    valid_from = claims.get(NBF, claims[IAT])
    if at > now + CLOCK_SKEW_S or at + CLOCK_SKEW_S < valid_from:
        raise Refused("not_yet_valid")
    if at >= claims[EXP]:
        raise Refused("expired")
    if now - at > MAX_PROOF_AGE_S:
        raise Refused("stale_proof")
    return says(claims, now) | ({"guardian": True} if GUARDIAN in claims else {})


def says(claims, now):
    if PAPER in claims:
        name, document = claims[PAPER]
        nothing = {"colour": None, "test": None, "doses": 0, "complete": False, "denial_tag": None}
        return {"issuer": claims[ISS], "name": name, **nothing} | ({"document": document} if document else {})
    _, timeline, test, doses, complete, name = claims[SNAPSHOT]
    passed = now // QUARTER_S - claims.get(NBF, claims[IAT]) // QUARTER_S
    colour = timeline[0]
    for quarter, later in zip(timeline[1::2], timeline[2::2]):
        if quarter <= passed:
            colour = later
    if test is not None:
        test = [RESULTS[test[0]], test[1] * 3_600 + max(0, now - claims[IAT])]
    tag = claims.get(DENIAL_TAG)
    return {
        "issuer": claims[ISS],
        "colour": COLOURS[colour],
        "test": test,
        "doses": doses,
        "complete": complete,
        "name": name,
        "denial_tag": tag and tag.hex(),
    }
