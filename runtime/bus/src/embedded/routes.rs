//! Which queues a topic reaches.

use std::{collections::HashMap, sync::Arc};

use greenroom_contract::TopicPattern;

use super::queue::Queue;

/// The bindings of all queues, kept so that matching costs one look-up and a pass over the patterns with wildcards.
#[derive(Default)]
pub(super) struct Routes {
    exact: HashMap<String, Vec<Arc<Queue>>>,
    wild: Vec<(TopicPattern, Arc<Queue>)>,
}

impl Routes {
    /// Binds a queue to its own name and to `patterns`.
    pub(super) fn bind(&mut self, queue: &Arc<Queue>, patterns: &[TopicPattern]) {
        self.exact.entry(queue.name().to_owned()).or_default().push(Arc::clone(queue));
        for pattern in patterns {
            if pattern.as_str().contains(['*', '#']) {
                self.wild.push((pattern.clone(), Arc::clone(queue)));
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
        if patterns.iter().any(|pattern| pattern.as_str().contains(['*', '#'])) {
            self.wild.retain(|(_, other)| !Arc::ptr_eq(other, queue));
        }
    }

    /// The queues that take `topic`, each once however many of its patterns match.
    pub(super) fn find(&self, topic: &str) -> Vec<Arc<Queue>> {
        let mut found: Vec<Arc<Queue>> = Vec::new();
        let exact = self.exact.get(topic).into_iter().flatten();
        let wild = self.wild.iter().filter(|(pattern, _)| pattern.matches(topic)).map(|(_, queue)| queue);
        for queue in exact.chain(wild) {
            if !found.iter().any(|other| Arc::ptr_eq(other, queue)) {
                found.push(Arc::clone(queue));
            }
        }
        found
    }
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
}
