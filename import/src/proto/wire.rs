//! Protobuf on the wire: fields of a message as byte ranges, without decoding them.

use std::ops::Range;

/// How deep groups and messages may nest; as many as the decoder allows.
const DEPTH: usize = 100;

/// Why bytes are not a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A field wants more bytes than there are.
    #[error("the bytes end in the middle of a field")]
    EndsEarly,
    /// A tag or a number that protobuf does not have.
    #[error("byte {at} is not protobuf")]
    Malformed {
        /// Where, from the start of the file.
        at: usize,
    },
}

/// One field of a message, by its place in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// The field's number.
    pub number: u32,
    /// Tag, length where there is one, and payload.
    pub range: Range<usize>,
    /// The payload of a length-delimited field (bytes, string, message, packed numbers).
    pub payload: Option<Range<usize>>,
}

/// The fields of the message that lies at `range` of `bytes`, in order.
///
/// # Errors
/// When the bytes are not protobuf, or end in the middle of a field.
pub fn fields(bytes: &[u8], range: Range<usize>) -> Result<Vec<Field>, WireError> {
    let mut reader = Reader { bytes: bytes.get(..range.end).ok_or(WireError::EndsEarly)?, at: range.start };
    let mut fields = Vec::new();
    while reader.at < range.end {
        fields.push(reader.field(DEPTH)?);
    }
    Ok(fields)
}

/// The bytes of a number in protobuf's variable-length form.
fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(10);
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// The tag and length that stand before a length-delimited field.
pub(super) fn header(number: u32, length: u64) -> Vec<u8> {
    let mut bytes = varint(u64::from(number) << 3 | 2);
    bytes.extend(varint(length));
    bytes
}

/// A place in bytes that end where the message does.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn field(&mut self, depth: usize) -> Result<Field, WireError> {
        let start = self.at;
        let (number, kind) = self.tag()?;
        let payload = self.value(number, kind, depth)?;
        Ok(Field { number, range: start..self.at, payload })
    }

    fn tag(&mut self) -> Result<(u32, u8), WireError> {
        let at = self.at;
        let tag = u32::try_from(self.varint()?).map_err(|_| WireError::Malformed { at })?;
        if tag >> 3 == 0 {
            return Err(WireError::Malformed { at });
        }
        Ok((tag >> 3, (tag & 7) as u8))
    }

    /// Steps over a value; gives the payload of a length-delimited one.
    fn value(&mut self, number: u32, kind: u8, depth: usize) -> Result<Option<Range<usize>>, WireError> {
        match kind {
            0 => self.varint().map(|_| None),
            1 => self.skip(8).map(|_| None),
            5 => self.skip(4).map(|_| None),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| WireError::EndsEarly)?;
                self.skip(length).map(Some)
            }
            3 => self.group(number, depth).map(|()| None),
            _ => Err(WireError::Malformed { at: self.at }),
        }
    }

    /// Steps over a group: fields up to the end tag of the same number.
    fn group(&mut self, number: u32, depth: usize) -> Result<(), WireError> {
        let inner = depth.checked_sub(1).ok_or(WireError::Malformed { at: self.at })?;
        loop {
            match self.tag()? {
                (end, 4) if end == number => return Ok(()),
                (field, kind) => self.value(field, kind, inner)?,
            };
        }
    }

    fn varint(&mut self) -> Result<u64, WireError> {
        let start = self.at;
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = *self.bytes.get(self.at).ok_or(WireError::EndsEarly)?;
            self.at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(WireError::Malformed { at: start })
    }

    fn skip(&mut self, length: usize) -> Result<Range<usize>, WireError> {
        let end = self.at.checked_add(length).filter(|&end| end <= self.bytes.len()).ok_or(WireError::EndsEarly)?;
        let start = std::mem::replace(&mut self.at, end);
        Ok(start..end)
    }
}
