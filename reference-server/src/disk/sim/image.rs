//! The bytes of a simulated file, as far as anybody wrote any: a file that space was given out for is mostly zeros, and a
//! disk that is made anew for every schedule must not fill and copy those.

use std::io;

/// A file's contents: what is behind `written` is zeros.
#[derive(Debug, Default)]
pub(super) struct Image {
    /// From the beginning of the file; never more than its length.
    written: Vec<u8>,
    len: usize,
}

impl Image {
    pub(super) fn len(&self) -> u64 {
        self.len as u64
    }

    /// Zeros are added, or the end is cut off.
    pub(super) fn resize(&mut self, len: u64) {
        self.len = len as usize;
        self.written.truncate(self.len);
    }

    /// What goes beyond the length is not visible, as with a file whose new length was lost.
    pub(super) fn write(&mut self, offset: u64, data: &[u8]) {
        let start = (offset as usize).min(self.len);
        let end = start.saturating_add(data.len()).min(self.len);
        let known = self.written.len().max(start).min(end);
        if self.written.len() < start {
            self.written.resize(start, 0);
        }
        let (over, behind) = data[..end - start].split_at(known - start);
        self.written[start..known].copy_from_slice(over);
        self.written.extend_from_slice(behind);
    }

    pub(super) fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        start.checked_add(out.len()).filter(|end| *end <= self.len).ok_or(io::ErrorKind::UnexpectedEof)?;
        let written = self.written.get(start..).unwrap_or_default();
        let (from_written, zeros) = out.split_at_mut(written.len().min(out.len()));
        from_written.copy_from_slice(&written[..from_written.len()]);
        zeros.fill(0);
        Ok(())
    }

    /// The byte at a place, 0 where there is none.
    pub(super) fn byte(&self, at: usize) -> u8 {
        self.written.get(at).copied().unwrap_or(0)
    }

    pub(super) fn to_vec(&self) -> Vec<u8> {
        let mut bytes = self.written.clone();
        bytes.resize(self.len, 0);
        bytes
    }
}

impl Clone for Image {
    fn clone(&self) -> Self {
        Self { written: self.written.clone(), len: self.len }
    }

    fn clone_from(&mut self, other: &Self) {
        self.written.clone_from(&other.written);
        self.len = other.len;
    }
}

impl From<Vec<u8>> for Image {
    fn from(bytes: Vec<u8>) -> Self {
        Self { len: bytes.len(), written: bytes }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Change {
        Resize(u64),
        Write(u64, Vec<u8>),
    }

    fn change() -> impl Strategy<Value = Change> {
        prop_oneof![
            (0_u64..200).prop_map(Change::Resize),
            (0_u64..220, prop::collection::vec(1_u8.., 0..80)).prop_map(|(at, data)| Change::Write(at, data)),
        ]
    }

    proptest! {
        #[test]
        fn it_is_a_file_whose_every_byte_is_kept(changes in prop::collection::vec(change(), 0..30)) {
            let (mut image, mut plain) = (Image::default(), Vec::new());
            for change in changes {
                match change {
                    Change::Resize(len) => {
                        image.resize(len);
                        plain.resize(len as usize, 0);
                    }
                    Change::Write(at, data) => {
                        image.write(at, &data);
                        for (place, byte) in plain.iter_mut().skip(at as usize).zip(&data) {
                            *place = *byte;
                        }
                    }
                }
                prop_assert_eq!(image.to_vec(), plain.clone());
                prop_assert_eq!(image.len(), plain.len() as u64);
                for start in 0..=plain.len() {
                    let mut out = vec![7; plain.len() - start];
                    image.read(start as u64, &mut out).unwrap();
                    prop_assert_eq!(&out[..], &plain[start..]);
                    prop_assert!(image.read(start as u64 + 1, &mut out).is_err());
                }
                prop_assert_eq!((0..260).map(|at| image.byte(at)).collect::<Vec<_>>(), {
                    let mut bytes = plain.clone();
                    bytes.resize(260, 0);
                    bytes
                });
            }
        }
    }
}
