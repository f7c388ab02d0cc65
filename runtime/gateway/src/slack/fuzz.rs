//! Inputs made to break the door: seeded, so that the same run makes the same ones. A debug build makes a few, a release build
//! ten million: `cargo test --release -p greenroom-gateway fuzz`.

use axum::{body::Body, http::Request};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;

use super::body::is_ssl_check;
use crate::testing::{House, NOW, SECRET, question_id};

const INPUTS: u64 = if cfg!(debug_assertions) { 20_000 } else { 10_000_000 };
const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

/// The splitmix64 generator.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// What Slack sends, to be spoilt.
fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let event = |event: serde_json::Value| {
        json!({
            "type": "event_callback", "team_id": "T1", "api_app_id": "A1", "event_id": "Ev1", "event": event,
            "authorizations": [{"team_id": "T1", "user_id": "UBOT", "is_bot": true}],
        })
        .to_string()
        .into_bytes()
    };
    let payload = |payload: serde_json::Value| {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("payload", &payload.to_string()).finish().into_bytes()
    };
    let user = json!({"id": "U1", "team_id": "T1"});
    vec![
        (FORM, b"command=%2Fsupport&text=my+payload&user_id=U1&channel_id=C1&team_id=T1&trigger_id=1.2".to_vec()),
        (FORM, b"ssl_check=1&token=abc".to_vec()),
        (JSON, json!({"type": "url_verification", "challenge": "abc"}).to_string().into_bytes()),
        (
            JSON,
            event(json!({"type": "app_mention", "user": "U1", "text": "<@UBOT> hi", "channel": "C1", "ts": "17.1"})),
        ),
        (
            JSON,
            event(
                json!({"type": "message", "channel_type": "im", "user": "U1", "text": "hi", "channel": "D1", "ts": "5"}),
            ),
        ),
        (
            JSON,
            event(
                json!({"type": "message", "user": "U1", "text": "x", "channel": "C1", "ts": "18", "thread_ts": "17.1",
            "parent_user_id": "UBOT"}),
            ),
        ),
        (
            JSON,
            event(json!({"type": "message", "subtype": "message_changed", "hidden": true, "channel": "C1", "ts": "1",
            "message": {"user": "U1", "text": "x"}})),
        ),
        (JSON, event(json!({"type": "agent_session_stopped", "channel": "C1", "thread_ts": "17.1", "user": "U1"}))),
        (JSON, event(json!({"type": "reaction_added", "item": {"channel": "C1", "ts": "1"}, "user": "U1"}))),
        (
            FORM,
            payload(json!({"type": "block_actions", "user": user, "team": {"id": "T1"}, "trigger_id": "1",
            "actions": [{"action_id": "greenroom.answer.0", "value": format!("{}:0", question_id())}]})),
        ),
        (FORM, payload(json!({"type": "block_actions", "user": user, "actions": [{"action_id": "a", "value": "b"}]}))),
        (
            FORM,
            payload(json!({"type": "view_submission", "user": user, "view": {"callback_id": "c",
            "state": {"values": {"b": {"i": {"value": "x"}}}}}})),
        ),
        (FORM, payload(json!({"type": "message_action", "callback_id": "c", "user": user, "message": {"text": "x"}}))),
    ]
}

const SCRAPS: &[&[u8]] = &[
    b"\0",
    b"\xff\xfe",
    b"{",
    b"}",
    b"[",
    b"\"",
    b"null",
    b"%",
    b"%zz",
    b"&",
    b"=",
    b"\\u0000",
    b"\\ud800",
    b"1e999",
    b"-0",
    b"&ssl_check=1",
    b"&command=%2Fx",
    b"&payload=%7B%7D",
    b"\"type\":",
    b"\"event_callback\"",
    b"\r\n\r\n",
    b"true",
    b"99999999999999999999",
    b"\xf0\x9f\x98\x80",
    b":",
    b",",
    b"\"team_id\":null",
    b"greenroom.answer",
];

fn spoil(dice: &mut Dice, body: &mut Vec<u8>, seeds: &[(&'static str, Vec<u8>)]) {
    for _ in 0..dice.below(5) {
        let at = dice.below(body.len() + 1);
        match dice.below(7) {
            0 if !body.is_empty() => {
                let at = dice.below(body.len());
                body[at] ^= 1 << dice.below(8);
            }
            1 => body.truncate(at),
            2 => {
                let scrap = dice.one(SCRAPS);
                body.splice(at..at, scrap.iter().copied());
            }
            3 => {
                let other = &dice.one(seeds).1;
                let from = dice.below(other.len());
                body.splice(at..at, other[from..].iter().copied());
            }
            4 => {
                let end = (at + dice.below(20)).min(body.len());
                body.drain(at..end);
            }
            5 => {
                let end = (at + dice.below(40)).min(body.len());
                let again = body[at..end].to_vec();
                body.extend(again);
            }
            _ => {
                let byte = dice.next() as u8;
                body.insert(at, byte);
            }
        }
    }
}

fn sign(secret: &str, timestamp: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("v0:{timestamp}:").as_bytes());
    mac.update(body);
    format!("v0={}", hex::encode(mac.finalize().into_bytes()))
}

#[tokio::test]
async fn nothing_that_is_fed_to_the_door_breaks_it_or_gets_in_unsigned() {
    let (house, seeds) = (House::new(), seeds());
    let mut dice = Dice(20_261_126);
    let (mut taken, mut refused) = (0_u64, 0_u64);
    for input in 0..INPUTS {
        let (media, mut body) = dice.one(&seeds).clone();
        spoil(&mut dice, &mut body, &seeds);
        let media =
            *dice.one(&[media, media, media, media, FORM, JSON, "text/plain", "application/json; charset=utf-8"]);
        let now = NOW.to_string();
        let times =
            [now.as_str(), now.as_str(), now.as_str(), "", "-1", "1531420917", "9223372036854775808", "1531420619"];
        let timestamp = *dice.one(&times);
        // Half of them are signed as Slack signs; the rest in every way that is not quite it.
        let signature = match dice.below(8) {
            0..4 => sign(SECRET, timestamp, &body),
            4 => sign("another", timestamp, &body),
            5 => sign(SECRET, &now, &body[..body.len() / 2]),
            6 => sign(SECRET, timestamp, &body).replacen("v0", "v1", 1),
            _ => String::new(),
        };
        let in_window = timestamp.bytes().all(|b| b.is_ascii_digit())
            && timestamp.parse::<i64>().is_ok_and(|at| NOW.abs_diff(at) <= 300);
        let is_signed = in_window && signature == sign(SECRET, timestamp, &body);
        let is_check = is_ssl_check(Some(media.split(';').next().unwrap()), &body);
        let mut request = Request::post("/slack/events").header("content-type", media);
        if !timestamp.is_empty() {
            request = request.header("x-slack-request-timestamp", timestamp);
        }
        if !signature.is_empty() {
            request = request.header("x-slack-signature", &signature);
        }
        let answer = house.send(request.body(Body::from(body.clone())).unwrap()).await;
        let status = answer.status.as_u16();
        let events = std::mem::take(&mut *house.operator.events.lock().unwrap()).len();
        let verbs = std::mem::take(&mut *house.operator.verbs.lock().unwrap()).len();
        let what = || format!("input {input}: {media} {:?} was answered {status}", String::from_utf8_lossy(&body));
        if is_signed {
            assert!([200, 400].contains(&status), "{}", what());
            assert!(status != 400 || answer.header("x-slack-no-retry") == "1", "{}", what());
            taken += 1;
        } else {
            assert_eq!((events, verbs), (0, 0), "{}", what());
            assert_eq!(status, if is_check { 200 } else { 401 }, "{}", what());
            refused += 1;
        }
    }
    assert!(taken > INPUTS / 8 && refused > INPUTS / 8, "{taken} were signed, {refused} were not");
}
