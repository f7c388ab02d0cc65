//! What is told of an answer of the web.

use base64::{Engine, engine::general_purpose::STANDARD};
use greenroom_contract::port::{
    llm::{Image, PICTURES},
    tool::Answer,
};
use reqwest::StatusCode;

/// What came, as far as it was read.
pub(super) struct Page {
    pub(super) status: StatusCode,
    /// Where it came from in the end, without its query: that may hold what nobody should log.
    pub(super) from: String,
    pub(super) kind: String,
    pub(super) body: Vec<u8>,
    /// Whether there was more.
    pub(super) cut: bool,
}

impl Page {
    pub(super) fn told(self) -> Answer {
        let Self { status, from, kind, body, cut } = self;
        let head = format!("{status}, {} from {from}", if kind.is_empty() { "of no stated kind," } else { &kind });
        let media = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let mut answer = if is_text(&media, &body) {
            let note = if cut { format!("\n[cut here, after {} bytes]", body.len()) } else { String::new() };
            Answer::text(format!("{head}\n\n{}{note}", decoded(&kind, &body)))
        } else if PICTURES.contains(&media.as_str()) && !cut {
            let image = Image { media_type: media, data: STANDARD.encode(&body) };
            Answer { images: vec![image], ..Answer::text(format!("{head}\n\n[a picture]")) }
        } else {
            let more = if cut { "more than " } else { "" };
            Answer::text(format!("{head}\n\n[{more}{} bytes, which are no text]", body.len()))
        };
        answer.is_error = !status.is_success();
        answer
    }
}

fn is_text(media: &str, body: &[u8]) -> bool {
    let word = media.split('/').next_back().unwrap_or_default();
    let named = media.starts_with("text/")
        || ["json", "xml", "javascript", "yaml", "x-yaml", "toml", "x-ndjson", "graphql"].contains(&word)
        || word.ends_with("+json")
        || word.ends_with("+xml");
    named || (media.is_empty() && std::str::from_utf8(body).is_ok())
}

fn decoded(kind: &str, body: &[u8]) -> String {
    let kind = kind.to_ascii_lowercase();
    match ["iso-8859-1", "latin1", "windows-1252"].iter().any(|charset| kind.contains(charset)) {
        true => body.iter().map(|byte| char::from(*byte)).collect(),
        false => String::from_utf8_lossy(body).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(kind: &str, body: &[u8], cut: bool) -> Answer {
        let from = "https://docs.test/a".to_owned();
        Page { status: StatusCode::OK, from, kind: kind.to_owned(), body: body.to_vec(), cut }.told()
    }

    #[test]
    fn text_is_told_a_picture_is_handed_on_and_the_rest_is_named() {
        assert_eq!(page("text/plain", b"hello", false).content, "200 OK, text/plain from https://docs.test/a\n\nhello");
        assert!(
            page("application/ld+json; charset=utf-8", b"{}", true).content.ends_with("{}\n[cut here, after 2 bytes]")
        );
        assert!(page("text/html; charset=ISO-8859-1", b"h\xe9", false).content.ends_with("h\u{e9}"));
        assert_eq!(page("image/png", b"\x89PNG", false).images.len(), 1);
        assert!(page("application/pdf", b"%PDF", true).content.ends_with("[more than 4 bytes, which are no text]"));
    }
}
