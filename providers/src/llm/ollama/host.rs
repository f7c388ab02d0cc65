//! Where Ollama listens, as its own tools read `OLLAMA_HOST`: a host, `host:port`, `:port` or a URL.

use reqwest::Url;

use crate::Unusable;

/// Where it listens if nobody says otherwise.
const DEFAULT: &str = "127.0.0.1";
const PORT: &str = "11434";
/// Its cloud.
const CLOUD: &str = "ollama.com";

/// The address under which `/api` lies.
pub(crate) fn parse_host(text: Option<&str>) -> Result<Url, Unusable> {
    let text = text.unwrap_or_default().trim().trim_matches(['"', '\'']);
    let (scheme, rest, port) = match text.split_once("://") {
        Some(("http", rest)) => ("http", rest, "80"),
        Some(("https", rest)) => ("https", rest, "443"),
        Some(_) => return Err(malformed("is neither http:// nor https://")),
        None if text == CLOUD => ("https", text, "443"),
        None => ("http", text, PORT),
    };
    let (place, path) = rest.split_once('/').unwrap_or((rest, ""));
    // A name and a password may hold colons, too.
    let (who, place) = place.rfind('@').map_or(("", place), |at| place.split_at(at + 1));
    let (host, port) = split(place, port);
    // What a server binds to is no address to call.
    let host = match host {
        "" | "0.0.0.0" | "[::]" | "::" => DEFAULT,
        host => host,
    };
    let bare = host.contains(':') && !host.starts_with('[');
    let host = if bare { format!("[{host}]") } else { host.to_owned() };
    let path = path.trim_end_matches('/');
    let path = path.strip_suffix("api").map_or(path, |before| before.trim_end_matches('/'));
    // The text itself may hold a password, so it is not repeated.
    let url: Url = format!("{scheme}://{who}{host}:{port}/{path}").parse().map_err(|_| malformed("is malformed"))?;
    if !url.has_host() {
        return Err(malformed("is malformed"));
    }
    Ok(url)
}

/// Whether the address is that of Ollama's cloud.
pub(crate) fn is_cloud(base: &Url) -> bool {
    base.host_str().is_some_and(|host| host == CLOUD || host.ends_with(".ollama.com"))
}

fn split<'a>(place: &'a str, usual: &'a str) -> (&'a str, &'a str) {
    let after_brackets = place.rfind(']').map_or(0, |at| at + 1);
    // More than one colon outside of brackets is an IPv6 address without a port.
    match place[after_brackets..].rsplit_once(':') {
        Some((_, port)) if after_brackets > 0 || place.matches(':').count() == 1 => {
            let host = &place[..place.len() - port.len() - 1];
            let is_port = port.parse::<u16>().is_ok_and(|port| port > 0);
            (host, if is_port { port } else { usual })
        }
        _ => (place, usual),
    }
}

fn malformed(what: &str) -> Unusable {
    Unusable::new(format!("Ollama's address {what}"), "write it like 127.0.0.1:11434 or https://ollama.com")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_understood() {
        let read = |text| parse_host(Some(text)).unwrap().to_string();
        assert_eq!(parse_host(None).unwrap().as_str(), "http://127.0.0.1:11434/");
        for (text, url) in [
            ("", "http://127.0.0.1:11434/"),
            ("0.0.0.0", "http://127.0.0.1:11434/"),
            (":8000", "http://127.0.0.1:8000/"),
            ("gpu", "http://gpu:11434/"),
            ("gpu:8000", "http://gpu:8000/"),
            ("gpu:0", "http://gpu:11434/"),
            ("http://gpu", "http://gpu/"),
            ("https://gpu/models/", "https://gpu/models"),
            ("https://ollama.com/api", "https://ollama.com/"),
            ("ollama.com", "https://ollama.com/"),
            ("::1", "http://[::1]:11434/"),
            ("[::1]:8000", "http://[::1]:8000/"),
            ("http://me:hush@gpu:8000", "http://me:hush@gpu:8000/"),
        ] {
            assert_eq!(read(text), url, "{text:?}");
        }
    }

    #[test]
    fn a_bad_address_is_refused_and_not_repeated() {
        for bad in ["ftp://me:hush@gpu", "me hush", "http://[hush"] {
            let error = parse_host(Some(bad)).unwrap_err().to_string();
            assert!(!error.contains("hush"), "{error}");
        }
        assert!(is_cloud(&parse_host(Some("ollama.com")).unwrap()));
        assert!(!is_cloud(&parse_host(Some("ollama.com.evil.test")).unwrap()));
    }
}
