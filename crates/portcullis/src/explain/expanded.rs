//! How large a YAML file becomes once its aliases are replaced by what they name: nine lines can become a thousand million.

use std::collections::HashMap;
use yaml_rust2::parser::{Event, EventReceiver, Parser};

/// Nodes that a file of cases may have with its aliases replaced.
pub const MOST: u64 = 1_000_000;

/// Counts nodes.
#[derive(Default)]
struct Nodes {
    /// Sequences and mappings that have begun: their anchor and the nodes in them so far.
    open: Vec<(usize, u64)>,
    /// Nodes under each anchor.
    anchored: HashMap<usize, u64>,
    total: u64,
}

impl Nodes {
    fn add(&mut self, anchor: usize, nodes: u64) {
        self.anchored.insert(anchor, nodes);
        let sum = self.open.last_mut().map_or(&mut self.total, |(_, sum)| sum);
        *sum = sum.saturating_add(nodes);
    }
}

impl EventReceiver for Nodes {
    fn on_event(&mut self, event: Event) {
        match event {
            Event::Scalar(_, _, anchor, _) => self.add(anchor, 1),
            Event::Alias(anchor) => self.add(0, self.anchored.get(&anchor).copied().unwrap_or(1)),
            Event::SequenceStart(anchor, _) | Event::MappingStart(anchor, _) => self.open.push((anchor, 1)),
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some((anchor, nodes)) = self.open.pop() {
                    self.add(anchor, nodes);
                }
            }
            _ => {}
        }
    }
}

/// Nodes of a text with its aliases replaced; of one that is no YAML, those before the error.
pub fn nodes(text: &str) -> u64 {
    let mut nodes = Nodes::default();
    // what is wrong with it is told when it is read
    let _ = Parser::new_from_str(text).load(&mut nodes, true);
    nodes.total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_count_as_what_they_name() {
        assert_eq!(nodes("a: 1\nb: [x, y]"), 7);
        assert_eq!(nodes("a: &a [x, y]\nb: *a"), 9);
        let mut bomb = "a0: &a0 [x, x]\n".to_owned();
        (1..100).for_each(|i| bomb += &format!("a{i}: &a{i} [*a{}, *a{}]\n", i - 1, i - 1));
        assert_eq!(nodes(&bomb), u64::MAX);
    }
}
