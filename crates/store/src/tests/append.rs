use std::collections::BTreeSet;
use std::sync::Mutex;

use safeconduct_model::{IdentityId, SessionKey, TokenId};
use safeconduct_service::{LedgerHealth, SubmitError, Ticket, Versioned};

use super::*;
use crate::{ATTACHMENT_BYTES_MAX, AttachmentState, LockError, OpenError, segment};

#[test]
fn what_was_answered_is_there_again_after_opening() {
    let folder = Folder::new();
    let store = folder.open();
    for n in 0..10 {
        append(&store, vec![entry(n)]);
    }
    append(&store, (10..300).map(entry).collect());
    assert_holds(&store, 300);
    assert!(segment::list(&folder.data()).unwrap().len() > 2, "several segments");
    store.close();

    let store = folder.open();
    assert_holds(&store, 300);
    append(&store, (300..310).map(entry).collect());
    assert_eq!(store.replay(305).count(), 5);
    assert_eq!(store.record(299).unwrap().unwrap().record, record(299));
    assert!(store.record(310).unwrap().is_none());
    store.close();
    assert_holds(&folder.open(), 310);
}

#[test]
fn an_entry_larger_than_a_segment_gets_its_own() {
    let folder = Folder::new();
    let store = folder.open();
    let large = vec![7; 3 * 16 * 1024];
    append(&store, vec![entry(0), attached(1, &large), entry(2)]);
    append(&store, vec![entry(3)]);
    assert_eq!(store.attachment(1).unwrap().unwrap(), large);
    store.close();
    let store = folder.open();
    assert_holds(&store, 4);
    assert_eq!(store.attachment(1).unwrap().unwrap(), large);
    assert_eq!(store.attachment(0).unwrap(), None);
    assert!(store.attachment(4).is_err());
    let kept: Vec<_> = store.replay(0).map(|placed| placed.unwrap().attachment).collect();
    assert_eq!(kept[..2], [AttachmentState::None, AttachmentState::Present]);
}

#[test]
fn sixty_four_threads_make_one_sequence_without_gaps() {
    let folder = Folder::new();
    let store = folder.open();
    let seen = Mutex::new(BTreeSet::new());
    std::thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| {
                for _ in 0..20 {
                    let ticket = store.submit(proposal(vec![entry(0), entry(1)])).unwrap();
                    block_on(store.durable(ticket)).unwrap();
                    assert!(store.records() > ticket.last);
                    seen.lock().unwrap().insert((ticket.first, ticket.last));
                }
            });
        }
    });
    let wanted: BTreeSet<_> = (0..64 * 20).map(|n| (2 * n, 2 * n + 1)).collect();
    assert_eq!(*seen.lock().unwrap(), wanted);
    store.close();
    assert_eq!(folder.open().records(), 64 * 20 * 2);
}

fn session(name: &str) -> Versioned {
    Versioned::Session(SessionKey::credential(
        IdentityId::new(name).unwrap(),
        TokenId::new("t").unwrap(),
    ))
}

#[test]
fn what_rests_on_something_stale_is_refused_whole() {
    let folder = Folder::new();
    let store = folder.open();
    let submit = |reads: &[(Versioned, u64)], writes: &[Versioned]| {
        store.submit(Proposal {
            entries: vec![entry(0)],
            reads: reads.to_vec(),
            writes: writes.to_vec(),
        })
    };
    let (a, b) = (session("a"), session("b"));
    submit(&[(a.clone(), 0), (Versioned::World, 0)], std::slice::from_ref(&a)).unwrap();
    assert_eq!(store.version(&a), 1);
    // The head has moved although the disk may not have: a second proposal on version 0 is stale.
    assert_eq!(submit(&[(a.clone(), 0)], std::slice::from_ref(&a)), Err(SubmitError::Stale));
    submit(&[(b.clone(), 0)], std::slice::from_ref(&b)).unwrap();
    submit(&[(a.clone(), 1)], std::slice::from_ref(&a)).unwrap();
    submit(&[], &[Versioned::World]).unwrap();
    assert_eq!(submit(&[(a, 2), (Versioned::World, 0)], &[b]), Err(SubmitError::Stale));
    store.close();
    assert_eq!(folder.open().records(), 4);
}

#[test]
fn parallel_calls_of_one_session_come_out_as_one_sequence() {
    let folder = Folder::new();
    let store = folder.open();
    let key = session("a");
    let order = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| {
                loop {
                    let version = store.version(&key);
                    let tried = store.submit(Proposal {
                        entries: vec![entry(version)],
                        reads: vec![(key.clone(), version)],
                        writes: vec![key.clone()],
                    });
                    match tried {
                        Ok(ticket) => {
                            block_on(store.durable(ticket)).unwrap();
                            order.lock().unwrap().push((ticket.first, version));
                            break;
                        }
                        Err(SubmitError::Stale) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            });
        }
    });
    assert_eq!(order.lock().unwrap().len(), 64);
    assert!(order.lock().unwrap().iter().all(|(sequence, version)| sequence == version));
    assert_holds(&store, 64);
}

#[test]
fn what_is_too_long_is_refused() {
    let folder = Folder::new();
    let store = folder.open();
    let long = Entry { leaf: vec![b'x'; 65_536], attachment: None };
    let refused = store.submit(proposal(vec![entry(0), long]));
    assert_eq!(refused, Err(SubmitError::TooLong { bytes: 65_536, limit: 65_535 }));
    let long = attached(0, &vec![0; ATTACHMENT_BYTES_MAX + 1]);
    assert!(matches!(store.submit(proposal(vec![long])), Err(SubmitError::TooLong { .. })));
    assert_eq!(store.health(), LedgerHealth::Ready);
    assert_eq!(store.submit(proposal(vec![entry(0)])), Ok(Ticket { first: 0, last: 0 }));
}

#[test]
fn a_folder_has_one_owner_and_the_other_learns_its_pid() {
    let folder = Folder::new();
    let store = folder.open();
    let refused = Store::open(folder.options()).unwrap_err();
    assert!(matches!(refused, OpenError::Lock(LockError::Owned { .. })));
    let says = refused.to_string();
    assert!(says.contains(&format!("process {}", std::process::id())), "{says}");
    store.close();
    folder.open();
}
