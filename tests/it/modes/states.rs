//! An operator and an agent's state.

use kit::{
    model::{Gate, ModelServer, Reply},
    wait,
};
use serde_json::{Value, json};

use super::ground::conversation;
use crate::{
    cast::{SOON, agent},
    ground::Ground,
};

pub(super) async fn an_operator_shows_resets_exports_and_imports_a_state(ground: Ground) {
    let (model, gate, home) = (ModelServer::start().await, Gate::closed(), ground.home());
    let held = gate.clone();
    model.rule(move |asked| match asked.question().as_str() {
        "held" => Reply::text("at last").held_by(&held),
        other => Reply::text(format!("re: {other}")),
    });
    for name in ["talker", "twin"] {
        home.agent(name, &agent(name, &model, "").replace("autonomous", "continuous"));
    }
    let running = ground.start().await;
    let door = running.door();
    for question in ["one", "two"] {
        door.ask("talker", question).await;
    }
    let shown = running.type_in(&["state", "show", "talker"]).await.ok();
    assert!(shown.stdout.contains("messages      4") && shown.stdout.contains("re: two"), "{}", shown.stdout);
    let file = home.path().join("talker.json");
    let file = file.to_str().unwrap();
    running.type_in(&["state", "export", "talker", "-o", file]).await.ok();

    // Not under an execution that began with the state.
    let busy = door.submit("talker", "held").await;
    door.execution_is(&busy, &["running"], SOON).await;
    model.wait_for_calls(3).await;
    let refused = door.post("/v1/agents/talker/reset", &json!({})).await.expect(409);
    assert!(refused.text.contains("under way"), "{}", refused.text);
    gate.open();
    door.execution_is(&busy, &["succeeded"], SOON).await;
    running.type_in(&["state", "reset", "talker", "--version", "2"]).await.refused();
    running.type_in(&["state", "reset", "talker", "--version", "3"]).await.ok();
    door.ask("talker", "anew").await;
    assert_eq!(conversation(&model.asked().last().unwrap().body), ["anew"], "nothing of before is in view");

    // What is there is lost only if that is said.
    running.type_in(&["state", "import", "talker", file]).await.refused();
    running.type_in(&["state", "import", "talker", file, "--replace"]).await.ok();
    running.type_in(&["state", "import", "twin", file]).await.ok();
    for name in ["talker", "twin"] {
        door.ask(name, "three").await;
        assert_eq!(conversation(&model.asked().last().unwrap().body), ["one", "re: one", "two", "re: two", "three"]);
    }
    let messages = door.get("/v1/agents/twin/state/messages?limit=1").await.expect(200).json;
    assert_eq!((&messages["items"][0]["number"], &messages["next_cursor"]), (&json!(5), &json!("5")), "{messages}");
    wait::seen("all of it in the log", SOON, async || {
        let lines: Vec<Value> = home.logs();
        let said =
            |text: &str| lines.iter().filter(|line| line["message"].as_str().is_some_and(|m| m.contains(text))).count();
        let counts = ["exported the agent", "reset the state", "imported the state"].map(said);
        if counts == [1, 1, 2] { Ok(()) } else { Err(format!("{counts:?}")) }
    })
    .await;
    running.stop().await;
}
