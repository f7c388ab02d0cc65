//! `greenroom usage`: what agents spent on models.

use serde_json::Value;

use super::{
    client::{Client, encoded},
    exit::Exit,
    output,
};

pub(super) fn usage(client: &Client, since: Option<&str>, agent: Option<&str>, as_json: bool) -> Result<(), Exit> {
    let mut asked = vec![];
    for (name, value) in [("since", since), ("agent", agent)] {
        asked.extend(value.map(|value| format!("{name}={}", encoded(value))));
    }
    let told = client.get(&format!("/v1/usage?{}", asked.join("&")))?;
    if as_json {
        output::json(&told);
        return Ok(());
    }
    let rows: Vec<Vec<String>> = told["items"].as_array().into_iter().flatten().map(row).collect();
    output::answer(output::table(&["AGENT", "CALLS", "INPUT", "CACHED", "OUTPUT", "COST"], &rows));
    let since = told["since"].as_str().unwrap_or_default();
    output::note(format_args!(
        "{} since {since}; calls without a known price are not in it.",
        dollars(&told["total_usd"])
    ));
    Ok(())
}

fn row(one: &Value) -> Vec<String> {
    let tokens = |key: &str| one["usage"][key].as_u64().unwrap_or_default();
    // Some providers do not tell how many there were.
    let about = if one["usage"]["estimated"] == true { "~" } else { "" };
    vec![
        one["agent"].as_str().unwrap_or_default().to_owned(),
        one["calls"].to_string(),
        format!("{about}{}", tokens("input") + tokens("cache_write")),
        tokens("cache_read").to_string(),
        format!("{about}{}", tokens("output")),
        dollars(&one["cost_usd"]),
    ]
}

fn dollars(usd: &Value) -> String {
    format!("${:.6}", usd.as_f64().unwrap_or_default())
}
