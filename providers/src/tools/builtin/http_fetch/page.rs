//! What is told of an answer of the web.

use base64::{Engine, engine::general_purpose::STANDARD};
use greenroom_contract::port::{
    llm::{Image, PICTURES},
    tool::Answer,
};
use reqwest::StatusCode;

/// What windows-1252 has at 0x80 to 0x9f, where latin-1 has control characters (<https://encoding.spec.whatwg.org>).
const WINDOWS_1252: [char; 32] = [
    '\u{20ac}', '\u{81}', '\u{201a}', '\u{192}', '\u{201e}', '\u{2026}', '\u{2020}', '\u{2021}', // 80 to 87
    '\u{2c6}', '\u{2030}', '\u{160}', '\u{2039}', '\u{152}', '\u{8d}', '\u{17d}', '\u{8f}', // 88 to 8f
    '\u{90}', '\u{2018}', '\u{2019}', '\u{201c}', '\u{201d}', '\u{2022}', '\u{2013}', '\u{2014}', // 90 to 97
    '\u{2dc}', '\u{2122}', '\u{161}', '\u{203a}', '\u{153}', '\u{9d}', '\u{17e}', '\u{178}', // 98 to 9f
];

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
    let parameters = kind.split(';').filter_map(|parameter| parameter.trim().strip_prefix("charset="));
    let charset = parameters.map(|charset| charset.trim_matches(['"', '\'', ' '])).next();
    match charset {
        // All of them are windows-1252 to browsers, and to the WHATWG's encoding standard.
        Some("iso-8859-1" | "iso8859-1" | "latin1" | "windows-1252" | "cp1252") => {
            body.iter().map(|byte| of_windows_1252(*byte)).collect()
        }
        _ => String::from_utf8_lossy(body).into_owned(),
    }
}

fn of_windows_1252(byte: u8) -> char {
    match byte {
        0x80..=0x9f => WINDOWS_1252[usize::from(byte - 0x80)],
        other => char::from(other),
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
        assert!(
            page("text/plain; Charset=\"windows-1252\"", b"\x93h\xe9\x94 \x96 \x80\x9f", false)
                .content
                .ends_with("\u{201c}h\u{e9}\u{201d} \u{2013} \u{20ac}\u{178}")
        );
        assert!(page("text/plain; charset=iso-8859-15", b"h\xe9", false).content.ends_with("h\u{fffd}"));
        assert_eq!(page("image/png", b"\x89PNG", false).images.len(), 1);
        assert!(page("application/pdf", b"%PDF", true).content.ends_with("[more than 4 bytes, which are no text]"));
    }
}
