//! The bus's behaviour suite on RabbitMQ. Each behaviour has a vhost of its own in the tests' broker; those that outlive a
//! crash have a broker of their own, which is killed.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{sync::Arc, time::Duration};

use greenroom_bus::{
    AmqpBus, DELIVERY_LIMIT, amqp,
    suite::{Priorities, Stage},
};
use greenroom_contract::{
    BoxFuture,
    port::bus::{Bus, Error, Receipt},
};
use kit::{
    servers::{Kind, Server, Vhost, shared},
    wait,
};
use tokio::runtime::Handle;

/// A broker may have been started just now.
const LIMIT: Duration = wait::PATIENCE;

struct OnRabbitMq {
    bus: Arc<AmqpBus>,
    place: Place,
    priorities: Priorities,
}

enum Place {
    Shared(#[expect(dead_code, reason = "its end removes the vhost")] Vhost),
    /// Boxed so that both places are small.
    Own(Box<Server>),
}

/// The behaviours whose stage is reopened, by the end of their names.
const CRASHES: [&str; 2] = [
    "what_was_confirmed_is_there_after_a_crash_and_what_was_accepted_is_not",
    "dead_letters_and_retired_queues_outlive_a_crash",
];

/// A connected bus.
pub(super) async fn connect(url: &str) -> Arc<AmqpBus> {
    let bus = AmqpBus::start(url, amqp::Options::default()).await.unwrap();
    wait::seen("the bus to be connected", LIMIT, async || bus.health().await).await;
    bus
}

async fn fresh() -> OnRabbitMq {
    // A test runs on a thread of its name.
    let thread = std::thread::current();
    let name = thread.name().unwrap_or_default();
    if CRASHES.iter().any(|crash| name.ends_with(crash)) {
        let server = Server::start(Kind::RabbitMq).await;
        let bus = connect(server.url()).await;
        return OnRabbitMq { bus, place: Place::Own(Box::new(server)), priorities: Priorities::Ignored };
    }
    let vhost = shared().vhost().await;
    // Debian's broker, or the one that GREENROOM_TEST_AMQP_URL names.
    let priorities = match vhost.broker_version().await {
        (..4, _) => Priorities::Ignored,
        (4, ..3) => Priorities::TwoClasses,
        _ => Priorities::Strict,
    };
    OnRabbitMq { bus: connect(&vhost.url).await, place: Place::Shared(vhost), priorities }
}

impl Stage for OnRabbitMq {
    const DELIVERY_LIMIT: u32 = DELIVERY_LIMIT;
    const REJECTED_KEEPS_ITS_PLACE: bool = false;
    const SETTLING_IS_DURABLE: bool = false;
    const REMEMBERS_QUEUES: bool = false;

    fn priorities(&self) -> Priorities {
        self.priorities
    }

    fn bus(&self) -> Arc<dyn Bus> {
        self.bus.clone()
    }

    fn publish_raw(&self, topic: &str, body: Vec<u8>) -> BoxFuture<'_, Result<Receipt, Error>> {
        self.bus.publish_raw(topic, body)
    }

    async fn reopen(self) -> Self {
        let Self { bus, place, priorities } = self;
        let Place::Own(mut server) = place else { panic!("add the behaviour to CRASHES: it kills its broker") };
        let runtime = Handle::current();
        // On a thread of its own: the kit's waiting cannot be sent between threads.
        let opened = tokio::task::spawn_blocking(move || {
            runtime.block_on(async move {
                server.kill().await;
                drop(bus);
                server.start_again().await;
                (connect(server.url()).await, server)
            })
        });
        let (bus, server) = opened.await.unwrap();
        Self { bus, place: Place::Own(server), priorities }
    }
}

greenroom_bus::bus_suite!(fresh);
