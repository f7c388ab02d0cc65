//! No text hangs, overflows or kills what reads it, whatever it holds.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use greenroom_config::parse;
use proptest::prelude::*;

const SAMPLE: &str = include_str!("../agents/customer-support.yaml");

fn read(text: &str) -> Result<(), String> {
    parse(Path::new("x.yaml"), text).map(drop).map_err(|refused| refused.to_string())
}

#[test]
fn bombs_are_refused_in_no_time() {
    let laughs = |levels: usize| {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..levels {
            let again = vec![format!("*a{}", level - 1); 10].join(", ");
            text += &format!("a{level}: &a{level} [{again}]\n");
        }
        text
    };
    let n = 200_000;
    let texts = [
        laughs(20),
        "[".repeat(n),
        "{a: ".repeat(n),
        "- ".repeat(n),
        "? ".repeat(n),
        "a: &a\n".to_owned() + &"  <<: *a\n".repeat(1000),
        (0..n / 10).map(|i| format!("key{i}: {i}\n")).collect(),
        (0..n / 10).map(|_| "same: 1\n").collect(),
        format!("a: [{}]", "x, ".repeat(n)),
        "a: 'ü".to_owned() + &"ü".repeat(n),
        "&a ".repeat(n),
        "!a ".repeat(n),
        "\"\\".repeat(n),
        "#".repeat(n),
        "\n".repeat(n),
        "---\n".repeat(n / 10),
    ];
    for text in texts {
        let started = Instant::now();
        let refusal = read(&text).unwrap_err();
        let start: String = text.chars().take(30).collect();
        assert!(started.elapsed() < Duration::from_secs(5), "{start:?} took {:?}", started.elapsed());
        assert!(refusal.lines().count() <= 60, "{start:?} is refused in {} lines", refusal.lines().count());
    }
}

#[test]
fn anchors_and_merges_of_a_reasonable_kind_work() {
    let text = "
name: x
agent_type: t
execution_mode: autonomous
llm_config: {provider: scripted, script: [{when: a, reply: &says hello}, {reply: *says}]}
limits: {retry: &wait {min: 1s, max: 9s}, max_steps: 7}
supervision: {backoff: {<<: *wait, max: 5s}}
";
    let spec = parse(Path::new("x.yaml"), text).unwrap().spec;
    assert_eq!(spec.llm_config.script[1].reply.as_deref(), Some("hello"));
    assert_eq!(spec.supervision.backoff.min.to_string(), "1s");
    assert_eq!(spec.supervision.backoff.max.to_string(), "5s", "the mapping's own key wins");
}

#[test]
fn line_ends_byte_order_marks_and_other_alphabets_do_not_shift_places() {
    let text = "\u{feff}name: x\r\nagent_type: \"ünï\" # größer\r\nexecution_mode: autonomous\r\n\
                llm_config: {provider: auto}\r\ndescription: \"日本語\"\r\nlimits: {größe: 1}\r\n";
    assert_eq!(read(text).unwrap_err().split(';').next().unwrap(), "x.yaml:6:10 limits.größe: unknown key");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_text_is_taken_or_refused(text in "[ -~\\n\\t\u{0}-\u{7f}äß*&!|>'\"%@`{}\\[\\]:,#?-]{0,80}") {
        read(&text).ok();
    }

    /// A sample with a piece cut out and something put in its place: closer to what people write.
    #[test]
    fn any_edit_of_an_agent_is_taken_or_refused(at in 0..SAMPLE.len(), cut in 0_usize..40, put in "[ -~\\n\\t]{0,6}") {
        let end = (at + cut).min(SAMPLE.len());
        let (before, after) = (SAMPLE.floor_char_boundary(at), SAMPLE.ceil_char_boundary(end));
        let text = format!("{}{put}{}", &SAMPLE[..before], &SAMPLE[after..]);
        if let Err(refusal) = read(&text) {
            prop_assert!(!refusal.is_empty());
        }
        if let Err(refused) = parse(Path::new("x.yaml"), &text) {
            // Drawing must not fail either: every span lies within the text.
            let drawn = format!("{:?}", refused.report());
            prop_assert!(!drawn.is_empty());
        }
    }
}
