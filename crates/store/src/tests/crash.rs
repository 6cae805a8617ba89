use std::fs;
use std::os::unix::fs::FileExt;

use proptest::prelude::*;
use safeconduct_ledger::CheckpointKey;

use super::*;
use crate::open::{Recovered, recover};
use crate::{FrameProblem, OpenError, ScanError, keys, segment};

/// A ledger of one segment with `before` records, and the bytes that one more batch wrote.
struct Torn {
    folder: Folder,
    key: CheckpointKey,
    before: u64,
    image: Vec<u8>,
    from: usize,
    batch: Vec<u8>,
    /// Offsets in the batch at which its frames end.
    ends: Vec<usize>,
}

impl Torn {
    fn new() -> Self {
        let folder = Folder::new();
        let path = segment::path(&folder.data(), 0);
        let store = folder.open();
        let before = 5;
        append(&store, (0..before).map(entry).collect());
        let image = fs::read(&path).unwrap();
        let sizes: Vec<_> = [entry(5), attached(6, b"wrapped key"), attached(7, &[9; 700])].into();
        append(&store, sizes.clone());
        store.close();
        // Derived files would speak of the batch: this is the moment before they were written.
        fs::remove_dir_all(folder.data().join("tlog")).ok();
        let after = fs::read(&path).unwrap();
        let from = (0..image.len()).find(|at| image[*at] != after[*at]).unwrap();
        let mut batch = Vec::new();
        let mut ends = Vec::new();
        for (sequence, entry) in (5..).zip(&sizes) {
            crate::frame::push_frame(&mut batch, sequence, 5, entry);
            ends.push(batch.len());
        }
        assert_eq!(after[from..from + batch.len()], batch);
        let key = keys::signing_key(&folder.keys(), &folder.options().origin).unwrap();
        Self { folder, key, before, image, from, batch, ends }
    }

    /// Puts a segment in place whose batch region holds `written`.
    fn put(&self, written: &[u8]) {
        let mut image = self.image.clone();
        image[self.from..self.from + written.len()].copy_from_slice(written);
        fs::write(segment::path(&self.folder.data(), 0), image).unwrap();
    }

    fn recover(&self) -> Result<Recovered, OpenError> {
        recover(&self.folder.data(), &RealDisk, &self.key)
    }
}

#[test]
fn a_batch_that_is_cut_at_any_byte_loses_nothing_that_was_answered() {
    let torn = Torn::new();
    for cut in 0..=torn.batch.len() {
        torn.put(&torn.batch[..cut]);
        let recovered = torn.recover().unwrap();
        // The zeros that fill a frame up look the same whether they were written or not.
        let whole = torn
            .ends
            .iter()
            .filter(|end| **end <= cut || torn.batch[cut..**end].iter().all(|byte| *byte == 0));
        assert_eq!(recovered.records, torn.before + whole.count() as u64, "cut at {cut}");
        if cut % 97 == 0 {
            let store = torn.folder.open();
            assert_holds(&store, recovered.records);
            append(&store, (recovered.records..recovered.records + 3).map(entry).collect());
            store.close();
            fs::remove_dir_all(torn.folder.data().join("tlog")).ok();
            assert_holds(&torn.folder.open(), recovered.records + 3);
            fs::remove_dir_all(torn.folder.data().join("tlog")).ok();
        }
    }
}

#[test]
fn a_file_that_ends_within_the_batch_is_a_torn_tail() {
    let torn = Torn::new();
    for cut in (0..torn.batch.len()).step_by(13) {
        torn.put(&torn.batch);
        let file = fs::OpenOptions::new().write(true).open(segment::path(&torn.folder.data(), 0));
        file.unwrap().set_len((torn.from + cut) as u64).unwrap();
        let whole = torn.ends.iter().filter(|end| **end <= cut).count() as u64;
        assert_eq!(torn.recover().unwrap().records, torn.before + whole, "cut at {cut}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A disk may write the sectors of a batch in any order before the power goes.
    #[test]
    fn sectors_in_any_order_lose_nothing_that_was_answered(mask in any::<u64>(), small in any::<bool>()) {
        let torn = Torn::new();
        let sector = if small { 16 } else { 512 };
        let mut written = torn.batch.clone();
        for (place, byte) in written.iter_mut().enumerate() {
            let sector = (torn.from + place) / sector;
            if mask >> (sector % 64) & 1 == 0 {
                *byte = 0;
            }
        }
        torn.put(&written);
        let recovered = torn.recover().unwrap();
        prop_assert!((torn.before..=torn.before + 3).contains(&recovered.records));
        prop_assert_eq!(torn.recover().unwrap().records, recovered.records);
    }

    /// One bit in what was answered, anywhere: refused, with the record that it is in.
    #[test]
    fn one_flipped_bit_in_the_middle_is_refused_by_record(bit in any::<prop::sample::Index>()) {
        let folder = Folder::new();
        let store = folder.open();
        let mut ends = vec![segment::HEADER_BYTES as usize];
        for n in 0..20 {
            let entry = if n % 3 == 0 { attached(n, &[5; 30]) } else { entry(n) };
            let attachment = entry.attachment.as_ref().map_or(0, Vec::len);
            let size = crate::frame::frame_bytes(entry.leaf.len(), attachment) as usize;
            ends.push(ends.last().unwrap() + size);
            append(&store, vec![entry]);
        }
        store.close();
        let path = segment::path(&folder.data(), 0);
        let mut bytes = fs::read(&path).unwrap();
        // All but the last record, which could as well be a torn tail.
        let (from, until) = (ends[0], ends[19]);
        let bit = bit.index((until - from) * 8);
        let at = from + bit / 8;
        bytes[at] ^= 1 << (bit % 8);
        fs::write(&path, bytes).unwrap();
        let wanted = ends.iter().rposition(|end| *end <= at).unwrap() as u64;
        match Store::open(folder.options()) {
            Err(OpenError::Scan(ScanError::Corrupt { sequence, path: found, .. })) => {
                prop_assert_eq!((sequence, found), (wanted, path));
            }
            other => prop_assert!(false, "{:?}", other),
        }
    }
}

#[test]
fn the_last_record_damaged_is_refused_where_the_checkpoint_signs_it() {
    let folder = Folder::new();
    let store = folder.open();
    append(&store, (0..7).map(entry).collect());
    store.close();
    let path = segment::path(&folder.data(), 0);
    let bytes = fs::read(&path).unwrap();
    let last = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(b"X", last as u64 - 3).unwrap();
    let refused = Store::open(folder.options()).unwrap_err();
    assert!(matches!(refused, OpenError::Truncated { found: 6, signed: 7 }), "{refused}");
}

#[test]
fn a_missing_segment_is_refused() {
    let folder = Folder::new();
    let store = folder.open();
    append(&store, (0..300).map(entry).collect());
    store.close();
    let firsts = segment::list(&folder.data()).unwrap();
    fs::remove_file(segment::path(&folder.data(), firsts[1])).unwrap();
    let refused = Store::open(folder.options()).unwrap_err();
    let OpenError::Scan(ScanError::Corrupt { sequence, problem, .. }) = refused else {
        panic!("{refused}")
    };
    assert_eq!((sequence, problem), (firsts[1], FrameProblem::Missing));
}

#[test]
fn a_segment_of_another_version_or_ledger_is_refused() {
    let folder = Folder::new();
    folder.open().close();
    let store = folder.open();
    append(&store, vec![entry(0)]);
    store.close();
    let path = segment::path(&folder.data(), 0);
    for offset in 0..segment::HEADER_BYTES as usize {
        let good = fs::read(&path).unwrap();
        let mut bad = good.clone();
        bad[offset] ^= 0x10;
        fs::write(&path, bad).unwrap();
        let refused = Store::open(folder.options()).unwrap_err();
        assert!(matches!(refused, OpenError::Scan(ScanError::Segment { .. })), "{refused}");
        fs::write(&path, good).unwrap();
    }
    assert_holds(&folder.open(), 1);
}
