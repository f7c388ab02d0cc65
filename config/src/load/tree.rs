//! YAML text as a tree in which every key and value knows its place.
//!
//! Built from the parser's events rather than with a ready-made loader, because the depth, the number of nodes and the
//! growth by aliases are bounded here while the text is read: no file can hang or overflow the process.

use std::collections::{BTreeSet, HashMap};

use saphyr_parser::{Event, Marker, Parser, Span};
use serde_json::{Map, Value};

use super::{Problem, scalar::scalar};

/// Deeper than any agent's file has reason to be.
const MAX_DEPTH: usize = 64;
/// More keys and values than any agent's file has reason to have, aliases counted at full size.
const MAX_NODES: usize = 50_000;

/// A place in the text: line and column from 1, in characters; offset and length in bytes, within one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) offset: usize,
    pub(super) length: usize,
}

/// A value and its place.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) kind: Kind,
}

/// What a value is.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    /// Nothing, a truth value, a number or text.
    Scalar(Value),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key with its value.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_place: Place,
    pub(super) value: Node,
}

impl Node {
    pub(super) fn is_null(&self) -> bool {
        matches!(self.kind, Kind::Scalar(Value::Null))
    }

    pub(super) fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.kind {
            Kind::Map(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    /// The value as JSON, from which it is deserialised, without what stands at the paths in `bad`. A list of which an
    /// entry is bad is left out as a whole, so that the others keep their numbers.
    pub(super) fn to_json(&self, path: &str, bad: &BTreeSet<&str>) -> Option<Value> {
        if bad.contains(path) {
            return None;
        }
        Some(match &self.kind {
            Kind::Scalar(value) => value.clone(),
            Kind::List(items) => {
                let items = items.iter().enumerate().map(|(i, item)| item.to_json(&format!("{path}[{i}]"), bad));
                Value::Array(items.collect::<Option<_>>()?)
            }
            Kind::Map(entries) => {
                let pairs = entries
                    .iter()
                    .filter_map(|entry| Some((entry.key.clone(), entry.value.to_json(&join(path, &entry.key), bad)?)));
                Value::Object(pairs.collect::<Map<_, _>>())
            }
        })
    }

    /// The place of the value at a path such as `tools[0].mcp.url`, if the text has one.
    pub(super) fn at(&self, path: &str) -> Option<Place> {
        let (place, whole) = self.nearest(path);
        whole.then_some(place)
    }

    /// The place of the value at a path, or of the nearest above it that the text has; and whether it is the former.
    pub(super) fn nearest(&self, path: &str) -> (Place, bool) {
        let mut node = self;
        let mut place = self.place;
        for segment in path.split(['.', '[']).filter(|segment| !segment.is_empty()) {
            let child = match (&node.kind, segment.strip_suffix(']')) {
                (Kind::List(items), Some(index)) => {
                    index.parse().ok().and_then(|index: usize| items.get(index)).map(|item| (item.place, item))
                }
                (Kind::Map(_), _) => node.entry(segment).map(|entry| {
                    // A mapping below a key begins on another line: the key is what a person looks for.
                    let scalar = matches!(entry.value.kind, Kind::Scalar(_));
                    (if scalar { entry.value.place } else { entry.key_place }, &entry.value)
                }),
                _ => None,
            };
            let Some((found, next)) = child else { return (place, false) };
            (place, node) = (found, next);
        }
        (place, true)
    }

    fn size(&self) -> usize {
        match &self.kind {
            Kind::Scalar(_) => 1,
            Kind::List(items) => 1 + items.iter().map(Node::size).sum::<usize>(),
            Kind::Map(entries) => 1 + entries.iter().map(|entry| entry.value.size()).sum::<usize>(),
        }
    }
}

/// Reads the one document of a text. Faults that leave the rest readable (a key twice) go to `problems`; one that does
/// not is the error.
pub(super) fn read(text: &str, problems: &mut Vec<Problem>) -> Result<Node, Problem> {
    let places = Places::new(text);
    let mut builder =
        Builder { places: &places, open: Vec::new(), anchors: HashMap::new(), nodes: 0, root: None, problems };
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        match event {
            Ok((event, span)) => builder.event(event, span)?,
            Err(error) => return Err(syntax(text, places.of(Span::empty(*error.marker())), error.info())),
        }
    }
    builder.root.ok_or_else(|| Problem::at(places.start(), "", "the file is empty", None))
}

fn syntax(text: &str, place: Place, info: &str) -> Problem {
    let line = text.lines().nth(place.line.saturating_sub(1)).unwrap_or_default();
    let tab = line.chars().take_while(|c| c.is_whitespace()).any(|c| c == '\t');
    let help = if info.contains("anchor") {
        "quote text that begins with `*`, such as the topic \"*.done\"; an alias needs its `&anchor` above"
    } else if tab {
        "the line is indented with a tab; YAML takes blanks only"
    } else {
        "look at indentation, colons and quotes here and in the line above"
    };
    Problem::at(place, "", format!("not YAML: {info}"), Some(help.to_owned()))
}

/// Turns the parser's marks into places.
struct Places {
    /// Byte offset of each character, where they differ.
    bytes: Option<Vec<usize>>,
    /// Length of the text in bytes.
    end: usize,
}

impl Places {
    fn new(text: &str) -> Self {
        let bytes = (!text.is_ascii()).then(|| text.char_indices().map(|(offset, _)| offset).collect());
        Self { bytes, end: text.len() }
    }

    fn start(&self) -> Place {
        Place { line: 1, column: 1, offset: 0, length: 0 }
    }

    fn of(&self, span: Span) -> Place {
        let offset = self.byte(span.start);
        let one_line = span.start.line() == span.end.line();
        let length = if one_line { self.byte(span.end).saturating_sub(offset) } else { 1 };
        Place { line: span.start.line().max(1), column: span.start.col() + 1, offset, length }
    }

    fn byte(&self, mark: Marker) -> usize {
        match &self.bytes {
            None => mark.index().min(self.end),
            Some(bytes) => bytes.get(mark.index()).copied().unwrap_or(self.end),
        }
    }
}

struct Builder<'a> {
    places: &'a Places,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    root: Option<Node>,
    problems: &'a mut Vec<Problem>,
}

/// A list or mapping whose end has not been read.
struct Open {
    place: Place,
    anchor: usize,
    body: Body,
}

enum Body {
    List(Vec<Node>),
    /// `lines` says where each key stands first.
    Map {
        entries: Vec<Entry>,
        lines: HashMap<String, usize>,
        key: Option<(String, Place)>,
    },
}

impl Builder<'_> {
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Problem> {
        let place = self.places.of(span);
        match event {
            Event::DocumentStart(_) if self.root.is_some() => {
                let help = "give the second one a file of its own, or remove the `---`".to_owned();
                Err(Problem::at(place, "", "a second document begins here; a file holds one agent", Some(help)))
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                let value = scalar(&text, style, tag.as_deref()).ok_or_else(|| {
                    Problem::at(place, "", "tags other than !!str, !!int, !!float and !!bool mean nothing here", None)
                })?;
                self.scalar(text.as_ref(), Node { place, kind: Kind::Scalar(value) }, anchor)
            }
            Event::SequenceStart(anchor, _) => self.begin(place, anchor, Body::List(Vec::new())),
            Event::MappingStart(anchor, _) => {
                self.begin(place, anchor, Body::Map { entries: Vec::new(), lines: HashMap::new(), key: None })
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => self.alias(place, anchor),
        }
    }

    fn begin(&mut self, place: Place, anchor: usize, body: Body) -> Result<(), Problem> {
        self.expect_no_key(place)?;
        if self.open.len() >= MAX_DEPTH {
            return Err(Problem::at(place, "", format!("nested more than {MAX_DEPTH} levels deep"), None));
        }
        self.open.push(Open { place, anchor, body });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Problem> {
        let Some(Open { place, anchor, body }) = self.open.pop() else { return Ok(()) };
        let kind = match body {
            Body::List(items) => Kind::List(items),
            Body::Map { entries, .. } => Kind::Map(merged(entries)),
        };
        self.value(Node { place, kind }, anchor)
    }

    fn alias(&mut self, place: Place, anchor: usize) -> Result<(), Problem> {
        self.expect_no_key(place)?;
        let Some(node) = self.anchors.get(&anchor) else {
            return Err(Problem::at(place, "", "this alias stands inside the value that it refers to", None));
        };
        self.nodes += node.size();
        let node = node.clone();
        self.value(node, 0)
    }

    /// A scalar is a key where a key is due, else a value.
    fn scalar(&mut self, text: &str, node: Node, anchor: usize) -> Result<(), Problem> {
        if let Some(Open { body: Body::Map { key: key @ None, lines, .. }, .. }) = self.open.last_mut() {
            match lines.get(text) {
                Some(first) if text != "<<" => {
                    let message = format!("stands here again; it is already in line {first}");
                    self.problems.push(Problem::at(
                        node.place,
                        &join("", text),
                        message,
                        Some("keep one of them".to_owned()),
                    ));
                }
                _ => drop(lines.insert(text.to_owned(), node.place.line)),
            }
            *key = Some((text.to_owned(), node.place));
            if anchor != 0 {
                self.anchors.insert(anchor, node);
            }
            return Ok(());
        }
        self.value(node, anchor)
    }

    fn value(&mut self, node: Node, anchor: usize) -> Result<(), Problem> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            let message = format!("more than {MAX_NODES} values, aliases counted at full size");
            return Err(Problem::at(node.place, "", message, None));
        }
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open { body: Body::List(items), .. }) => items.push(node),
            Some(Open { body: Body::Map { entries, key, .. }, .. }) => {
                if let Some((key, key_place)) = key.take() {
                    entries.push(Entry { key, key_place, value: node });
                }
            }
        }
        Ok(())
    }

    fn expect_no_key(&self, place: Place) -> Result<(), Problem> {
        match self.open.last() {
            Some(Open { body: Body::Map { key: None, .. }, .. }) => Err(Problem::at(
                place,
                "",
                "a key must be a plain word",
                Some("quote it if it is meant as text".to_owned()),
            )),
            _ => Ok(()),
        }
    }
}

/// Resolves `<<: *defaults`: the merged keys stand behind the mapping's own, which win. Of a key that stands twice
/// (which is a problem already noted) the first counts.
fn merged(entries: Vec<Entry>) -> Vec<Entry> {
    let mut own: Vec<Entry> = Vec::with_capacity(entries.len());
    let mut borrowed = Vec::new();
    for entry in entries {
        match (entry.key.as_str(), entry.value.kind) {
            ("<<", Kind::Map(inner)) => borrowed.extend(inner),
            ("<<", Kind::List(items)) => borrowed.extend(items.into_iter().flat_map(|item| match item.kind {
                Kind::Map(inner) => inner,
                _ => Vec::new(),
            })),
            (_, kind) => own.push(Entry { value: Node { place: entry.value.place, kind }, ..entry }),
        }
    }
    own.extend(borrowed);
    let mut seen = std::collections::HashSet::new();
    own.retain(|entry| seen.insert(entry.key.clone()));
    own
}

/// A key behind its path. One that needs it is quoted, so that it cannot break a log line.
pub(super) fn join(path: &str, key: &str) -> String {
    let plain =
        !key.is_empty() && key.len() <= 64 && key.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'));
    let key = if plain { key.to_owned() } else { format!("{:?}", clipped(key)) };
    if path.is_empty() { key } else { format!("{path}.{key}") }
}

/// The beginning of a text, for a message.
pub(super) fn clipped(text: &str) -> String {
    let mut start: String = text.chars().take(60).collect();
    if start.len() < text.len() {
        start.push('…');
    }
    start
}
