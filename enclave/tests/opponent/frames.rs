//! Attacks on the wire between worker and store: on frames, and on the messages in them.
//!
//! The worker asks for the record of a key that it has not in memory, and the answer is bent. After
//! most of these the stream cannot be trusted any more: the worker gives it up, refuses what was
//! asked for, and connects anew.

use super::host::{Attack, Sent, wire};
use super::scene::{PLAINTEXT, Scene, refused};
use sekisho_wire::frame::{Frame, MAX_FRAME};
use sekisho_wire::store::MAX_BLOB;

const DEPENDENCY: &str = "DependencyTimeoutException";
/// The worker gave the stream up.
const BROKE: &str = "the stream broke";
const MALFORMED: &str = "the store's answer is malformed";

fn is_record(frame: &Frame) -> bool {
    // {"Record": …}
    frame.body.starts_with(b"\xa1\x66Record")
}

/// The answer with a record is bent; everything else is honest.
async fn bent_answer(bend: fn(Frame) -> Sent, reason: &str) {
    let scene = Scene::shared().await;
    let (key, _) = scene.fresh_key().await;
    let bend =
        move |frame: Frame| if is_record(&frame) { bend(frame) } else { Sent::Bytes(wire(&frame)) };
    scene.attack(Attack::default().on_frame(bend));
    refused(scene.encrypt(&key).await, DEPENDENCY);
    scene.logged(reason);
    // Nothing is lost with the stream but the question.
    assert_eq!(scene.decrypt(&scene.blob).await.unwrap(), PLAINTEXT);
    scene.opponent.behave();
    scene.encrypt(&key).await.unwrap();
    scene.recovers().await;
}

/// The answer's body is this instead.
fn body(frame: &Frame, body: impl Into<Vec<u8>>) -> Sent {
    Sent::Bytes(wire(&Frame { request_id: frame.request_id, body: body.into() }))
}

#[tokio::test]
async fn frames_as_they_are() {
    let scene = Scene::shared().await;
    let (key, _) = scene.fresh_key().await;
    scene.attack(Attack::default().on_frame(|frame| Sent::Bytes(wire(&frame))));
    scene.encrypt(&key).await.unwrap();
    scene.recovers().await;
}

#[tokio::test]
async fn half_a_header() {
    bent_answer(|frame| Sent::Last(wire(&frame)[..7].to_vec()), "after 7 of the 12 bytes").await;
}

#[tokio::test]
async fn half_a_frame() {
    let half = |frame: Frame| {
        let bytes = wire(&frame);
        Sent::Last(bytes[..bytes.len() / 2].to_vec())
    };
    bent_answer(half, "bytes of a frame's body").await;
}

#[tokio::test]
async fn a_stream_that_ends_between_two_frames() {
    bent_answer(|_| Sent::Last(Vec::new()), "the peer closed the stream").await;
}

#[tokio::test]
async fn a_frame_that_announces_four_gigabytes() {
    let huge = |frame: Frame| {
        let mut bytes = wire(&frame);
        bytes[..4].fill(0xff);
        Sent::Bytes(bytes)
    };
    bent_answer(huge, "a frame of 4294967295 bytes is announced").await;
}

#[tokio::test]
async fn a_frame_just_over_the_limit() {
    let over = |frame: Frame| {
        let mut bytes = wire(&frame);
        bytes[..4].copy_from_slice(&(MAX_FRAME as u32 + 1).to_be_bytes());
        Sent::Bytes(bytes)
    };
    bent_answer(over, "bytes is announced, the limit is").await;
}

#[tokio::test]
async fn an_answer_longer_than_what_was_asked_for() {
    let longer = |frame: Frame| body(&frame, vec![0; MAX_BLOB + 1024]);
    bent_answer(longer, "more than the request can need").await;
}

#[tokio::test]
async fn an_answer_whose_end_never_comes() {
    let longer = |frame: Frame| {
        let mut bytes = wire(&frame);
        bytes[..4].copy_from_slice(&(frame.body.len() as u32 + 1).to_be_bytes());
        Sent::Bytes(bytes)
    };
    bent_answer(longer, "no answer in time: giving the stream up").await;
}

#[tokio::test]
async fn no_answer() {
    bent_answer(|_| Sent::Bytes(Vec::new()), "no answer in time: giving the stream up").await;
}

#[tokio::test]
async fn an_answer_to_another_request() {
    let other = |mut frame: Frame| {
        frame.request_id ^= 1 << 40;
        Sent::Bytes(wire(&frame))
    };
    bent_answer(other, "answered a request that is not in flight").await;
}

#[tokio::test]
async fn an_answer_that_nobody_asked_for() {
    let unsolicited = |frame: Frame| {
        let mut bytes = wire(&Frame { request_id: u64::MAX, body: frame.body.clone() });
        bytes.extend(wire(&frame));
        Sent::Bytes(bytes)
    };
    bent_answer(unsolicited, "answered a request that is not in flight").await;
}

#[tokio::test]
async fn an_answer_given_twice() {
    let scene = Scene::shared().await;
    // The last answer of a request: the release of a plaintext is recorded.
    scene.attack(Attack::default().on_frame(|frame| Sent::Bytes(wire(&frame).repeat(2))));
    assert_eq!(scene.decrypt(&scene.blob).await.unwrap(), PLAINTEXT);
    scene.will_log("answered a request that is not in flight").await;
    scene.recovers().await;
}

#[tokio::test]
async fn bytes_that_are_no_frames() {
    let garbage = |frame: Frame| Sent::Bytes(vec![0x5a; wire(&frame).len()]);
    bent_answer(garbage, BROKE).await;
}

#[tokio::test]
async fn a_message_of_no_bytes() {
    bent_answer(|frame| body(&frame, []), MALFORMED).await;
}

#[tokio::test]
async fn a_message_that_is_no_cbor() {
    bent_answer(|frame| body(&frame, [0xff; 64]), MALFORMED).await;
}

#[tokio::test]
async fn a_message_cut_short() {
    bent_answer(|frame| body(&frame, &frame.body[..frame.body.len() - 1]), MALFORMED).await;
}

#[tokio::test]
async fn a_message_with_more_behind_it() {
    bent_answer(|frame| body(&frame, [&frame.body[..], &[0]].concat()), MALFORMED).await;
}

#[tokio::test]
async fn a_message_of_indefinite_length() {
    // {"Record": (_ h'00')}
    bent_answer(|frame| body(&frame, *b"\xa1\x66Record\x5f\x41\x00\xff"), MALFORMED).await;
}

#[tokio::test]
async fn a_message_nested_a_thousand_times() {
    bent_answer(|frame| body(&frame, [0x81; 1000]), MALFORMED).await;
}

#[tokio::test]
async fn a_list_that_announces_four_billion_items() {
    // {"Page": [4294967295 items …]}
    bent_answer(|frame| body(&frame, *b"\xa1\x64Page\x9a\xff\xff\xff\xff\x00"), MALFORMED).await;
}

#[tokio::test]
async fn an_answer_of_an_unknown_type() {
    bent_answer(|frame| body(&frame, *b"\xa1\x66Sesame\x01"), MALFORMED).await;
}

#[tokio::test]
async fn an_answer_of_another_kind() {
    // {"Head": 3}
    let reason = "the message to or from the store is malformed";
    bent_answer(|frame| body(&frame, *b"\xa1\x64Head\x03"), reason).await;
}

#[tokio::test]
async fn a_record_that_is_a_text() {
    let scene = Scene::shared().await;
    let (key, _) = scene.fresh_key().await;
    let text = |frame: Frame| match is_record(&frame) {
        true => body(&frame, *b"\xa1\x66Record\x64text"),
        false => Sent::Bytes(wire(&frame)),
    };
    scene.attack(Attack::default().on_frame(text));
    // A text is taken for its bytes, and these are not the record's.
    refused(scene.encrypt(&key).await, "KMSInternalException");
    scene.logged("the store served a record that is not the current one");
    scene.recovers().await;
}

#[tokio::test]
async fn a_record_that_is_a_number() {
    bent_answer(|frame| body(&frame, *b"\xa1\x66Record\x18\x2a"), MALFORMED).await;
}

#[tokio::test]
async fn an_unknown_refusal() {
    bent_answer(|frame| body(&frame, *b"\xa1\x67Refused\x66Please"), MALFORMED).await;
}
