//! The tree, its tiles and proofs, cross-checked against the independent crate `ct-merkle`.

use std::collections::BTreeMap;

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ct_merkle::{ConsistencyProof, InclusionProof, RootHash};
use proptest::prelude::*;
use safeconduct_ledger::{
    Audit, Checkpoint, EMPTY_ROOT, Finding, Hash, ProofError, TileHashes, TilePath, TreeBuilder,
    check_consistency, check_inclusion, first_difference, leaf_hash, prove_consistency,
    prove_inclusion,
};
use sha2_of_ct_merkle::Sha256;

type Oracle = MemoryBackedTree<Sha256, Vec<u8>>;

fn leaf(n: u64) -> Vec<u8> {
    format!("leaf {n}").into_bytes()
}

struct Log {
    builder: TreeBuilder,
    tiles: BTreeMap<TilePath, Vec<u8>>,
    oracle: Oracle,
    roots: Vec<Hash>,
}

/// A log as it would lie on disk, with the partial tiles of its final size.
fn log(size: u64) -> Log {
    let mut log = Log {
        builder: TreeBuilder::new(),
        tiles: BTreeMap::new(),
        oracle: Oracle::new(),
        roots: vec![EMPTY_ROOT],
    };
    for n in 0..size {
        log.tiles
            .extend(log.builder.push(leaf_hash(&leaf(n))).into_iter().map(|t| (t.path, t.bytes)));
        log.oracle.push(leaf(n));
        log.roots.push(log.builder.root());
    }
    log.tiles.extend(log.builder.partial_tiles().into_iter().map(|t| (t.path, t.bytes)));
    log
}

fn root_of(root: Hash, size: u64) -> RootHash<Sha256> {
    RootHash::new(root.0.into(), size)
}

fn outputs(proof: &[Hash]) -> Vec<ct_merkle::digest::Output<Sha256>> {
    proof.iter().map(|hash| hash.0.into()).collect()
}

#[test]
fn roots_are_those_of_the_other_implementation() {
    let mut builder = TreeBuilder::new();
    let mut oracle = Oracle::new();
    for n in 0..1100 {
        builder.push(leaf_hash(&leaf(n)));
        oracle.push(leaf(n));
        assert_eq!(builder.root().0[..], oracle.root().as_bytes()[..], "size {}", n + 1);
    }
}

#[test]
fn a_tree_of_three_levels_has_the_root_of_the_other_implementation() {
    let mut builder = TreeBuilder::new();
    let mut oracle = Oracle::new();
    let mut top = Vec::new();
    for n in 0..65_536 + 300 {
        top.extend(
            builder
                .push(leaf_hash(&leaf(n)))
                .into_iter()
                .filter(|t| t.path.to_string().starts_with("tile/1/")),
        );
        oracle.push(leaf(n));
    }
    assert_eq!(builder.root().0[..], oracle.root().as_bytes()[..]);
    assert_eq!(top.len(), 1);
    let partial: Vec<String> =
        builder.partial_tiles().iter().map(|tile| tile.path.to_string()).collect();
    assert_eq!(partial, ["tile/0/257.p/44", "tile/1/001.p/1", "tile/2/000.p/1"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn proofs_hold_in_both_implementations(
        size in 1_u64..1200, at in any::<prop::sample::Index>(), older in any::<prop::sample::Index>(),
    ) {
        let log = log(size);
        let (index, older) = (at.index(size as usize) as u64, older.index(size as usize) as u64 + 1);
        let root = log.builder.root();
        let tiles = TileHashes::new(size, root, |path: &TilePath| log.tiles.get(path).cloned());

        let inclusion = prove_inclusion(&tiles, index).unwrap();
        check_inclusion(&inclusion, size, root, index, leaf_hash(&leaf(index))).unwrap();
        let theirs = InclusionProof::<Sha256>::from_digests(outputs(&inclusion).iter());
        root_of(root, size).verify_inclusion(&leaf(index), index, &theirs).unwrap();
        let made_by_them = log.oracle.prove_inclusion(index as usize);
        prop_assert_eq!(made_by_them.as_bytes(), theirs.as_bytes());

        let consistency = prove_consistency(&tiles, older).unwrap();
        let older_root = log.roots[older as usize];
        check_consistency(&consistency, size, root, older, older_root).unwrap();
        if older < size {
            let theirs = ConsistencyProof::<Sha256>::from_digests(outputs(&consistency).iter());
            root_of(root, size)
                .verify_consistency(&root_of(older_root, older), &theirs)
                .unwrap();
        }

        // And none of them shows anything else.
        let other = leaf_hash(b"another");
        prop_assert_eq!(
            check_inclusion(&inclusion, size, root, index, other),
            Err(ProofError::DoesNotHold)
        );
        if older < size {
            prop_assert_eq!(
                check_consistency(&consistency, size, root, older, other),
                Err(ProofError::DoesNotHold)
            );
        }
    }

    #[test]
    fn a_damaged_tile_gives_no_proof(size in 2_u64..700, bit in any::<prop::sample::Index>()) {
        let mut log = log(size);
        let root = log.builder.root();
        let bytes: usize = log.tiles.values().map(Vec::len).sum();
        let mut place = bit.index(bytes);
        for tile in log.tiles.values_mut() {
            if place < tile.len() {
                tile[place] ^= 1;
                break;
            }
            place -= tile.len();
        }
        let tiles = TileHashes::new(size, root, |path: &TilePath| log.tiles.get(path).cloned());
        for index in [0, size / 2, size - 1] {
            if let Ok(proof) = prove_inclusion(&tiles, index) {
                // The damage lies in a tile that this proof does not need.
                check_inclusion(&proof, size, root, index, leaf_hash(&leaf(index))).unwrap();
            }
        }
    }
}

#[test]
fn what_is_beyond_the_tree_has_no_proof() {
    let log = log(3);
    let tiles =
        TileHashes::new(3, log.builder.root(), |path: &TilePath| log.tiles.get(path).cloned());
    let out_of_range = ProofError::OutOfRange { wanted: 3, size: 3 };
    assert_eq!(prove_inclusion(&tiles, 3), Err(out_of_range.clone()));
    assert_eq!(check_inclusion(&[], 3, EMPTY_ROOT, 3, EMPTY_ROOT), Err(out_of_range));
    assert!(prove_consistency(&tiles, 4).is_err());
    assert_eq!(prove_consistency(&tiles, 0), Ok(vec![]));
    let missing = TileHashes::new(3, log.builder.root(), |_: &TilePath| None);
    assert_eq!(
        prove_inclusion(&missing, 0),
        Err(ProofError::MissingTile { path: "tile/0/000.p/3".into() })
    );
}

#[test]
fn an_audit_compares_with_checkpoints() {
    let log = log(300);
    let checkpoint = |size: u64| Checkpoint { size, root: log.roots[size as usize] };
    let (then, now, beyond) =
        (checkpoint(0), checkpoint(299), Checkpoint { size: 301, root: EMPTY_ROOT });
    let forked = Checkpoint { size: 7, root: leaf_hash(b"fork") };
    let mut audit = Audit::new([&then, &now, &beyond, &forked]);
    for n in 0..300 {
        let (_, finding) = audit.push(n, &leaf(n));
        assert!(matches!(finding, Some(Finding::NotARecord { sequence, .. }) if sequence == n));
    }
    assert_eq!(audit.compare("a", &then), None);
    assert_eq!(audit.compare("a", &now), None);
    assert!(matches!(audit.compare("a", &beyond), Some(Finding::Truncated { found: 300, .. })));
    assert!(matches!(audit.compare("a", &forked), Some(Finding::RootDiffers { signed: 7, .. })));
    assert!(matches!(
        audit.push(301, b"{}"),
        (_, Some(Finding::OutOfSequence { expected: 300, found: 301 }))
    ));
}

#[test]
fn the_first_hash_that_differs_is_named() {
    let (a, mut b) = ([1_u8; 96], [1_u8; 96]);
    assert_eq!(first_difference(&a, &b), None);
    b[70] = 2;
    assert_eq!(first_difference(&a, &b), Some(2));
    assert_eq!(first_difference(&a, &a[..40]), Some(1));
}
