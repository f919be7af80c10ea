//! What holds for requests that wait, one test for each rule.

use super::*;
use crate::api::{AccountResource, Facts, Operation};
use crate::approvals::Asked;
use crate::secret::{RootKey, Subkeys};
use crate::storage::journal::Cadence;
use crate::storage::opponent::Opponent;
use sekisho_policy_engine::Approvals as Needed;

const MINUTE: u64 = 60_000;

fn arn(name: &str) -> String {
    format!("arn:aws:iam::111122223333:user/{name}")
}

async fn open(opponent: &Opponent) -> Approvals {
    let keys = Subkeys::derive(&RootKey::from_bytes(&[1; 32])).journal;
    let journal = Journal::open(opponent.client(), keys, Cadence::DEFAULT).await.unwrap();
    Approvals::new(Arc::new(journal))
}

fn group(members: &[&str], needed: u8) -> Needed {
    let members = members.iter().map(|name| arn(name)).collect();
    Needed { group: "custodians".into(), members, needed, within: 60 }
}

fn two_of_three() -> Needed {
    group(&["bob", "carol", "alice"], 2)
}

/// What alice asks for.
fn wanted(body: &[u8], needed: &[Needed], time: u64) -> ApprovalRequest {
    asked_by("alice", Operation::ScheduleKeyDeletion, body, needed, time)
}

fn asked_by(
    name: &str,
    operation: Operation,
    body: &[u8],
    needed: &[Needed],
    time: u64,
) -> ApprovalRequest {
    let facts = Facts::account(AccountResource::Any).parameter("PendingWindowInDays", 7);
    let principal = arn(name);
    let asked = Asked {
        principal: &principal,
        operation,
        region: "eu-central-1",
        body,
        facts: &facts,
        resource: None,
        time,
    };
    ApprovalRequest::new(&asked, needed).unwrap()
}

async fn waiting(approvals: &Approvals, wanted: ApprovalRequest) -> ApprovalRequest {
    match approvals.take(wanted).await.unwrap() {
        Taken::Waits(request) => request,
        Taken::Approved(_) => panic!("approved by nobody"),
        Taken::Denied(_) => panic!("denied by nobody"),
    }
}

async fn approve(approvals: &Approvals, id: &str, name: &str) -> Result<(), AnswerError> {
    approvals.answer(id, &arn(name), Answer::Approve, 1).await.map(drop)
}

#[tokio::test]
async fn the_same_request_is_taken_once_when_all_have_agreed() {
    let opponent = Opponent::default();
    let approvals = open(&opponent).await;
    let ask = || wanted(b"{}", &[two_of_three()], 0);
    let request = waiting(&approvals, ask()).await;
    assert_eq!(request.parameters, [("PendingWindowInDays".to_owned(), "7".to_owned())]);
    approve(&approvals, &request.id, "bob").await.unwrap();
    assert_eq!(waiting(&approvals, ask()).await.id, request.id, "one is not two");

    // Of the journal, and not of the memory.
    let approvals = open(&opponent).await;
    approve(&approvals, &request.id, "bob").await.unwrap();
    assert_eq!(waiting(&approvals, ask()).await.approved, [arn("bob")], "one counts once");
    approve(&approvals, &request.id, "carol").await.unwrap();
    let Taken::Approved(taken) = approvals.take(ask()).await.unwrap() else { panic!("approved") };
    assert_eq!(taken.approved, [arn("bob"), arn("carol")]);

    let again = waiting(&approvals, ask()).await;
    assert_ne!(again.id, request.id);
    assert!(again.approved.is_empty());
    // A late approval of what has happened is none of what is asked for now.
    let late = approve(&approvals, &request.id, "carol").await;
    assert!(matches!(late, Err(AnswerError::NoSuchRequest)));
}

#[tokio::test]
async fn what_differs_waits_for_itself() {
    let approvals = open(&Opponent::default()).await;
    let needed = [two_of_three()];
    let request = waiting(&approvals, wanted(b"{}", &needed, 0)).await;
    for name in ["bob", "carol"] {
        approve(&approvals, &request.id, name).await.unwrap();
    }
    let operation = Operation::ScheduleKeyDeletion;
    for other in [
        wanted(br#"{"PendingWindowInDays":7}"#, &needed, 0),
        asked_by("dave", operation, b"{}", &needed, 0),
        asked_by("alice", Operation::DisableKey, b"{}", &needed, 0),
    ] {
        assert_ne!(waiting(&approvals, other).await.id, request.id);
    }
}

#[tokio::test]
async fn only_those_who_are_asked_answer_and_nobody_for_themselves() {
    let approvals = open(&Opponent::default()).await;
    let request = waiting(&approvals, wanted(b"{}", &[two_of_three()], 0)).await;
    for name in ["alice", "mallory"] {
        let answered = approve(&approvals, &request.id, name).await;
        assert!(matches!(answered, Err(AnswerError::NoSuchRequest)), "{name}");
    }
    let of = async |name: &str| approvals.of(&arn(name), 1).await.unwrap().len();
    assert_eq!((of("alice").await, of("bob").await, of("mallory").await), (1, 1, 0));
    for id in ["", "x", &request.id[..32], &format!("{}-00000000", &request.id[..32])] {
        let answered = approve(&approvals, id, "bob").await;
        assert!(matches!(answered, Err(AnswerError::NoSuchRequest)), "{id}");
    }
}

#[tokio::test]
async fn it_ends_with_its_time() {
    let approvals = open(&Opponent::default()).await;
    let needed = [group(&["bob"], 1)];
    let request = waiting(&approvals, wanted(b"{}", &needed, 0)).await;
    assert_eq!(request.expires, MINUTE);
    let late = approvals.answer(&request.id, &arn("bob"), Answer::Approve, MINUTE).await;
    assert!(matches!(late, Err(AnswerError::NoSuchRequest)));
    approvals.answer(&request.id, &arn("bob"), Answer::Approve, MINUTE - 1).await.unwrap();
    let next = waiting(&approvals, wanted(b"{}", &needed, MINUTE)).await;
    assert!(next.approved.is_empty(), "what has ended approves nothing");
}

#[tokio::test]
async fn a_denial_stands_until_the_time_is_over() {
    let approvals = open(&Opponent::default()).await;
    let needed = [group(&["bob", "carol"], 1)];
    let request = waiting(&approvals, wanted(b"{}", &needed, 0)).await;
    approvals.answer(&request.id, &arn("bob"), Answer::Deny, 1).await.unwrap();
    let answered = approve(&approvals, &request.id, "carol").await;
    assert!(matches!(answered, Err(AnswerError::Denied)));
    let Taken::Denied(denied) = approvals.take(wanted(b"{}", &needed, 2)).await.unwrap() else {
        panic!("denied");
    };
    assert_eq!(denied.denied, Some(arn("bob")));
    waiting(&approvals, wanted(b"{}", &needed, MINUTE)).await;
}

/// The policies are asked at the second time too, and what they say then counts.
#[tokio::test]
async fn approvals_count_for_the_groups_that_are_asked_now() {
    let approvals = open(&Opponent::default()).await;
    let request = waiting(&approvals, wanted(b"{}", &[group(&["bob", "carol"], 1)], 0)).await;
    approve(&approvals, &request.id, "bob").await.unwrap();
    let others = || [group(&["carol", "dave"], 1)];
    let changed = waiting(&approvals, wanted(b"{}", &others(), 1)).await;
    assert_eq!(changed.id, request.id);
    approve(&approvals, &request.id, "dave").await.unwrap();
    let taken = approvals.take(wanted(b"{}", &others(), 2)).await.unwrap();
    assert!(matches!(taken, Taken::Approved(_)));

    // Both of two groups, where two policies ask.
    let both = || [group(&["bob"], 1), group(&["carol"], 1)];
    let request = waiting(&approvals, wanted(b"[]", &both(), 2)).await;
    approve(&approvals, &request.id, "bob").await.unwrap();
    waiting(&approvals, wanted(b"[]", &both(), 3)).await;
    approve(&approvals, &request.id, "carol").await.unwrap();
    let taken = approvals.take(wanted(b"[]", &both(), 4)).await.unwrap();
    assert!(matches!(taken, Taken::Approved(_)));
}

#[tokio::test]
async fn what_waits_is_bounded_and_what_has_ended_makes_room() {
    let approvals = open(&Opponent::default()).await;
    let needed = [group(&["bob"], 1)];
    for number in 0..MAX_OF_PRINCIPAL {
        waiting(&approvals, wanted(&[number as u8], &needed, 0)).await;
    }
    let refused = approvals.take(wanted(b"more", &needed, 1)).await;
    assert!(matches!(refused, Err(TakeError::TooManyOfPrincipal)));
    // What waits already is found.
    waiting(&approvals, wanted(&[0], &needed, 1)).await;
    let other = asked_by("dave", Operation::DisableKey, b"", &needed, 1);
    waiting(&approvals, other).await;
    waiting(&approvals, wanted(b"more", &needed, MINUTE)).await;
    assert_eq!(approvals.of(&arn("bob"), MINUTE).await.unwrap().len(), 2);
    assert_eq!(approvals.all().await.unwrap().len(), 2, "records that have ended are gone");
}
