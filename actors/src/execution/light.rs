//! What people see of an execution while it lasts.

use std::sync::Arc;

use greenroom_contract::{
    ExecutionId, ReplyTo,
    port::reply::{Sign, Signs},
};

/// Shows the person in Slack that something is at work. It goes out when this is dropped, so that an execution that is aborted
/// or panics leaves no sign behind that it is still at it.
pub(super) struct Light {
    signs: Arc<dyn Signs>,
    to: Option<ReplyTo>,
    execution: ExecutionId,
    /// What is shown at last. Nothing where another agent waits for the answer: whoever made the call goes on then.
    last: Option<Sign>,
}

impl Light {
    pub(super) fn on(signs: &Arc<dyn Signs>, reply_to: Option<&ReplyTo>, execution: ExecutionId) -> Self {
        let to = reply_to.and_then(ReplyTo::person).cloned().map(ReplyTo::Slack);
        let called = matches!(reply_to, Some(ReplyTo::Caller { .. }));
        let last = if called { None } else { Some(Sign::Over) };
        let light = Self { signs: Arc::clone(signs), to, execution, last };
        light.show(Sign::Working);
        light
    }

    /// The execution waits for people or other agents.
    pub(super) fn waits(&mut self) {
        self.last = Some(Sign::Waiting);
    }

    fn show(&self, sign: Sign) {
        if let Some(to) = &self.to {
            self.signs.give(to, self.execution, sign);
        }
    }
}

impl Drop for Light {
    fn drop(&mut self) {
        if let Some(last) = self.last {
            self.show(last);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use greenroom_contract::event::SlackReply;

    use super::*;

    #[derive(Default)]
    struct Seen(Mutex<Vec<Sign>>);

    impl Signs for Seen {
        fn give(&self, _: &ReplyTo, _: ExecutionId, sign: Sign) {
            self.0.lock().unwrap().push(sign);
        }

        fn say(&self, _: &ReplyTo, _: ExecutionId, _: &str) {}
    }

    #[test]
    fn a_light_goes_out_however_the_work_ends() {
        let slack = ReplyTo::Slack(SlackReply::default());
        let called = ReplyTo::Caller { path: Vec::new(), person: Some(Box::default()) };
        let topic = ReplyTo::Topic { topic: "a.b".to_owned() };
        use Sign::{Over, Waiting, Working};
        for (to, waits, shown) in [
            (Some(&slack), false, vec![Working, Over]),
            (Some(&slack), true, vec![Working, Waiting]),
            (Some(&called), false, vec![Working]),
            (Some(&called), true, vec![Working, Waiting]),
            (Some(&topic), false, vec![]),
            (None, true, vec![]),
        ] {
            let seen = Arc::new(Seen::default());
            let signs: Arc<dyn Signs> = Arc::clone(&seen) as _;
            let mut light = Light::on(&signs, to, ExecutionId::new());
            if waits {
                light.waits();
            }
            drop(light);
            assert_eq!(*seen.0.lock().unwrap(), shown, "{to:?} waits: {waits}");
        }
    }
}
