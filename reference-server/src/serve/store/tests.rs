use avouch_engine::ids::{DeviceId, DeviceKey, UserId};
use avouch_engine::journal::Record;

use super::*;
use crate::disk::SimDisk;
use crate::journal::JournalOptions;

fn batch(installation: u64) -> Batch {
    let device = DeviceKey { user: UserId(1), device: DeviceId(1) };
    Batch::from([Record::Device { device, installation }])
}

#[tokio::test]
async fn what_is_handed_over_before_a_refusal_is_heard_of_has_no_effect() {
    let disk = SimDisk::new();
    let journal = Journal::open(&disk, JournalOptions::default()).unwrap();
    let mut store = Store::new(JournalMode::Thread, journal, 1).unwrap();
    disk.full(true);
    // Some of these are there when the first is refused, others come later.
    for installation in 1..100 {
        store.submit(batch(installation));
    }
    let refused = store.answer().await.unwrap();
    assert!(matches!(refused, Answer::Refused(_)), "{refused:?}");
    disk.full(false);
    store.submit(batch(7));
    let committed = store.answer().await.unwrap();
    assert!(matches!(committed, Answer::Committed(1)), "{committed:?}");
    let recovered = store.reopen().await.unwrap().unwrap();
    assert_eq!(recovered.devices.iter().map(|device| device.installation).collect::<Vec<_>>(), [7]);
}
