//! Which queues a topic reaches.

use std::{collections::HashMap, sync::Arc};

use greenroom_contract::TopicPattern;

use super::queue::Queue;

/// The bindings of all queues, kept so that matching costs a look-up for each word of the topic and a pass over the
/// patterns that begin as it does: thousands of agents have patterns of their own, and a topic concerns few of them.
#[derive(Default)]
pub(super) struct Routes {
    exact: HashMap<String, Vec<Arc<Queue>>>,
    /// By the words before the first wildcard.
    wild: HashMap<String, Vec<(TopicPattern, Arc<Queue>)>>,
}

impl Routes {
    /// Binds a queue to its own name and to `patterns`.
    pub(super) fn bind(&mut self, queue: &Arc<Queue>, patterns: &[TopicPattern]) {
        self.exact.entry(queue.name().to_owned()).or_default().push(Arc::clone(queue));
        for pattern in patterns {
            if let Some(begin) = before_wildcard(pattern) {
                let alike = self.wild.entry(begin.to_owned()).or_default();
                alike.push((pattern.clone(), Arc::clone(queue)));
            } else {
                self.exact.entry(pattern.as_str().to_owned()).or_default().push(Arc::clone(queue));
            }
        }
    }

    /// Takes away what [`Self::bind`] was given before.
    pub(super) fn unbind(&mut self, queue: &Arc<Queue>, patterns: &[TopicPattern]) {
        for topic in patterns.iter().map(TopicPattern::as_str).chain([queue.name()]) {
            if let Some(bound) = self.exact.get_mut(topic) {
                bound.retain(|other| !Arc::ptr_eq(other, queue));
                if bound.is_empty() {
                    self.exact.remove(topic);
                }
            }
        }
        for begin in patterns.iter().filter_map(before_wildcard) {
            if let Some(alike) = self.wild.get_mut(begin) {
                alike.retain(|(_, other)| !Arc::ptr_eq(other, queue));
                if alike.is_empty() {
                    self.wild.remove(begin);
                }
            }
        }
    }

    /// The queues that take `topic`, each once however many of its patterns match.
    pub(super) fn find(&self, topic: &str) -> Vec<Arc<Queue>> {
        let mut found: Vec<Arc<Queue>> = Vec::new();
        let exact = self.exact.get(topic).into_iter().flatten();
        let ends = topic.match_indices('.').map(|(at, _)| at).chain([topic.len()]);
        let begins = std::iter::once("").chain(ends.map(|at| &topic[..at]));
        let alike = begins.filter_map(|begin| self.wild.get(begin)).flatten();
        let wild = alike.filter(|(pattern, _)| pattern.matches(topic)).map(|(_, queue)| queue);
        for queue in exact.chain(wild) {
            if !found.iter().any(|other| Arc::ptr_eq(other, queue)) {
                found.push(Arc::clone(queue));
            }
        }
        found
    }
}

/// The words before a pattern's first wildcard, if it has any.
fn before_wildcard(pattern: &TopicPattern) -> Option<&str> {
    let text = pattern.as_str();
    let wildcard = text.find(['*', '#'])?;
    Some(text[..wildcard].trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use greenroom_contract::port::bus::Sharing;

    use super::*;

    fn patterns(texts: &[&str]) -> Vec<TopicPattern> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn queue(id: i64, name: &str) -> Arc<Queue> {
        Arc::new(Queue::new(id, name, Sharing::Competing, [0; 4]))
    }

    fn names(routes: &Routes, topic: &str) -> Vec<String> {
        routes.find(topic).iter().map(|queue| queue.name().to_owned()).collect()
    }

    #[test]
    fn a_queue_takes_a_topic_once_and_nothing_after_it_is_unbound() {
        let (a, b) = (queue(1, "a"), queue(2, "b"));
        let bound = patterns(&["x.*", "x.#", "x.y"]);
        let mut routes = Routes::default();
        routes.bind(&a, &bound);
        routes.bind(&b, &patterns(&["#"]));
        assert_eq!(names(&routes, "x.y"), ["a", "b"]);
        assert_eq!(names(&routes, "a"), ["a", "b"]);
        routes.unbind(&a, &bound);
        assert_eq!(names(&routes, "x.y"), ["b"]);
        assert_eq!(names(&routes, "a"), ["b"]);
    }

    #[test]
    fn a_pattern_is_found_wherever_its_wildcard_stands() {
        let topics = ["x", "x.y", "x.y.z", "x.w.z", "w.y.z"];
        for text in ["#", "*", "x.#", "x.*", "x.y.#", "x.*.z", "*.y.z", "#.z", "x.y.z.#", "x.#.z"] {
            let mut routes = Routes::default();
            let pattern: TopicPattern = text.parse().unwrap();
            routes.bind(&queue(1, "a"), std::slice::from_ref(&pattern));
            for topic in topics {
                assert_eq!(!routes.find(topic).is_empty(), pattern.matches(topic), "{text} and {topic}");
            }
        }
    }
}
