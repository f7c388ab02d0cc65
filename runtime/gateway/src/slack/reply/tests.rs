//! Replies against a fake Slack on a real socket.

use std::{sync::Arc, time::Duration};

use greenroom_contract::{
    ReplyTo,
    port::reply::{Error, Replies, Reply},
};

use crate::{
    slack::web::{SetupError, SlackWeb, WebOptions},
    testing::{FakeSlack, replies},
};

fn without_url(mut reply: Reply) -> Reply {
    if let ReplyTo::Slack(to) = &mut reply.to {
        to.response_url = None;
    }
    reply
}

#[tokio::test]
async fn an_answer_goes_by_its_response_url_in_slacks_dialect() {
    let slack = FakeSlack::start(&[]).await;
    slack.replies(None).send(slack.reply("**done** & <dusted>")).await.unwrap();
    let body = slack.body(0);
    assert_eq!(slack.paths(), ["/response"]);
    assert_eq!(body["text"], "*done* &amp; &lt;dusted&gt;");
    assert_eq!(body["response_type"], "in_channel");
    assert_eq!(body["thread_ts"], "17.1");

    slack.replies(None).send(Reply { is_error: true, ..slack.reply("it failed") }).await.unwrap();
    assert_eq!(slack.body(1)["response_type"], "ephemeral", "an error is for the one who asked");
}

#[tokio::test]
async fn a_spent_response_url_gives_way_to_the_channel() {
    for spent in
        [(404, "", "expired_url"), (410, "", ""), (200, "", r#"{"ok":false,"error":"used_url"}"#), (302, "/x", "")]
    {
        let slack = FakeSlack::start(&[spent]).await;
        slack.replies(Some("xoxb-canary")).send(slack.reply("hi")).await.unwrap();
        assert_eq!(slack.paths(), ["/response", "/api/chat.postMessage"], "{spent:?}");
        assert_eq!(slack.seen.lock().unwrap()[1].1, "Bearer xoxb-canary");
        assert_eq!(slack.body(1)["channel"], "C1");
        assert_eq!(slack.body(1)["thread_ts"], "17.1");
        assert_eq!(slack.seen.lock().unwrap()[0].1, "", "the token never goes to a response_url");
    }
    let slack = FakeSlack::start(&[(404, "", "expired_url")]).await;
    let error = slack.replies(None).send(slack.reply("hi")).await.unwrap_err();
    assert!(matches!(&error, Error::Undeliverable { reason } if reason.contains("SLACK_BOT_TOKEN")), "{error}");
}

#[tokio::test]
async fn what_passes_is_tried_again_and_what_does_not_is_given_up() {
    let cases: [(u16, &'static str, &'static str); 3] = [(429, "7", ""), (503, "", ""), (500, "", "oops")];
    for case in cases {
        let slack = FakeSlack::start(&[case]).await;
        let error = slack.replies(Some("xoxb-1")).send(slack.reply("hi")).await.unwrap_err();
        let Error::Retry { retry_after, .. } = &error else { panic!("{case:?}: {error}") };
        assert_eq!(*retry_after, (case.0 == 429).then(|| Duration::from_secs(7)));
        assert_eq!(slack.paths(), ["/response"], "{case:?}");
    }
    for (answer, retries) in [
        ((200, "", r#"{"ok":false,"error":"channel_not_found"}"#), false),
        ((200, "", r#"{"ok":false,"error":"invalid_auth"}"#), false),
        ((200, "", r#"{"ok":false,"error":"ratelimited"}"#), true),
        ((200, "", r#"{"ok":false,"error":"internal_error"}"#), true),
        ((200, "", "<html>"), false),
        ((429, "3", r#"{"ok":false,"error":"ratelimited"}"#), true),
    ] {
        let slack = FakeSlack::start(&[answer]).await;
        let error = slack.replies(Some("xoxb-1")).send(without_url(slack.reply("hi"))).await.unwrap_err();
        assert_eq!(matches!(error, Error::Retry { .. }), retries, "{answer:?}: {error}");
    }
}

#[tokio::test]
async fn nobody_at_home_is_tried_again_without_telling_the_address() {
    let slack = FakeSlack::start(&[]).await;
    let mut reply = slack.reply("hi");
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = closed.local_addr().unwrap().to_string();
    drop(closed);
    if let ReplyTo::Slack(to) = &mut reply.to {
        to.response_url = Some(format!("http://{host}/commands/canary"));
    }
    let options = WebOptions { response_hosts: vec![host], ..WebOptions::default() };
    let error = replies(options, Arc::default()).send(reply).await.unwrap_err();
    assert!(matches!(error, Error::Retry { .. }), "{error}");
    assert!(!error.to_string().contains("canary"), "{error}");
}

#[tokio::test]
async fn an_address_of_somebody_else_is_never_posted_to() {
    let slack = FakeSlack::start(&[]).await;
    let options = WebOptions { api_url: format!("{}/api", slack.base), ..WebOptions::default() };
    let error = replies(options, Arc::default()).send(slack.reply("hi")).await.unwrap_err();
    assert!(
        matches!(&error, Error::Undeliverable { reason } if reason.contains("GREENROOM_SLACK_RESPONSE_HOSTS")),
        "{error}"
    );
    assert!(slack.paths().is_empty());
}

#[tokio::test]
async fn a_long_answer_is_several_messages_and_a_retry_goes_on_where_it_stopped() {
    let slack = FakeSlack::start(&[(200, "", "ok"), (429, "1", "")]).await;
    let replies = slack.replies(None);
    let paragraphs: Vec<String> = (0..3).map(|n| format!("{n} {}", "word ".repeat(2000).trim_end())).collect();
    let reply = slack.reply(&paragraphs.join("\n\n"));
    assert!(matches!(replies.send(reply.clone()).await, Err(Error::Retry { .. })));
    replies.send(reply).await.unwrap();
    let seen = slack.seen.lock().unwrap();
    let starts: Vec<char> =
        seen.iter().map(|(_, _, body)| body["text"].as_str().unwrap().chars().next().unwrap()).collect();
    assert_eq!(starts, ['0', '1', '1', '2'], "the first message is not sent again");
}

#[tokio::test]
async fn a_reply_has_something_to_show_however_much_or_little_there_is() {
    let slack = FakeSlack::start(&[]).await;
    slack.replies(None).send(slack.reply(" \n")).await.unwrap();
    assert!(slack.body(0)["text"].as_str().unwrap().contains("empty"));
    slack.replies(None).send(slack.reply(&"word ".repeat(100_000))).await.unwrap();
    assert_eq!(slack.paths().len(), 1 + 5, "a response_url may be used five times");
    assert!(slack.body(5)["text"].as_str().unwrap().contains("was cut"));
}

#[tokio::test]
async fn where_slack_takes_no_file_a_long_answer_is_cut_and_says_so() {
    let elsewhere = r#"{"ok":true,"upload_url":"https://evil.example.com/x","file_id":"F1"}"#;
    for refusal in [(200, "", r#"{"ok":false,"error":"missing_scope"}"#), (200, "", elsewhere)] {
        let slack = FakeSlack::start(&[refusal]).await;
        let reply = without_url(slack.reply(&"word ".repeat(100_000)));
        slack.replies(Some("xoxb-1")).send(reply).await.unwrap();
        let paths = slack.paths();
        assert_eq!(paths[0], "/api/files.getUploadURLExternal");
        assert_eq!(paths[1..], ["/api/chat.postMessage"; 5]);
        assert!(slack.body(5)["text"].as_str().unwrap().contains("was cut"));
    }
}

#[tokio::test]
async fn options_that_cannot_be_used_are_refused() {
    let with_api = |api_url: &str| SlackWeb::new(WebOptions { api_url: api_url.into(), ..WebOptions::default() });
    assert!(matches!(with_api("slack.com"), Err(SetupError::ApiUrl(_))));
    assert!(matches!(with_api("file:///x"), Err(SetupError::ApiUrl(_))));
    let hosts = vec!["https://hooks.slack.com".to_owned()];
    let refused = SlackWeb::new(WebOptions { response_hosts: hosts, ..WebOptions::default() });
    assert!(matches!(refused, Err(SetupError::ResponseHost(_))));
}

#[tokio::test]
async fn another_kind_of_address_is_not_slacks() {
    let slack = FakeSlack::start(&[]).await;
    let reply = Reply { to: ReplyTo::Topic { topic: "a.b".into() }, ..slack.reply("hi") };
    assert!(matches!(slack.replies(None).send(reply).await, Err(Error::Undeliverable { .. })));
}

#[tokio::test]
async fn each_workspace_is_called_with_its_own_token() {
    let slack = FakeSlack::start(&[]).await;
    let bot_tokens = [("T1".to_owned(), "xoxb-of-t1".into())].into();
    let options = WebOptions { bot_tokens, ..slack.options(Some("xoxb-of-all-others")) };
    let replies = replies(options, Arc::default());
    for team in ["T1", "T2"] {
        let mut reply = without_url(slack.reply("hi"));
        if let ReplyTo::Slack(to) = &mut reply.to {
            to.team_id = Some(team.into());
        }
        replies.send(reply).await.unwrap();
    }
    let tokens: Vec<String> = slack.seen.lock().unwrap().iter().map(|(_, token, _)| token.clone()).collect();
    assert_eq!(tokens, ["Bearer xoxb-of-t1", "Bearer xoxb-of-all-others"]);
}

#[tokio::test]
async fn blocks_that_are_refused_leave_a_text() {
    let refused = (200, "", r#"{"ok":false,"error":"msg_blocks_too_long"}"#);
    let slack = FakeSlack::start(&[refused]).await;
    slack.replies(Some("xoxb-1")).send(without_url(slack.reply("**hi**"))).await.unwrap();
    assert!(slack.body(0)["blocks"].is_array() && slack.body(1)["blocks"].is_null());
    assert_eq!(slack.body(1)["text"], "*hi*");
}

#[tokio::test]
async fn what_slack_holds_back_is_not_sent_before_its_time() {
    let slack = FakeSlack::start(&[(429, "30", "")]).await;
    let replies = slack.replies(Some("xoxb-1"));
    for _ in 0..2 {
        let error = replies.send(without_url(slack.reply("hi"))).await.unwrap_err();
        let Error::Retry { retry_after: Some(wait), .. } = error else { panic!("{error}") };
        assert!(wait > Duration::from_secs(25), "{wait:?}");
    }
    assert_eq!(slack.paths().len(), 1, "the second try did not ask Slack at all");
}
