//! An answer that does not fit into messages: all of it as a file, with its beginning as the words beside it.

use greenroom_contract::{
    event::SlackReply,
    port::reply::{Error, Reply},
};
use serde_json::json;

use super::{messages::opening, sender::SlackReplies};
use crate::slack::web::Refused;

const BEGIN: &str = "files.getUploadURLExternal";
const SHARE: &str = "files.completeUploadExternal";
const NAME: &str = "answer.md";

/// How far a file came.
#[derive(Debug, Clone, Default)]
pub(super) enum Upload {
    #[default]
    NotBegun,
    /// Slack has its bytes, and shows them to nobody yet.
    Done { file: String },
    /// Slack takes none here.
    Refused,
}

impl SlackReplies {
    /// Shares the answer as a file where it was asked for. Says whether it did: if not, nothing of it is to be seen, and it
    /// goes by messages, which hold a part of it.
    pub(super) async fn deliver_file(&self, reply: &Reply, to: &SlackReply) -> Result<bool, Error> {
        let Some(channel) = to.channel_id.as_deref().filter(|_| self.web.has_token(to.team_id.as_deref())) else {
            return Ok(false);
        };
        let file = match self.upload_of(&reply.id) {
            Upload::Refused => return Ok(false),
            Upload::Done { file } => file,
            Upload::NotBegun => match self.upload(reply, to).await {
                Ok(file) => file,
                Err((method, refused)) => return self.without_file(reply, method, refused),
            },
        };
        self.remember_upload(&reply.id, Upload::Done { file: file.clone() });
        let mut fields = vec![
            ("files", json!([{ "id": file, "title": NAME }]).to_string()),
            ("channel_id", channel.to_owned()),
            ("initial_comment", opening(&reply.text)),
        ];
        fields.extend(to.thread_ts.clone().map(|thread| ("thread_ts", thread)));
        // One call shows the words and the file: there is no moment at which one is there without the other.
        if let Err(refused) = self.web.call_by_form(SHARE, to.team_id.as_deref(), Some(channel), &fields).await {
            return self.without_file(reply, SHARE, refused);
        }
        self.forget(&reply.id);
        tracing::info!(trace_id = %reply.trace_id, reply.id, reply.way = SHARE, "A long reply was delivered to Slack as a file.");
        Ok(true)
    }

    async fn upload(&self, reply: &Reply, to: &SlackReply) -> Result<String, (&'static str, Refused)> {
        let length = reply.text.len().to_string();
        let fields = [("filename", NAME.to_owned()), ("length", length)];
        let begun = self.web.call_by_form(BEGIN, to.team_id.as_deref(), None, &fields).await;
        let begun = begun.map_err(|refused| (BEGIN, refused))?;
        let (Some(address), Some(file)) = (begun["upload_url"].as_str(), begun["file_id"].as_str()) else {
            return Err((BEGIN, Refused::ForGood { code: "no address for the file".to_owned() }));
        };
        let sent = self.web.upload(address, reply.text.clone().into_bytes()).await;
        sent.map_err(|refused| ("the upload", refused))?;
        Ok(file.to_owned())
    }

    /// What passes is tried again; what does not leaves messages.
    fn without_file(&self, reply: &Reply, method: &str, refused: Refused) -> Result<bool, Error> {
        match refused {
            Refused::ForGood { code } => {
                tracing::warn!(
                    trace_id = %reply.trace_id, method, code,
                    "Slack takes no file here (the app needs the scope files:write); a long answer is cut."
                );
                self.remember_upload(&reply.id, Upload::Refused);
                Ok(false)
            }
            refused => Err(refused.of(method)),
        }
    }
}
