//! The bytes of a simulated file, as they were written: a file that space was given out for is mostly zeros, and what a
//! disk sees, has on its way and holds durably is mostly the same, so all of them share one copy of every write.

use std::collections::BTreeMap;
use std::io;

use bytes::Bytes;

/// A file's contents: what no part covers is zeros.
#[derive(Clone, Debug, Default)]
pub(super) struct Image {
    /// By where they begin. None is empty, reaches into the next or beyond the length.
    parts: BTreeMap<usize, Bytes>,
    len: usize,
}

impl Image {
    pub(super) fn len(&self) -> u64 {
        self.len as u64
    }

    /// Zeros are added, or the end is cut off.
    pub(super) fn resize(&mut self, len: u64) {
        self.len = len as usize;
        self.cut_out(self.len, usize::MAX);
    }

    /// What goes beyond the length is not visible, as with a file whose new length was lost.
    pub(super) fn write(&mut self, offset: u64, data: &Bytes) {
        let start = (offset as usize).min(self.len);
        let end = start.saturating_add(data.len()).min(self.len);
        if start < end {
            self.cut_out(start, end);
            self.parts.insert(start, data.slice(..end - start));
        }
    }

    pub(super) fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        let end = start.checked_add(out.len()).filter(|end| *end <= self.len);
        let end = end.ok_or(io::ErrorKind::UnexpectedEof)?;
        out.fill(0);
        let reaching_in = self.parts.range(..start).next_back();
        for (&at, part) in reaching_in.into_iter().chain(self.parts.range(start..end)) {
            let (from, to) = (at.max(start), (at + part.len()).min(end));
            if from < to {
                out[from - start..to - start].copy_from_slice(&part[from - at..to - at]);
            }
        }
        Ok(())
    }

    /// The byte at a place, 0 where there is none.
    pub(super) fn byte(&self, at: usize) -> u8 {
        let part = self.parts.range(..=at).next_back();
        part.and_then(|(from, part)| part.get(at - from)).copied().unwrap_or(0)
    }

    pub(super) fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len];
        for (&at, part) in &self.parts {
            bytes[at..at + part.len()].copy_from_slice(part);
        }
        bytes
    }

    /// Leaves zeros between two places.
    fn cut_out(&mut self, start: usize, end: usize) {
        while let Some((&at, part)) = self.parts.range(..end).next_back()
            && at + part.len() > start
        {
            let part = part.clone();
            if at < start {
                self.parts.insert(at, part.slice(..start - at));
            } else {
                self.parts.remove(&at);
            }
            if at + part.len() > end {
                self.parts.insert(end, part.slice(end - at..));
            }
        }
    }
}

impl From<Vec<u8>> for Image {
    fn from(bytes: Vec<u8>) -> Self {
        let mut image = Self { len: bytes.len(), ..Self::default() };
        image.write(0, &bytes.into());
        image
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
                        image.write(at, &data.clone().into());
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
