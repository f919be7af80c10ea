//! Many requests in flight on one stream, with an honest and with a hostile peer.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sekisho_wire::call::{CallError, Caller, Limits, ServeError, serve};
use sekisho_wire::frame::{Frame, FrameError, MAX_FRAME, read_frame, write_frame};
use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
use tokio::time::{sleep, timeout};

const SOON: Duration = Duration::from_secs(5);

fn limits(in_flight: usize) -> Limits {
    Limits { in_flight, patience: SOON }
}

fn caller() -> (Caller, DuplexStream) {
    let (near, far) = duplex(1 << 16);
    (Caller::over(near, limits(4)), far)
}

#[tokio::test]
async fn answers_find_their_calls_in_any_order() {
    let (near, far) = duplex(1 << 16);
    tokio::spawn(serve(far, limits(64), |body: Vec<u8>| async move {
        sleep(Duration::from_millis(u64::from(64 - body[0]))).await;
        body
    }));
    let caller = Caller::over(near, limits(64));
    let calls: Vec<_> = (0..64u8)
        .map(|n| {
            let caller = caller.clone();
            tokio::spawn(async move { caller.call(vec![n], MAX_FRAME).await })
        })
        .collect();
    for (n, call) in (0..64u8).zip(calls) {
        assert_eq!(call.await.unwrap(), Ok(vec![n]));
    }
}

#[tokio::test]
async fn handlers_begin_in_order_of_arrival() {
    let (near, far) = duplex(1 << 16);
    let begun = Arc::new(Mutex::new(Vec::new()));
    let order = Arc::clone(&begun);
    tokio::spawn(serve(far, limits(1000), move |body: Vec<u8>| {
        let begun = Arc::clone(&begun);
        async move {
            begun.lock().unwrap().push(u32::from_be_bytes(body[..4].try_into().unwrap()));
            tokio::task::yield_now().await;
            body
        }
    }));
    let caller = Caller::over(near, limits(1000));
    let mut calls = tokio::task::JoinSet::new();
    for n in 0..1000u32 {
        let caller = caller.clone();
        calls.spawn(async move { caller.call(n.to_be_bytes().to_vec(), MAX_FRAME).await });
    }
    while let Some(call) = calls.join_next().await {
        call.unwrap().unwrap();
    }
    // Tasks of a current-thread runtime start in the order in which they were spawned.
    assert_eq!(*order.lock().unwrap(), (0..1000).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_broken_stream_fails_every_call() {
    let (caller, far) = caller();
    let calls: Vec<_> = (0..8)
        .map(|_| {
            let caller = caller.clone();
            tokio::spawn(async move { caller.call(vec![], MAX_FRAME).await })
        })
        .collect();
    sleep(Duration::from_millis(20)).await;
    drop(far);
    for call in calls {
        assert_eq!(call.await.unwrap(), Err(CallError::Unavailable));
    }
    assert!(caller.is_broken());
    assert_eq!(caller.call(vec![], MAX_FRAME).await, Err(CallError::Unavailable));
}

#[tokio::test]
async fn an_answer_to_nothing_breaks_the_stream() {
    let (caller, mut far) = caller();
    let call = tokio::spawn(async move { caller.call(vec![1], MAX_FRAME).await });
    let asked = read_frame(&mut far).await.unwrap().unwrap();
    let forged = Frame { request_id: asked.request_id + 1, body: vec![] };
    write_frame(&mut far, &forged).await.unwrap();
    assert_eq!(call.await.unwrap(), Err(CallError::Unavailable));
}

#[tokio::test]
async fn a_second_answer_breaks_the_stream() {
    let (caller, mut far) = caller();
    let call = tokio::spawn({
        let caller = caller.clone();
        async move { caller.call(vec![1], MAX_FRAME).await }
    });
    let asked = read_frame(&mut far).await.unwrap().unwrap();
    write_frame(&mut far, &asked).await.unwrap();
    assert_eq!(call.await.unwrap(), Ok(vec![1]));
    write_frame(&mut far, &asked).await.unwrap();
    assert_eq!(caller.call(vec![2], MAX_FRAME).await, Err(CallError::Unavailable));
}

#[tokio::test]
async fn oversized_and_half_answers_break_the_stream() {
    let header = |length: u32| [&length.to_be_bytes()[..], &[0; 8]].concat();
    for (bytes, close) in [
        (header(MAX_FRAME as u32 + 1), false),
        (header(u32::MAX), false),
        (header(10), true),
        (vec![0, 0, 0], true),
    ] {
        let (caller, mut far) = caller();
        let call = tokio::spawn(async move { caller.call(vec![1], MAX_FRAME).await });
        read_frame(&mut far).await.unwrap().unwrap();
        far.write_all(&bytes).await.unwrap();
        if close {
            far.shutdown().await.unwrap();
        }
        let answer = timeout(SOON, call).await.unwrap().unwrap();
        assert_eq!(answer, Err(CallError::Unavailable), "{bytes:?}");
    }
}

#[tokio::test]
async fn an_answer_longer_than_asked_for_breaks_the_stream() {
    for (length, good) in [(10, true), (11, false)] {
        let (caller, mut far) = caller();
        let call = tokio::spawn(async move { caller.call(vec![1], 10).await });
        let asked = read_frame(&mut far).await.unwrap().unwrap();
        let answer = Frame { body: vec![0; length], ..asked };
        let _ = write_frame(&mut far, &answer).await;
        assert_eq!(call.await.unwrap().is_ok(), good);
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_answers_is_given_up() {
    let (caller, _far) = caller();
    assert_eq!(caller.call(vec![], MAX_FRAME).await, Err(CallError::TimedOut));
    assert!(caller.is_broken());
}

#[tokio::test(start_paused = true)]
async fn an_answer_whose_end_never_comes_is_given_up() {
    let (caller, mut far) = caller();
    let call = tokio::spawn(async move { caller.call(vec![1], MAX_FRAME).await });
    let asked = read_frame(&mut far).await.unwrap().unwrap();
    let mut answer = Vec::new();
    write_frame(&mut answer, &Frame { body: vec![0; 10], ..asked }).await.unwrap();
    far.write_all(&answer[..answer.len() - 1]).await.unwrap();
    assert_eq!(call.await.unwrap(), Err(CallError::TimedOut));
}

#[tokio::test]
async fn a_request_too_large_harms_nobody() {
    let (near, far) = duplex(1 << 16);
    tokio::spawn(serve(far, limits(1), |body| async { body }));
    let caller = Caller::over(near, limits(1));
    assert_eq!(caller.call(vec![0; MAX_FRAME + 1], MAX_FRAME).await, Err(CallError::TooLarge));
    assert_eq!(
        caller.call(vec![0; MAX_FRAME], MAX_FRAME).await.map(|body| body.len()),
        Ok(MAX_FRAME)
    );
}

#[tokio::test]
async fn a_dropped_call_keeps_its_place_until_its_answer_comes() {
    let (near, mut far) = duplex(1 << 16);
    let caller = Caller::over(near, limits(1));
    assert!(timeout(Duration::from_millis(20), caller.call(vec![1], MAX_FRAME)).await.is_err());
    // The only place is taken by a request that nobody waits for.
    assert!(timeout(Duration::from_millis(20), caller.call(vec![2], MAX_FRAME)).await.is_err());
    let first = read_frame(&mut far).await.unwrap().unwrap();
    assert_eq!(first.body, vec![1]);
    write_frame(&mut far, &first).await.unwrap();

    let call = tokio::spawn(async move { caller.call(vec![3], MAX_FRAME).await });
    let third = read_frame(&mut far).await.unwrap().unwrap();
    assert_eq!(third.body, vec![3]);
    write_frame(&mut far, &third).await.unwrap();
    assert_eq!(call.await.unwrap(), Ok(vec![3]));
}

#[tokio::test]
async fn the_server_reads_no_further_than_its_limit() {
    let (near, far) = duplex(1 << 20);
    let begun = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&begun);
    tokio::spawn(serve(far, limits(3), move |_| {
        begun.fetch_add(1, Ordering::SeqCst);
        std::future::pending()
    }));
    let (_, mut writer) = tokio::io::split(near);
    for request_id in 0..10 {
        write_frame(&mut writer, &Frame { request_id, body: vec![] }).await.unwrap();
    }
    sleep(Duration::from_millis(50)).await;
    assert_eq!(count.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn the_server_answers_what_came_before_the_end() {
    let (mut near, far) = duplex(1 << 16);
    let serving = tokio::spawn(serve(far, limits(8), |body| async {
        sleep(Duration::from_millis(20)).await;
        body
    }));
    for request_id in 0..8 {
        write_frame(&mut near, &Frame { request_id, body: vec![9] }).await.unwrap();
    }
    near.shutdown().await.unwrap();
    for _ in 0..8 {
        assert_eq!(read_frame(&mut near).await.unwrap().unwrap().body, vec![9]);
    }
    assert_eq!(read_frame(&mut near).await.unwrap(), None);
    serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn the_server_names_what_broke() {
    let half = async |bytes: &[u8]| {
        let (mut near, far) = duplex(1 << 16);
        near.write_all(bytes).await.unwrap();
        near.shutdown().await.unwrap();
        serve(far, limits(1), |body| async { body }).await.unwrap_err()
    };
    let error = half(&[0; 5]).await;
    assert!(matches!(error, ServeError::Frame(FrameError::HalfHeader { read: 5 })));
    let error = half(&[0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 1]).await;
    assert!(matches!(error, ServeError::Frame(FrameError::HalfBody { length: 9, read: 1 })));
    let error = half(&[0xff; 12]).await;
    assert!(matches!(error, ServeError::Frame(FrameError::TooLarge { .. })));
}
