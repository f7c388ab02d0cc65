//! The message that shows a question. What a button carries is the question's id and which answer it stands for, never what
//! is at stake: the store knows that.

use greenroom_config::People;
use greenroom_contract::{
    ReplyTo,
    clarification::Clarification,
    event::SlackReply,
    status::{Category, ClarificationStatus, Purpose},
};
use serde_json::{Value, json};

use crate::slack::reply::{mrkdwn, split};

/// Actions with this name, or one that begins with it and a point, are answers.
pub(super) const ACTION: &str = "greenroom.answer";
/// The name of the field for a text. It is no action by itself: the button sends it.
pub(super) const FIELD: &str = "greenroom.text";
/// More options than this are a list to choose from.
const MOST_BUTTONS: usize = 5;
/// The most characters of a button's or option's label.
const LABEL: usize = 75;
/// The most options of one group of a list, and the most groups.
const GROUP: usize = 100;
/// The most characters of a section, with room for its fence.
const SECTION: usize = 2_900;
/// More sections than the longest question fills.
const MOST_SECTIONS: usize = 20;
/// The most characters of a question that are shown: all blocks together have a bound that Slack does not write down.
const SHOWN: usize = 10_500;
/// The most characters that are read out where blocks cannot be shown.
const FALLBACK: usize = 3_000;
/// The most characters of an answer that is shown.
const ANSWER: usize = 300;

/// A question as a message.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Drawn {
    pub(crate) blocks: Value,
    pub(crate) text: String,
}

/// Draws a question as it is now. `approvers` may answer it.
pub(crate) fn draw(asked: &Clarification, approvers: &People) -> Drawn {
    let mut blocks = question(asked);
    let text: String = mrkdwn(&asked.question.user_guidance).chars().take(FALLBACK).collect();
    if asked.status == ClarificationStatus::Open {
        blocks.extend(controls(asked));
        blocks.push(context(&format!("{} asks · {}", escape(asked.agent.as_str()), may_answer(asked, approvers))));
        return Drawn { blocks: Value::Array(blocks), text };
    }
    let end = ending(asked);
    blocks.push(section(&end));
    Drawn { blocks: Value::Array(blocks), text: format!("{end}\n{text}") }
}

/// How a question ended, in a line.
pub(crate) fn ending(asked: &Clarification) -> String {
    let answer = asked.answer.as_ref().map(|answer| shown(asked, answer));
    let by = asked.answered_by.as_deref().map_or_else(|| "somebody".to_owned(), person);
    match (asked.status, answer) {
        (ClarificationStatus::Answered, Some(answer)) => format!(":white_check_mark: *{answer}* · answered by {by}"),
        (ClarificationStatus::Answered, None) => format!(":white_check_mark: answered by {by}"),
        (ClarificationStatus::Expired, Some(answer)) => {
            format!(":hourglass: Nobody answered in time, so that *{answer}* counts.")
        }
        (ClarificationStatus::Expired, None) => ":hourglass: Nobody answered in time.".to_owned(),
        (ClarificationStatus::Cancelled, _) => ":no_entry_sign: What asked this was cancelled.".to_owned(),
        (ClarificationStatus::Open, _) => "It is open.".to_owned(),
    }
}

/// Who answered: a mention for people of Slack's, a name for others.
fn person(by: &str) -> String {
    match by.strip_prefix("slack:").and_then(|id| id.split_once(':')) {
        Some((_, user)) if user.chars().all(|c| c.is_ascii_alphanumeric()) => format!("<@{user}>"),
        _ => escape(by),
    }
}

fn shown(asked: &Clarification, answer: &Value) -> String {
    let [yes, no] = words(asked.question.category);
    let text = match answer {
        Value::Bool(said) => (if *said { yes } else { no }).to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    // Bold ends at a star and at the end of a line.
    let text = text.replace(['\n', '\r'], " ").replace('*', "\u{2217}");
    escape(&short(&text, ANSWER))
}

fn question(asked: &Clarification) -> Vec<Value> {
    let guidance = short(&asked.question.user_guidance, SHOWN);
    // What somebody is to permit stands there letter by letter: neither a link nor a mention can hide in it.
    let mut blocks = match (asked.purpose, guidance.split_once('\n')) {
        (Purpose::Approval, Some((first, rest))) => {
            let mut blocks = vec![section(&escape(first))];
            let rest = escape(&rest.replace("```", "`\u{200b}`\u{200b}`"));
            blocks.extend(pieces(&rest).map(|piece| section(&format!("```\n{piece}\n```"))));
            blocks
        }
        _ => split(&mrkdwn(&guidance), true, SECTION, MOST_SECTIONS).iter().map(|piece| section(piece)).collect(),
    };
    let options = &asked.question.options;
    if asked.question.category == Category::MultipleChoice && options.iter().any(|option| is_long(option)) {
        // A label is cut, so that the whole options are told, too.
        let list: Vec<String> = (1..).zip(options).map(|(n, option)| format!("{n}. {}", escape(option))).collect();
        let left = SHOWN.saturating_sub(guidance.chars().count()).max(SECTION);
        blocks.extend(pieces(&short(&list.join("\n"), left)).map(|piece| section(&piece)));
    }
    blocks
}

fn controls(asked: &Clarification) -> Vec<Value> {
    let id = asked.id;
    match asked.question.category {
        Category::UserVerification | Category::Action => {
            let [yes, no] = words(asked.question.category);
            let mut agree = button(&format!("{ACTION}.yes"), yes, &format!("{id}:yes"));
            agree["style"] = json!("primary");
            vec![actions(vec![agree, button(&format!("{ACTION}.no"), no, &format!("{id}:no"))])]
        }
        Category::MultipleChoice if asked.question.options.len() <= MOST_BUTTONS => {
            let options = asked.question.options.iter().enumerate();
            let buttons =
                options.map(|(n, option)| button(&format!("{ACTION}.{n}"), &label(n, option), &format!("{id}:{n}")));
            vec![actions(buttons.collect())]
        }
        Category::MultipleChoice if asked.question.options.len() <= GROUP * GROUP => {
            vec![actions(vec![list(asked)])]
        }
        _ => {
            let mut field = json!({
                "type": "plain_text_input", "action_id": FIELD, "multiline": true, "max_length": 3000,
            });
            if let Some(default) = asked.question.default.as_ref().and_then(Value::as_str) {
                field["initial_value"] = json!(short(default, 3000));
            }
            let input = json!({ "type": "input", "label": plain("Answer"), "element": field });
            let mut send = button(&format!("{ACTION}.text"), "Send", &format!("{id}:text"));
            send["style"] = json!("primary");
            vec![input, actions(vec![send])]
        }
    }
}

fn list(asked: &Clarification) -> Value {
    let option =
        |(n, text): (usize, &String)| json!({ "text": plain(&label(n, text)), "value": format!("{}:{n}", asked.id) });
    let options: Vec<Value> = asked.question.options.iter().enumerate().map(option).collect();
    let mut list = json!({ "type": "static_select", "action_id": ACTION, "placeholder": plain("Choose an answer") });
    if options.len() <= GROUP {
        list["options"] = Value::Array(options);
    } else {
        let group = |(n, options): (usize, &[Value])| {
            let first = n * GROUP + 1;
            json!({ "label": plain(&format!("{first} to {}", first + options.len() - 1)), "options": options })
        };
        list["option_groups"] = options.chunks(GROUP).enumerate().map(group).collect();
    }
    list
}

fn words(category: Category) -> [&'static str; 2] {
    if category == Category::Action { ["Done", "Not done"] } else { ["Yes", "No"] }
}

fn may_answer(asked: &Clarification, approvers: &People) -> String {
    let mut who = approvers.mentions();
    if let Some(ReplyTo::Slack(SlackReply { user: Some(asker), .. })) = &asked.reply_to {
        let asker = format!("<@{}>", asker.user_id);
        if approvers.has_asker() && !who.contains(&asker) {
            who.insert(0, asker);
        }
    }
    let until = asked.expires_at.map(|at| {
        let seconds = at.as_second();
        format!(" · until <!date^{seconds}^{{date_short_pretty}} {{time}}|{at:.0}>")
    });
    let who = if who.is_empty() { "with the right to".to_owned() } else { who.join(", ") };
    format!("may be answered by {who}{}", until.unwrap_or_default())
}

fn is_long(option: &str) -> bool {
    option.chars().count() > LABEL || option.contains('\n')
}

/// A label; one that had to be cut begins with its number.
fn label(n: usize, option: &str) -> String {
    if option.trim().is_empty() {
        return (n + 1).to_string();
    }
    if is_long(option) { short(&format!("{}. {}", n + 1, option.replace('\n', " ")), LABEL) } else { option.to_owned() }
}

fn short(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// Sections' worth of a text, cut between lines where there are any and never inside of an entity.
fn pieces(text: &str) -> impl Iterator<Item = String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((limit, _)) = rest.char_indices().nth(SECTION) {
        let line = rest[..limit].rfind('\n').filter(|at| *at > limit / 2);
        let at = line.unwrap_or_else(|| match rest[..limit].rfind('&') {
            Some(start) if start > 0 && limit - start < 5 && !rest[start..limit].contains(';') => start,
            _ => limit,
        });
        pieces.push(rest[..at].to_owned());
        rest = rest[at..].trim_start_matches('\n');
    }
    pieces.push(rest.to_owned());
    pieces.into_iter().filter(|piece| !piece.trim().is_empty())
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn plain(text: &str) -> Value {
    json!({ "type": "plain_text", "text": text, "emoji": false })
}

fn section(text: &str) -> Value {
    json!({ "type": "section", "text": { "type": "mrkdwn", "text": text, "verbatim": true } })
}

fn context(text: &str) -> Value {
    json!({ "type": "context", "elements": [{ "type": "mrkdwn", "text": text }] })
}

fn actions(elements: Vec<Value>) -> Value {
    json!({ "type": "actions", "elements": elements })
}

fn button(action: &str, label: &str, value: &str) -> Value {
    json!({ "type": "button", "action_id": action, "text": plain(label), "value": value })
}

#[cfg(test)]
mod tests {
    use greenroom_contract::{clarification::Question, event::SlackUser};

    use super::*;
    use crate::testing::{question, question_id};

    fn asked(question: Question) -> Clarification {
        let user = SlackUser { team_id: "T1".into(), user_id: "U1".into() };
        let reply_to = Some(ReplyTo::Slack(SlackReply { user: Some(user), ..SlackReply::default() }));
        Clarification { question, reply_to, ..self::question(question_id()) }
    }

    fn blocks(asked: &Clarification) -> Vec<Value> {
        draw(asked, &People::asker()).blocks.as_array().unwrap().clone()
    }

    fn elements(asked: &Clarification) -> Vec<Value> {
        let blocks = blocks(asked);
        let actions = blocks.iter().find(|block| block["type"] == "actions").unwrap();
        actions["elements"].as_array().unwrap().clone()
    }

    #[test]
    fn few_options_are_buttons_and_many_a_list() {
        let id = question_id();
        let few = elements(&asked(Question::choice("Ship?", ["Ship it", "Wait"])));
        assert_eq!(few.len(), 2);
        assert_eq!((&few[1]["value"], &few[1]["text"]["text"]), (&json!(format!("{id}:1")), &json!("Wait")));
        assert_ne!(few[0]["action_id"], few[1]["action_id"], "Slack wants them different within a block");

        let many: Vec<String> = (0..20).map(|n| format!("option {n}")).collect();
        let many = elements(&asked(Question::choice("Which?", many)));
        assert_eq!(many[0]["type"], "static_select");
        assert_eq!(many[0]["options"][19]["value"], format!("{id}:19"));

        let most: Vec<String> = (0..250).map(|n| format!("option {n}")).collect();
        let most = elements(&asked(Question::choice("Which?", most)));
        assert_eq!(most[0]["option_groups"].as_array().unwrap().len(), 3);
        assert_eq!(most[0]["option_groups"][2]["options"][49]["value"], format!("{id}:249"));
    }

    #[test]
    fn a_long_option_is_told_whole_and_its_button_by_number() {
        let long = format!("{}end", "word ".repeat(40));
        let asked = asked(Question::choice("Which?", [long.as_str(), "short"]));
        let buttons = elements(&asked);
        assert!(buttons[0]["text"]["text"].as_str().unwrap().starts_with("1. word"));
        assert!(buttons[0]["text"]["text"].as_str().unwrap().chars().count() <= LABEL);
        assert_eq!(buttons[1]["text"]["text"], "short");
        assert!(draw(&asked, &People::asker()).blocks.to_string().contains("word end"));
    }

    #[test]
    fn a_text_is_asked_for_with_a_field_and_yes_or_no_with_two_buttons() {
        let text = asked(Question::input("Why?"));
        let blocks = blocks(&text);
        let field = &blocks.iter().find(|block| block["type"] == "input").unwrap()["element"];
        assert_eq!((&field["type"], &field["action_id"]), (&json!("plain_text_input"), &json!(FIELD)));
        assert_eq!(elements(&text)[0]["value"], format!("{}:text", question_id()));
        let yes = asked(Question { category: Category::UserVerification, ..Question::input("Sure?") });
        let labels: Vec<Value> = elements(&yes).iter().map(|button| button["text"]["text"].clone()).collect();
        assert_eq!(labels, ["Yes", "No"]);
    }

    #[test]
    fn what_is_to_be_allowed_is_shown_letter_by_letter() {
        let guidance = "May it call refund?\n{\"to\": \"<https://x|safe> ``` *b* <!channel>\"}";
        let asked = Clarification { purpose: Purpose::Approval, ..asked(Question::input(guidance)) };
        let shown = blocks(&asked)[1]["text"]["text"].as_str().unwrap().to_owned();
        assert!(shown.starts_with("```\n") && shown.ends_with("\n```"), "{shown}");
        assert_eq!(shown.matches("```").count(), 2, "the arguments cannot end the fence: {shown}");
        assert!(shown.contains("&lt;!channel&gt;") && shown.contains("&lt;https://x|safe&gt;"), "{shown}");
    }

    #[test]
    fn the_longest_question_keeps_to_slacks_limits() {
        let long = asked(Question::input("&<> ".repeat(2_500)));
        let blocks = blocks(&long);
        assert!(blocks.len() <= 50);
        for block in &blocks {
            if block["type"] == "section" {
                let text = block["text"]["text"].as_str().unwrap();
                assert!(text.chars().count() <= 3_000 && !text.is_empty());
                assert!(!text.ends_with("&am") && !text.ends_with("&l"), "cut inside of an entity");
            }
        }
    }

    #[test]
    fn an_end_has_no_buttons_and_says_who() {
        for (status, answer, by, says) in [
            (ClarificationStatus::Answered, Some(json!("Ship it")), "slack:T1:U2", "*Ship it* · answered by <@U2>"),
            (ClarificationStatus::Answered, Some(json!(true)), "ann <x>", "*Yes* · answered by ann &lt;x&gt;"),
            (ClarificationStatus::Expired, Some(json!("Wait")), "nobody", "so that *Wait* counts"),
            (ClarificationStatus::Expired, None, "nobody", "Nobody answered in time."),
            (ClarificationStatus::Cancelled, None, "x", "cancelled"),
        ] {
            let question = Question::choice("Ship?", ["Ship it", "Wait"]);
            let asked = Clarification { status, answer, answered_by: Some(by.into()), ..asked(question) };
            let drawn = draw(&asked, &People::asker());
            let blocks = drawn.blocks.to_string();
            assert!(!blocks.contains("\"button\"") && blocks.contains(says), "{blocks}");
            assert!(drawn.text.contains(says), "{}", drawn.text);
        }
    }

    #[test]
    fn who_may_answer_is_told() {
        let context = |people: &str| {
            let drawn = draw(&asked(Question::input("Why?")), &people.parse().unwrap());
            drawn.blocks.as_array().unwrap().last().unwrap()["elements"][0]["text"].as_str().unwrap().to_owned()
        };
        assert!(context("asker").contains("answered by <@U1>"), "{}", context("asker"));
        assert!(context("asker,U2").contains("<@U1>, <@U2>"));
        assert!(context("U2").ends_with("answered by <@U2>"));
    }
}
