//! Stories that play embedded and on the cluster's backends alike.

use kit::{
    model::ModelServer,
    node::{Home, Launch},
    servers::{Backends, shared},
};

/// Where a story plays.
pub(crate) struct Stand {
    pub(crate) home: Home,
    pub(crate) model: ModelServer,
    backends: Option<Backends>,
}

impl Stand {
    /// On one machine, without servers.
    pub(crate) async fn embedded() -> Self {
        Self { home: Home::new(), model: ModelServer::start().await, backends: None }
    }

    /// On the cluster's backends.
    pub(crate) async fn cluster() -> Self {
        Self { backends: Some(shared().backends().await), ..Self::embedded().await }
    }

    /// Whether it plays on the cluster's backends.
    pub(crate) fn is_cluster(&self) -> bool {
        self.backends.is_some()
    }

    /// A node of the story.
    pub(crate) fn launch(&self) -> Launch<'_> {
        let variables = self.backends.iter().flat_map(Backends::variables);
        self.home.launch().envs(variables)
    }
}

/// Makes a test of each story, a function of a [`Stand`], on each ground.
macro_rules! on_both {
    ($($story:ident)*) => {
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $story() {
                super::$story(crate::stand::Stand::embedded().await).await;
            })*
        }
        mod cluster {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $story() {
                super::$story(crate::stand::Stand::cluster().await).await;
            })*
        }
    };
}
pub(crate) use on_both;
