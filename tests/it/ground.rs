//! Where a story plays: one embedded node, or a cluster of nodes with a duty each.

use kit::node::{Cluster, Finished, Home, Member, Node};

/// The nodes of a cluster, each with its roles. The first is the one that is asked.
pub(crate) type Duties = &'static [(&'static str, &'static str)];

pub(crate) enum Ground {
    Embedded(Home),
    Cluster(Box<Cluster>, Duties),
}

/// What runs on it.
pub(crate) enum Running<'a> {
    Embedded(&'a Home, Box<Node>),
    Cluster(&'a Cluster, Vec<Member<'a>>),
}

impl Ground {
    pub(crate) fn embedded() -> Self {
        Self::Embedded(Home::new())
    }

    pub(crate) async fn cluster(duties: Duties) -> Self {
        Self::Cluster(Box::new(Cluster::new().await), duties)
    }

    pub(crate) fn home(&self) -> &Home {
        match self {
            Self::Embedded(home) => home,
            Self::Cluster(cluster, _) => cluster.home(),
        }
    }

    /// Starts it, the first time or again.
    pub(crate) async fn start(&self) -> Running<'_> {
        match self {
            Self::Embedded(home) => Running::Embedded(home, Box::new(home.launch().start().await)),
            Self::Cluster(cluster, duties) => {
                let mut members = Vec::new();
                for (name, roles) in *duties {
                    members.push(cluster.start(name, roles).await);
                }
                Running::Cluster(cluster, members)
            }
        }
    }
}

impl Running<'_> {
    /// The node that is asked.
    pub(crate) fn door(&self) -> &Node {
        match self {
            Self::Embedded(_, node) => node,
            Self::Cluster(_, members) => members[0].node(),
        }
    }

    /// All of it stops, in order.
    pub(crate) async fn stop(self) {
        match self {
            Self::Embedded(_, node) => assert!(node.stop().await.success()),
            Self::Cluster(_, members) => {
                for mut member in members {
                    // One that was killed is down already.
                    if member.is_up() {
                        assert!(member.stop().await.success());
                    }
                }
            }
        }
    }

    /// A person at a second terminal.
    pub(crate) async fn type_in(&self, arguments: &[&str]) -> Finished {
        let home = match self {
            Self::Embedded(home, _) => home,
            Self::Cluster(cluster, _) => cluster.home(),
        };
        // A data folder without a node, so that the command line goes where it is told.
        let launch = home.launch().env("GREENROOM_HTTP_ADDR", &self.door().address);
        launch.data(home.path().join("terminal")).run(arguments).await
    }
}
