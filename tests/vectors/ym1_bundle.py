"""Reads offline bundles as docs/offline-bundle.md says."""

from base64 import urlsafe_b64encode
from datetime import UTC, datetime
from hashlib import sha256

from ym1 import Refused, cbor, counts_as, expect, is_bytes, is_seconds, is_uint, key_of, read_sign1, verify_sign1

AAD = b"YM1 bundle"
KEYS = [1, 6, -1, -2, -3, -4, -5, -6, -7, -8]
# The lists for codes of other systems, only where there are any.
FOREIGN = -9
FORMAT, READER = 1, 1
MAX_PART_BYTES, MAX_K = 8 * 1024 * 1024, 32


def is_list(value, *tests):
    """An array of exactly these items."""
    return type(value) is list and len(value) == len(tests) and all(test(item) for test, item in zip(tests, value))


def is_text(value):
    return type(value) is str


def is_digest(value):
    return is_bytes(value, 32)


def is_blob(value):
    return is_list(value, is_uint, is_digest)


def read_blob(blob):
    return {"bytes": blob[0], "sha256": blob[1].hex()}


def rfc3339(seconds):
    return datetime.fromtimestamp(counts_as(seconds), UTC).isoformat().replace("+00:00", "Z")


def open_index(data, issuers, held_released_at):
    """What an index says. `held_released_at`: of the bundle held, in seconds; None without one."""
    key_id, payload = read_sign1(data)
    index = read_payload(payload)
    verify_sign1(data, key_id, issuers, AAD)
    if held_released_at is not None and payload[6] < held_released_at:
        raise Refused("older")
    return index


def read_payload(payload):
    expect(type(payload) is dict and list(payload) in (KEYS, [*KEYS, FOREIGN]))
    foreign = payload.get(FOREIGN)
    region, released_at, version, ages, issuers, rules, slots, reader, emergency, guidance = map(payload.get, KEYS)
    expect(is_text(region) and is_seconds(released_at) and version == FORMAT)
    expect(is_list(ages, is_seconds, is_seconds, is_seconds) and ages[0] <= ages[1] <= ages[2])
    expect(is_list(rules, is_uint, is_seconds, is_seconds, is_seconds, is_seconds))
    expect(is_uint(reader) and reader <= READER)
    expect(emergency is None or is_list(emergency, is_seconds, is_seconds, is_text))
    expect(guidance is None or is_blob(guidance))
    expect(FOREIGN not in payload or is_list(foreign, is_blob, is_blob, is_blob))
    return {
        "region": region,
        "released_at": rfc3339(released_at),
        **dict(zip(("warn_s", "grace_s", "stop_s"), ages)),
        "kids": read_issuers(issuers),
        "rules": {
            **dict(zip(("version", "proof_age_s", "ahead_s", "lag_s"), rules)),
            "issued_not_before": rfc3339(rules[4]),
        },
        "denylist": read_slots(slots, released_at),
        "emergency": emergency
        and {"until": rfc3339(emergency[0]), "expired_s": emergency[1], "why": emergency[2]},
        "guidance": guidance and read_blob(guidance),
        "foreign": foreign and [read_blob(blob) for blob in foreign],
    }


def read_issuers(issuers):
    expect(type(issuers) is list)
    kids = []
    for issuer in issuers:
        expect(is_list(issuer, lambda key_id: is_bytes(key_id, 8), is_digest, is_digest))
        key_id, x, y = issuer
        point = b"\x04" + x + y
        try:
            key_of(point)
        except ValueError:
            raise Refused("malformed") from None
        expect(sha256(point).digest()[:8] == key_id and key_id not in kids)
        kids.append(key_id)
    return [urlsafe_b64encode(key_id).rstrip(b"=").decode() for key_id in kids]


def read_slots(slots, released_at):
    expect(type(slots) is list)
    read = []
    for slot in slots:
        expect(is_list(slot, is_uint, lambda parts: type(parts) is list))
        number, parts = slot
        expect(not read or number == read[-1]["slot"] + 1)
        for part in parts:
            expect(is_list(part, is_seconds, is_seconds, is_uint, is_digest))
            expect(part[0] < part[1] <= released_at)
        expect(all(a[:2] < b[:2] for a, b in zip(parts, parts[1:])))
        named = [{"from": part[0], "to": part[1], "part": read_blob(part[2:])} for part in parts]
        read.append({"slot": number, "parts": named})
    return read


class Part:
    """A part of the denylist."""

    def __init__(self, data, named):
        expect({"bytes": len(data), "sha256": sha256(data).hexdigest()} == named)
        expect(9 <= len(data) <= MAX_PART_BYTES)
        n, m, k = int.from_bytes(data[:4]), int.from_bytes(data[4:8]), data[8]
        bits = "".join(f"{byte:08b}" for byte in data[9:])
        expect(m >= 1 and k <= MAX_K and n * m < 2**53 and n <= len(bits))
        self.range, self.values = n * m, set()
        at = last = 0
        for _ in range(n):
            end = bits.find("0", at)
            expect(end >= 0 and end + 1 + k <= len(bits))
            rest = bits[end + 1 : end + 1 + k]
            last += ((end - at) << k) + int(rest or "0", 2)
            expect(last < self.range)
            self.values.add(last)
            at = end + 1 + k
        expect(len(bits) - at < 8 and "1" not in bits[at:])

    def matches(self, tag):
        return int.from_bytes(tag) * self.range >> 64 in self.values


def cover(ranges, held, released_at):
    """The ranges that a reader takes which holds some; None: they do not cover everything."""
    chosen, at = [], 0
    while at < released_at:
        from_here = [part for part in ranges if part[0] == at]
        candidates = [part for part in from_here if part in held] or from_here
        if not candidates:
            return None
        chosen.append(max(candidates))
        at = chosen[-1][1]
    return chosen if at == released_at else None


def denies(index, parts, slot, tag):
    """Whether a tag is denied. `parts`: all that the index names, by SHA-256."""
    (named,) = [named["parts"] for named in index["denylist"] if named["slot"] == slot]
    by_range = {(part["from"], part["to"]): part["part"] for part in named}
    released_at = int(datetime.fromisoformat(index["released_at"]).timestamp())
    chosen = cover([list(part) for part in by_range], [], released_at)
    return any(parts[by_range[tuple(part)]["sha256"]].matches(tag) for part in chosen)
