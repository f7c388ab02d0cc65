//! Clicks on a question, through the door.

use std::sync::Arc;

use greenroom_contract::{
    ReplyTo,
    clarification::Clarification,
    event::{SlackReply, SlackUser},
    status::ClarificationStatus,
};
use serde_json::{Value, json};

use crate::{
    slack::{SlackDoor, SlackRules, SlackWeb},
    testing::{Answer, FakeSlack, House, Mood, SECRET, question, question_id},
};

const FORM: &str = "application/x-www-form-urlencoded";

struct Stand {
    slack: FakeSlack,
    house: House,
}

impl Stand {
    async fn new(approvers: &str) -> Self {
        let slack = FakeSlack::start(&[]).await;
        let web = Arc::new(SlackWeb::new(slack.options(Some("xoxb-1"))).unwrap());
        let rules = SlackRules { approvers: approvers.parse().unwrap(), ..SlackRules::default() };
        let house = House::with(|doors| doors.slack = SlackDoor::new([SECRET.into()], rules, web));
        let user = SlackUser { team_id: "T1".into(), user_id: "U1".into() };
        let to = SlackReply { team_id: Some("T1".into()), user: Some(user), ..SlackReply::default() };
        *house.state.question.lock().unwrap() =
            Some(Clarification { reply_to: Some(ReplyTo::Slack(to)), ..question(question_id()) });
        Self { slack, house }
    }

    async fn click(&self, user: &str, team: &str, value: &str) -> Answer {
        let payload = json!({
            "type": "block_actions", "user": {"id": user, "team_id": team}, "team": {"id": team}, "trigger_id": "1",
            "channel": {"id": "C1"}, "container": {"message_ts": "17.2", "channel_id": "C1"},
            "response_url": format!("{}/clicked", self.slack.base),
            "actions": [{"type": "button", "action_id": "greenroom.answer.0", "value": value}],
        });
        let body =
            form_urlencoded::Serializer::new(String::new()).append_pair("payload", &payload.to_string()).finish();
        let answer = self.house.slack(FORM, &body).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (200, ""), "a click is always acknowledged");
        answer
    }

    fn answers(&self) -> Vec<String> {
        self.house.operator.verbs.lock().unwrap().iter().map(|(_, what)| what.clone()).collect()
    }
}

fn is_whisper(body: &Value) -> bool {
    body["response_type"] == "ephemeral" && body["replace_original"] == json!(false)
}

#[tokio::test]
async fn who_asked_may_answer_and_the_buttons_go_at_once() {
    let stand = Stand::new("asker").await;
    let id = question_id();
    stand.click("U1", "T1", &format!("{id}:0")).await;
    let told = stand.slack.post(0).await;
    assert_eq!(stand.answers(), [format!("{id} \"yes\" slack:T1:U1")]);
    assert_eq!(told["replace_original"], json!(true));
    assert!(stand.house.operator.events.lock().unwrap().is_empty(), "no agent is woken by it");
    let noted = stand.house.state.question.lock().unwrap().clone().unwrap().cards;
    assert_eq!(noted[0].ts, "17.2", "a card that the store did not know of is written down");
}

#[tokio::test]
async fn who_may_not_answer_is_told_so_and_changes_nothing() {
    for (user, team, approvers) in [("U2", "T1", "asker"), ("U1", "T2", "asker"), ("U1", "T1", "U2"), ("U1", "T1", "")]
    {
        let stand = Stand::new(approvers).await;
        stand.click(user, team, &format!("{}:0", question_id())).await;
        let told = stand.slack.post(0).await;
        assert!(is_whisper(&told) && told["text"].as_str().unwrap().contains("may"), "{told}");
        assert!(stand.answers().is_empty(), "{user} of {team} with {approvers:?}");
    }
    let stand = Stand::new("U2").await;
    stand.click("U2", "T1", &format!("{}:1", question_id())).await;
    stand.slack.post(0).await;
    assert_eq!(stand.answers().len(), 1);
}

#[tokio::test]
async fn a_late_click_is_told_who_was_first() {
    let stand = Stand::new("asker").await;
    {
        let mut held = stand.house.state.question.lock().unwrap();
        let asked = held.as_mut().unwrap();
        (asked.status, asked.answer) = (ClarificationStatus::Answered, Some(json!("no")));
        asked.answered_by = Some("slack:T1:U7".into());
    }
    stand.click("U1", "T1", &format!("{}:0", question_id())).await;
    let (told, redrawn) = (stand.slack.post(0).await, stand.slack.post(1).await);
    assert!(is_whisper(&told) && told["text"].as_str().unwrap().contains("*no* · answered by <@U7>"), "{told}");
    assert_eq!(redrawn["replace_original"], json!(true));
    assert!(stand.answers().is_empty());
}

#[tokio::test]
async fn no_click_is_swallowed() {
    let stand = Stand::new("asker").await;
    for (n, value) in ["", "nonsense:0", "00000000-0000-0000-0000-000000000000:0"].iter().enumerate() {
        stand.click("U1", "T1", value).await;
        assert!(is_whisper(&stand.slack.post(n).await), "{value}");
    }
    stand.click("U1", "T1", &format!("{}:99", question_id())).await;
    assert!(is_whisper(&stand.slack.post(3).await), "an option that the question does not have");
    stand.house.operator.set(Mood::Unavailable);
    stand.click("U1", "T1", &format!("{}:0", question_id())).await;
    let told = stand.slack.post(4).await;
    assert!(is_whisper(&told) && told["text"].as_str().unwrap().contains("try again"), "{told}");
}

#[tokio::test]
async fn an_address_of_somebody_else_is_told_nothing() {
    let (stand, elsewhere) = (Stand::new("asker").await, FakeSlack::start(&[]).await);
    let payload = json!({
        "type": "block_actions", "user": {"id": "U2"}, "team": {"id": "T1"}, "response_url": format!("{}/x", elsewhere.base),
        "actions": [{"action_id": "greenroom.answer", "value": format!("{}:0", question_id())}],
    });
    let body = form_urlencoded::Serializer::new(String::new()).append_pair("payload", &payload.to_string()).finish();
    assert_eq!(stand.house.slack(FORM, &body).await.status, 200);
    assert!(elsewhere.paths().is_empty() && stand.answers().is_empty());
}
