//! What was erased, and who remembers what happened beside it.

use super::*;

/// Another identity's calls are remembered as that one's, and lie in the session of whoever spoke
/// of it: once that session's values are erased, nobody compares them any more.
#[tokio::test]
async fn whoever_was_spoken_of_lets_go_of_what_was_erased_too() {
    let rules = FIELDS.replace("@id(\"same-file\")", "@id(\"same-file\") @history(\"identity\")");
    let told = Told::of(world_of_fields(&rules), Settings::default()).await;
    let mut speaks = agent("desk");
    speaks.kind = IdentityKind::Workload;
    speaks.pep = Some(PepRegistration {
        subjects: BTreeSet::from([EntityType::new("Safeconduct::Agent").unwrap()]),
        ..PepRegistration::default()
    });
    let service = &told.bench.service;
    service.change_identity(speaks, &me()).await.unwrap();
    let check = Check {
        subject: Subject::Asserted {
            by: proof("desk", "d1"),
            entity: Entity::bare(EntityRef::new("Safeconduct::Agent", "agent").unwrap()),
        },
        ..check("read")
    };
    let ruling = service.check(check).await.unwrap();
    service.observe(report(ruling.value().decision(), "gateway:files")).await.unwrap();
    assert_eq!(told.call("move", "t1").await, ["same-file"]);
    service.erase(&SessionKey::of(&proof("desk", "d1")), &me()).await.unwrap();
    for told in [&told, &told.again_under(world_of_fields(&rules))] {
        assert_eq!(told.call("move", "t1").await, ["?same-file"]);
    }
}
