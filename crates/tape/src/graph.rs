use crate::custom::Custom;
use crate::op::{Indices, Name};
use crate::{Op, Shape, Structure};
use smallvec::SmallVec;
use std::panic::Location;
use std::sync::{Arc, LazyLock};

/// A node's index in its graph. Arguments always have smaller indices than their users.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NodeId(pub(crate) u32);

impl NodeId {
    /// The index as a number.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// The arguments of a node; two fit without an allocation.
pub type Args = SmallVec<[NodeId; 2]>;

/// One recorded operation.
#[derive(Clone, Debug)]
pub struct Node {
    /// What is computed.
    pub op: Op,
    /// From what.
    pub args: Args,
    /// The shape of the result.
    pub shape: Shape,
    /// The user's source line that this node comes from.
    pub location: &'static Location<'static>,
    /// The name given with [`Var::named`](crate::Var::named).
    pub name: Option<Name>,
    /// Whether it is a [checkpoint](crate::Var::checkpoint).
    pub checkpoint: bool,
    /// Whether the value depends on an [`Op::Symbol`].
    pub symbolic: bool,
    /// Whether the value depends on nothing but literals and inputs that were declared constant.
    pub constant: bool,
    /// What is known of it from how it is written.
    pub structure: Structure,
    /// The identity by which it took the place of something that costs more, if that is where it comes from.
    pub identity: Option<&'static str>,
}

/// Nodes in topological order: what a tape has recorded, or the part of it that some outputs need.
///
/// A snapshot taken with [`Tape::graph`](crate::Tape::graph) owns all it shows and outlives the tape, so
/// that whoever runs it can still print a formula or a source line in a message.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    pub(crate) nodes: Vec<Node>,
    pub(crate) names: Vec<String>,
    pub(crate) lists: Vec<Arc<[usize]>>,
    pub(crate) customs: Vec<Arc<Custom>>,
    pub(crate) outputs: Vec<NodeId>,
}

/// What stands for a node that a graph does not have.
static NOTHING: LazyLock<Node> = LazyLock::new(|| Node {
    op: Op::Zeros,
    args: Args::new(),
    shape: Shape::new(0, 0),
    location: Location::caller(),
    name: None,
    checkpoint: false,
    symbolic: false,
    constant: true,
    structure: Structure::General,
    identity: None,
});

impl Graph {
    /// All nodes; a [`NodeId`] of this graph is an index into them.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The node `id` of this graph; an empty matrix of zeros if `id` comes from a larger one.
    pub fn node(&self, id: NodeId) -> &Node {
        self.nodes.get(id.index()).unwrap_or(&NOTHING)
    }

    /// Every node with its identifier, arguments first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (NodeId, &Node)> {
        self.nodes.iter().enumerate().map(|(i, node)| (NodeId(i as u32), node))
    }

    /// The outputs for which the snapshot was taken, in the order asked for.
    pub fn outputs(&self) -> &[NodeId] {
        &self.outputs
    }

    /// Marks a checkpoint: what a coefficient or a transpose stands before, for these are not computed.
    pub(crate) fn keep(&mut self, mut id: NodeId) {
        while let (Op::Scale(_) | Op::Transpose, Some(&x)) = (self.node(id).op, self.node(id).args.first()) {
            id = x;
        }
        if let Some(node) = self.nodes.get_mut(id.index()) {
            node.checkpoint = true;
        }
    }

    /// The text of a name.
    pub fn name(&self, name: Name) -> &str {
        self.names.get(name.0 as usize).map_or("?", String::as_str)
    }

    /// The indices in a list.
    pub fn indices(&self, list: Indices) -> &Arc<[usize]> {
        static NONE: LazyLock<Arc<[usize]>> = LazyLock::new(|| Arc::from([]));
        self.lists.get(list.0 as usize).unwrap_or(&NONE)
    }

    /// The indices in a list as they stand in a formula: `2..5`, or the first few of them.
    pub fn indices_text(&self, list: Indices) -> String {
        crate::formula::rows(self.indices(list))
    }

    /// The nodes that `outputs` need, renumbered. Time and space are linear in the largest output's index.
    pub(crate) fn extract(&self, outputs: &[NodeId]) -> Graph {
        let len = outputs.iter().map(|id| id.index() + 1).max().unwrap_or(0);
        let mut renumbered: Vec<Option<NodeId>> = vec![None; len];
        for id in outputs {
            renumbered[id.index()] = Some(NodeId(0));
        }
        for (i, node) in self.nodes.iter().enumerate().take(len).rev() {
            if renumbered[i].is_some() {
                for arg in &node.args {
                    renumbered[arg.index()] = Some(NodeId(0));
                }
            }
        }
        let mut nodes = Vec::new();
        for (i, node) in self.nodes.iter().enumerate().take(len) {
            if renumbered[i].is_some() {
                renumbered[i] = Some(NodeId(nodes.len() as u32));
                let args = node.args.iter().filter_map(|arg| renumbered[arg.index()]).collect();
                nodes.push(Node { args, ..node.clone() });
            }
        }
        let outputs = outputs.iter().filter_map(|id| renumbered[id.index()]).collect();
        Graph {
            nodes,
            names: self.names.clone(),
            lists: self.lists.clone(),
            customs: self.customs.clone(),
            outputs,
        }
    }
}
