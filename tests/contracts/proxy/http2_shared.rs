//! Calls that share a connection over HTTP/2, with callers or with an upstream: what one does to it, the others
//! do not feel.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{sleep, timeout};
use tollgate_test_support::upstream::letters;

use super::house::House;
use super::http2_calls::{Grpc, connect, read_all, request, sell_grpc, send_all};
use super::origin::Step;

/// A call that is not answered by then never is.
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn refused_uploads_cut_no_other_call() {
    let house = House::open().await;
    house.origin.play("/slow", [Step::Wait]);
    let mut client = connect(&house).await.ready().await.unwrap();
    let call = request("POST", "/orders/slow", house.key());
    let (slow, mut upload) = client.send_request(call, false).unwrap();

    // More than as many frames as a connection would survive, were each of them one too many.
    for _ in 0..20 {
        let refused: Vec<_> = (0..50)
            .map(|_| {
                let call = request("POST", "/orders/x", "tg_wrong");
                let (answer, mut stream) = client.send_request(call, false).unwrap();
                tokio::spawn(async move {
                    send_all(&mut stream, letters(60_000), true).await;
                    answer.await.unwrap().status().as_u16()
                })
            })
            .collect();
        for refused in refused {
            let status = timeout(PATIENCE, refused).await.unwrap().unwrap();
            assert!([401, 503].contains(&status), "{status}");
        }
    }

    upload.send_data(Bytes::new(), true).unwrap();
    house.origin.go_on();
    assert_eq!(timeout(PATIENCE, slow).await.unwrap().unwrap().status(), 200);
}

#[tokio::test]
async fn pieces_without_data_cut_no_call_of_the_caller() {
    let house = House::open().await;
    let client = connect(&house).await;
    for number in 1..=150 {
        let mut client = client.clone().ready().await.unwrap();
        let call = request("POST", "/orders/x", house.key());
        let (answer, mut stream) = client.send_request(call, false).unwrap();
        stream.send_data(Bytes::new(), false).unwrap();
        stream.send_data(Bytes::from_static(b"x"), true).unwrap();
        let answer = timeout(PATIENCE, answer).await.unwrap();
        assert_eq!(answer.unwrap().status(), 200, "call {number}");
    }
}

#[tokio::test]
async fn small_messages_that_wait_cut_no_other_call_of_the_upstream() {
    let house = House::open().await;
    let upstream = Grpc::start().await;
    let offer = sell_grpc(&house, &upstream).await;
    let mut silent = connect(&house).await;
    let mut held = Vec::new();
    for _ in 0..10 {
        silent = silent.ready().await.unwrap();
        let call = request("GET", "/grpc/crumbs", &offer.key);
        held.push(silent.send_request(call, true).unwrap().0.await.unwrap());
    }
    sleep(Duration::from_millis(500)).await;

    let mut client = connect(&house).await.ready().await.unwrap();
    let call = request("GET", "/grpc/flush", &offer.key);
    let answer = client.send_request(call, true).unwrap().0.await.unwrap();
    assert_eq!(read_all(&mut answer.into_body()).await.unwrap(), b"flushed");
    for answer in held {
        let reading = async { read_all(&mut answer.into_body()).await.unwrap().len() };
        assert_eq!(timeout(PATIENCE, reading).await.unwrap(), 15 * 8_000);
    }
}

#[tokio::test]
async fn small_messages_of_uploads_cut_no_other_call() {
    let house = House::open().await;
    let upstream = Grpc::start().await;
    let offer = sell_grpc(&house, &upstream).await;
    let client = connect(&house).await;
    let mut calls = Vec::new();
    for _ in 0..10 {
        let mut client = client.clone().ready().await.unwrap();
        let call = request("POST", "/grpc/x", &offer.key);
        let (answer, mut stream) = client.send_request(call, false).unwrap();
        calls.push(tokio::spawn(async move {
            let sending = async {
                for _ in 0..3_000 {
                    send_all(&mut stream, Bytes::from_static(b"as small as they are"), false).await;
                }
                stream.send_data(Bytes::new(), true).unwrap();
            };
            let receiving = async { read_all(&mut answer.await.unwrap().into_body()).await };
            tokio::join!(sending, receiving).1.unwrap().len()
        }));
    }

    for call in calls {
        assert_eq!(timeout(PATIENCE, call).await.unwrap().unwrap(), 20 * 3_000);
    }
}

#[tokio::test]
async fn pieces_without_data_cut_no_call_of_the_upstream() {
    let house = House::open().await;
    let upstream = Grpc::start().await;
    let offer = sell_grpc(&house, &upstream).await;
    let client = connect(&house).await;

    for number in 1..=150 {
        let mut client = client.clone().ready().await.unwrap();
        let call = request("GET", "/grpc/flush", &offer.key);
        let answer = client.send_request(call, true).unwrap().0.await.unwrap();
        assert_eq!(answer.status(), 200, "call {number}");
        assert_eq!(read_all(&mut answer.into_body()).await.unwrap(), b"flushed", "call {number}");
    }
}
