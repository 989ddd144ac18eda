//! CBOR in its one deterministic form (RFC 8949 section 4.2.1), of the kinds that a code has: [`Reader`] reads nothing
//! that [`Writer`] would write otherwise. So a code has one text, and nothing that was read has to be encoded again to
//! tell; the libraries of this field read every form.

/// Deepest nesting of a value that is passed over.
const MAX_DEPTH: u8 = 8;

const UINT: u8 = 0;
const NEGATIVE: u8 = 1;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
const SIMPLE: u8 = 7;
const FALSE: u64 = 20;
const TRUE: u64 = 21;
const NULL: u64 = 22;

/// Writes items one behind the other.
#[derive(Default)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    fn head(mut self, major: u8, n: u64) -> Self {
        let bytes = n.to_be_bytes();
        let (info, length) = match n {
            0..24 => (n as u8, 0),
            24..0x100 => (24, 1),
            0x100..0x1_0000 => (25, 2),
            0x1_0000..0x1_0000_0000 => (26, 4),
            0x1_0000_0000.. => (27, 8),
        };
        self.0.push(major << 5 | info);
        self.0.extend_from_slice(&bytes[8 - length..]);
        self
    }

    pub fn uint(self, n: u64) -> Self {
        self.head(UINT, n)
    }

    pub fn int(self, n: i64) -> Self {
        if n < 0 { self.head(NEGATIVE, !n as u64) } else { self.head(UINT, n as u64) }
    }

    pub fn bytes(self, bytes: &[u8]) -> Self {
        self.bytes_head(bytes.len()).raw(bytes)
    }

    /// The head of a byte string whose content follows.
    pub fn bytes_head(self, length: usize) -> Self {
        self.head(BYTES, length as u64)
    }

    pub fn text(self, text: &str) -> Self {
        self.head(TEXT, text.len() as u64).raw(text.as_bytes())
    }

    /// The head of an array whose items follow.
    pub fn array(self, items: usize) -> Self {
        self.head(ARRAY, items as u64)
    }

    /// The head of a map whose entries follow, in the order of their keys' encodings.
    pub fn map(self, entries: usize) -> Self {
        self.head(MAP, entries as u64)
    }

    pub fn bool(self, value: bool) -> Self {
        self.head(SIMPLE, if value { TRUE } else { FALSE })
    }

    pub fn null(self) -> Self {
        self.head(SIMPLE, NULL)
    }

    /// Bytes as they are.
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// Reads items one after the other; `None`: there is no such item, or not in this form.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// What has not been read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// `None` unless everything was read.
    pub fn end(self) -> Option<()> {
        self.0.is_empty().then_some(())
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    /// Major type and argument, which has the shortest form.
    fn head(&mut self) -> Option<(u8, u64)> {
        let first = *self.take(1)?.first()?;
        let number = |bytes: &[u8]| bytes.iter().fold(0, |n, byte| n << 8 | u64::from(*byte));
        let (n, least) = match first & 0x1f {
            info @ 0..24 => (u64::from(info), 0),
            24 => (number(self.take(1)?), 24),
            25 => (number(self.take(2)?), 0x100),
            26 => (number(self.take(4)?), 0x1_0000),
            27 => (number(self.take(8)?), 0x1_0000_0000),
            _ => return None,
        };
        (n >= least).then_some((first >> 5, n))
    }

    fn of(&mut self, major: u8) -> Option<u64> {
        self.head().filter(|(found, _)| *found == major).map(|(_, n)| n)
    }

    pub fn uint(&mut self) -> Option<u64> {
        self.of(UINT)
    }

    pub fn int(&mut self) -> Option<i64> {
        match self.head()? {
            (UINT, n) => i64::try_from(n).ok(),
            (NEGATIVE, n) => i64::try_from(n).ok().map(|n| !n),
            _ => None,
        }
    }

    pub fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.of(BYTES)?;
        self.take(usize::try_from(length).ok()?)
    }

    pub fn text(&mut self) -> Option<&'a str> {
        let length = self.of(TEXT)?;
        std::str::from_utf8(self.take(usize::try_from(length).ok()?)?).ok()
    }

    pub fn array(&mut self) -> Option<u64> {
        self.of(ARRAY)
    }

    pub fn map(&mut self) -> Option<u64> {
        self.of(MAP)
    }

    pub fn bool(&mut self) -> Option<bool> {
        match self.of(SIMPLE)? {
            FALSE => Some(false),
            TRUE => Some(true),
            _ => None,
        }
    }

    /// Whether null comes next; then it is read.
    pub fn null(&mut self) -> bool {
        let mut after = *self;
        let is_null = after.of(SIMPLE) == Some(NULL);
        if is_null {
            *self = after;
        }
        is_null
    }

    /// The integer, if it comes next; otherwise nothing is read.
    pub fn is_next(&mut self, n: i64) -> bool {
        let mut after = *self;
        let is_next = after.int() == Some(n);
        if is_next {
            *self = after;
        }
        is_next
    }

    /// Passes over one item of any kind but tags and floats. The keys of a map differ, and are in order.
    pub fn skip(&mut self) -> Option<()> {
        self.skip_at(MAX_DEPTH)
    }

    fn skip_at(&mut self, depth: u8) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        match self.head()? {
            (UINT | NEGATIVE, _) | (SIMPLE, FALSE..=NULL) => Some(()),
            (BYTES, length) => self.take(usize::try_from(length).ok()?).map(|_| ()),
            (TEXT, length) => std::str::from_utf8(self.take(usize::try_from(length).ok()?)?).ok().map(|_| ()),
            (ARRAY, items) => (0..items).try_for_each(|_| self.skip_at(depth)),
            (MAP, entries) => {
                let mut before: &[u8] = &[];
                for _ in 0..entries {
                    let start = self.0;
                    self.skip_at(depth)?;
                    let key = &start[..start.len() - self.0.len()];
                    if key <= before {
                        return None;
                    }
                    before = key;
                    self.skip_at(depth)?;
                }
                Some(())
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use coset::CborSerializable;
    use coset::cbor::Value;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_longer_form_a_length_without_end_and_keys_twice_or_in_disorder_are_not_read() {
        let read = |bytes: &[u8]| {
            let mut reader = Reader::new(bytes);
            reader.skip().and_then(|()| reader.end())
        };
        for good in [&b"\x00"[..], b"\x18\x18", b"\x82\x01\xf6", b"\xa2\x01\x02\x18\x18\x02", b"\x62hi", b"\x20"] {
            assert!(read(good).is_some(), "{good:x?}");
        }
        let deep = [[0x81].repeat(9), vec![0]].concat();
        for bad in [
            &b"\x18\x17"[..],        // 23 in two bytes
            b"\x19\x00\xff",         // 255 in three bytes
            b"\x9f\x01\xff",         // without a length
            b"\xa2\x01\x02\x01\x03", // a key twice
            b"\xa2\x02\x02\x01\x03", // keys in disorder
            b"\xc1\x01",             // a tag
            b"\xf9\x3c\x00",         // a float
            b"\xf7",                 // undefined
            b"\x41",                 // cut short
            b"\x61\xff",             // not UTF-8
            b"\x01\x01",             // one item more
            b"\x5b\xff\xff\xff\xff\xff\xff\xff\xff",
            &deep,
        ] {
            assert!(read(bad).is_none(), "{bad:x?}");
        }
    }

    proptest! {
        #[test]
        fn another_library_reads_what_is_written_and_writes_the_same(
            n in any::<i64>(), m in any::<u64>(), bytes in any::<Vec<u8>>(), text in ".{0,300}", yes in any::<bool>(),
        ) {
            let writer = Writer::default().array(6).int(n).uint(m).bytes(&bytes).text(&text).bool(yes).null();
            let written = writer.finish();
            let strings = [Value::Bytes(bytes.clone()), Value::Text(text.clone())];
            let items: Vec<_> = [n.into(), m.into()].into_iter().chain(strings).chain([yes.into(), Value::Null]).collect();
            prop_assert_eq!(&Value::Array(items).to_vec().unwrap(), &written);
            let mut reader = Reader::new(&written);
            prop_assert_eq!(reader.array(), Some(6));
            prop_assert_eq!((reader.int(), reader.uint()), (Some(n), Some(m)));
            prop_assert_eq!((reader.bytes(), reader.text()), (Some(&bytes[..]), Some(&text[..])));
            prop_assert_eq!((reader.null(), reader.bool(), reader.null()), (false, Some(yes), true));
            prop_assert!(reader.end().is_some());
        }

        #[test]
        fn what_is_read_has_no_other_form(bytes in any::<Vec<u8>>()) {
            let mut reader = Reader::new(&bytes);
            if reader.skip().is_some() {
                let read = &bytes[..bytes.len() - reader.rest().len()];
                prop_assert_eq!(Value::from_slice(read).unwrap().to_vec().unwrap(), read);
            }
        }
    }
}
