//! Leaving out of a request what its model does not take.

use greenroom_contract::port::llm::{Part, Request};

use super::form::in_words;
use crate::pricing::Capabilities;

/// What stands where a picture was.
const UNSEEN: &str = "[a picture, which this model cannot see]";

/// The request as the model can take it: lines of text in the place of pictures, and a form asked for in words.
pub(crate) fn modest(mut request: Request, capabilities: &Capabilities) -> Request {
    if !capabilities.vision {
        for part in request.messages.iter_mut().flat_map(|message| &mut message.parts) {
            match part {
                Part::Image(_) => *part = Part::Text { text: UNSEEN.to_owned() },
                Part::ToolResult { content, images, .. } => {
                    for _ in images.drain(..) {
                        content.push('\n');
                        content.push_str(UNSEEN);
                    }
                }
                Part::Text { .. } | Part::ToolUse(_) | Part::Opaque { .. } => {}
            }
        }
    }
    if !capabilities.structured_output
        && let Some(form) = request.output.take()
    {
        let system = request.system.take().into_iter().chain([in_words(&form)]);
        request.system = Some(system.collect::<Vec<_>>().join("\n\n"));
    }
    request
}

#[cfg(test)]
mod tests {
    use greenroom_contract::port::llm::{Image, OutputForm};
    use serde_json::json;

    use super::*;
    use crate::llm::testing::request;

    #[test]
    fn what_a_model_does_not_take_becomes_words() {
        let mut asked = request("what is it?");
        let picture = Image { media_type: "image/png".to_owned(), data: "AAAA".to_owned() };
        let (id, content) = ("c1".to_owned(), "see".to_owned());
        asked.messages[0].parts.push(Part::Image(picture.clone()));
        asked.messages[0].parts.push(Part::ToolResult { id, content, is_error: false, images: vec![picture] });
        asked.output = Some(OutputForm { name: "a".to_owned(), schema: json!({ "type": "object" }) });
        let whole = modest(asked.clone(), &Capabilities::default());
        assert_eq!((whole.messages == asked.messages, whole.output.is_some()), (true, true));
        let blind = Capabilities { vision: false, structured_output: false, ..Capabilities::default() };
        let less = modest(asked, &blind);
        assert!(!format!("{:?}", less.messages).contains("AAAA"));
        assert!(less.output.is_none() && less.system.unwrap().contains("JSON Schema"));
    }
}
