//! Hand-made histories with conversations of several sizes.

use std::collections::BTreeMap;

use super::*;
use crate::history::{Conversation, Device, Event, Message, ReceiptKind, Rung, User, What};
use crate::latency::{IntervalReader, Sparse, Window};

const MS: u64 = 1_000_000;

fn at(at_ns: u64, what: What) -> Event {
    Event { at_ns, what }
}

/// Conversations of so many members each, all of them different people; in the first nobody but the last member is subscribed.
fn recorder(sizes: &[u32]) -> LatencyRecorder {
    let mut recorder = LatencyRecorder::default();
    let mut first = 0;
    for (number, size) in (0..).zip(sizes) {
        for device in first..first + size {
            let what =
                What::Device { device: Device(device), user: User(device), name: format!("d{device}") };
            recorder.observe(&at(0, what));
        }
        let subscribed = if number == 0 { first + size - 1 } else { first };
        let members = (subscribed..first + size).map(User).collect();
        let conversation = Conversation(number);
        recorder.observe(&at(0, What::Conversation { conversation, name: format!("c{number}"), members }));
        first += size;
    }
    recorder
}

/// A message of the first of a conversation. It is accepted after 1 ms, and the n-th recipient has it after n ms more; `lost` of them never.
fn said(recorder: &mut LatencyRecorder, sizes: &[u32], (number, message): (u32, u64), at_ns: u64, lost: u32) {
    let first: u32 = sizes[..number as usize].iter().sum();
    let (device, conversation) = (Device(first), Conversation(number));
    let (id, intended_ns, bytes, digest) = (Message(message), at_ns - MS, 1, 0);
    let mut events = vec![
        at(
            at_ns,
            What::Send { device, conversation, message: id, intended_ns, bytes, digest, reply_to: None },
        ),
        at(at_ns + MS, What::Accepted { device, message: id, seq: Some(message), rung: Rung::Stored }),
    ];
    let recipients = if number == 0 { 1 } else { sizes[number as usize] - 1 };
    for place in 1..=recipients - lost {
        let other = if number == 0 { first + sizes[0] - 1 } else { first + place };
        let (by, message, seq, redelivered) = (Device(other), Some(id), Some(message), false);
        let done_ns = at_ns + MS + u64::from(place) * MS;
        events.push(at(
            done_ns,
            What::Delivered { device: by, conversation, message, seq, digest, redelivered },
        ));
        let up_to = seq.unwrap_or(0);
        events.push(at(
            done_ns,
            What::Receipt { device, conversation, by, kind: ReceiptKind::Delivered, up_to },
        ));
    }
    for event in &events {
        recorder.observe(event);
    }
}

/// Of several sizes, each given as `members: sent; count+never per stage; to the last`.
fn check(recorder: &LatencyRecorder, expected: &[&str]) {
    let shown = |whole: &Whole| format!("{}+{}", whole.arrived.len(), whole.never);
    let of = |size: &OfSize| {
        let stages = Stage::ALL.map(|stage| shown(size.whole(stage, From::Intended))).join(" ");
        let members = size.members.map_or("others".to_owned(), |members| members.to_string());
        format!("{members}: {}; {stages}; {}", size.sent, shown(&size.to_last))
    };
    let sizes = recorder.by_size();
    assert_eq!(sizes.iter().map(of).collect::<Vec<_>>(), expected);
    // Nothing is lost and nothing counted twice, whichever way it is looked at.
    for (stage, from) in pairs().filter(|_| !sizes.is_empty()) {
        let whole = recorder.whole(stage, from);
        let mut sum = histogram();
        for size in &sizes {
            sum.add(&size.whole(stage, from).arrived).expect("the same bounds");
        }
        assert_eq!(sum, whole.arrived, "{stage:?} {from:?}");
        assert_eq!(sizes.iter().map(|size| size.whole(stage, from).never).sum::<u64>(), whole.never);
    }
}

/// Per tag all values of the interval log.
fn log(recorder: &mut LatencyRecorder) -> BTreeMap<String, Sparse> {
    let mut bytes = Vec::new();
    recorder.write_hlog(&mut bytes).expect("memory takes it");
    let mut tags: BTreeMap<String, Sparse> = BTreeMap::new();
    for interval in IntervalReader::new(bytes.as_slice()) {
        let interval = interval.expect("what was written can be read");
        tags.entry(interval.tag).or_default().merge(&interval.counts);
    }
    tags.values_mut().for_each(Sparse::settle);
    tags
}

#[test]
fn sizes_are_told_apart_and_add_up_also_when_the_second_turns_up_late() {
    let sizes = [2, 4];
    let mut recorder = recorder(&sizes);
    for message in 1..=10 {
        said(&mut recorder, &sizes, (0, message), message * 1_000 * MS, 0);
    }
    check(&recorder, &[]);
    assert!(log(&mut recorder).keys().all(|tag| Series::from_tag(tag).is_some()), "one size has no tags");
    for message in 11..=15 {
        said(&mut recorder, &sizes, (1, message), message * 1_000 * MS, u32::from(message == 15));
    }
    said(&mut recorder, &sizes, (0, 16), 16_000 * MS, 0);
    check(&recorder, &["2: 11; 11+0 11+0 11+0; 11+0", "4: 5; 5+0 14+1 14+1; 4+1"]);
    let four = &recorder.by_size()[1];
    // Intended 1 ms before it was sent, accepted 1 ms after, and three recipients one after the other.
    assert_eq!(four.to_last.percentile_us(50_000), Some(5_000));
    assert_eq!(four.to_last.percentile_us(100_000), None);
    assert_eq!(recorder.whole_of_size(Stage::Delivered, From::Intended, 4).samples(), 15);
    assert_eq!(recorder.whole_of_size(Stage::Delivered, From::Intended, 5).samples(), 0);
    let tags = log(&mut recorder);
    for stage in Stage::ALL {
        let series = Series { stage, from: From::Intended, window: Window::Outside };
        let mut sum = Sparse::default();
        for members in [2, 4] {
            sum.merge(&tags[&series.tag_of_size(Some(members))]);
        }
        sum.settle();
        assert_eq!(sum, tags[&series.tag()], "{stage:?}");
    }
}

#[test]
fn more_sizes_than_can_be_told_apart_are_told_together() {
    let sizes: Vec<u32> = (2..14).collect();
    let mut recorder = recorder(&sizes);
    for (number, message) in (0..sizes.len() as u32).zip(1..) {
        said(&mut recorder, &sizes, (number, message), message * 100 * MS, 0);
    }
    let told = recorder.by_size();
    assert_eq!((told.len(), told[SIZES_MAX].members, told[SIZES_MAX].sent), (9, None, 4));
    let shown = ["2: 1; 1+0 1+0 1+0; 1+0", "others: 4; 4+0 42+0 42+0; 4+0"];
    let all: Vec<String> = (3..10)
        .map(|members| {
            let others = members - 1;
            format!("{members}: 1; 1+0 {others}+0 {others}+0; 1+0")
        })
        .collect();
    let mut expected: Vec<&str> = vec![shown[0]];
    expected.extend(all.iter().map(String::as_str));
    expected.push(shown[1]);
    check(&recorder, &expected);
    assert!(log(&mut recorder).contains_key("delivered-intended-outside-members-others"));
}

#[test]
fn one_size_is_the_whole() {
    let sizes = [2];
    let mut recorder = recorder(&sizes);
    said(&mut recorder, &sizes, (0, 1), 1_000 * MS, 0);
    check(&recorder, &[]);
    assert_eq!(recorder.whole_of_size(Stage::Delivered, From::Intended, 2).samples(), 1);
}
