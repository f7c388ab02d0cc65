//! The behaviour suites of the ports, on bus and store in memory.

use std::sync::Arc;

use greenroom_bus::suite::Stage as BusStage;
use greenroom_contract::{
    BoxFuture, Clock,
    clock::SystemClock,
    port::bus::{Bus, Error, Receipt},
};
use greenroom_state::suite::{ManualClock, Stage};
use kit::memory::{DELIVERY_LIMIT, MemoryBus, MemoryState};

mod store {
    use super::{Arc, Clock, ManualClock, MemoryState, Stage};

    async fn fresh() -> Stage {
        let clock = Arc::new(ManualClock::default());
        Stage::new(Arc::new(MemoryState::new(Arc::clone(&clock) as Arc<dyn Clock>)), clock, ())
    }

    greenroom_state::state_suite!(fresh);
}

struct InMemory(MemoryBus);

impl BusStage for InMemory {
    const DELIVERY_LIMIT: u32 = DELIVERY_LIMIT;

    fn bus(&self) -> Arc<dyn Bus> {
        Arc::new(self.0.clone())
    }

    fn publish_raw(&self, topic: &str, body: Vec<u8>) -> BoxFuture<'_, Result<Receipt, Error>> {
        Box::pin(std::future::ready(self.0.publish_raw(topic, &body)))
    }

    async fn reopen(self) -> Self {
        Self(self.0.after_crash())
    }
}

mod bus {
    use super::{Arc, InMemory, MemoryBus, SystemClock};

    async fn fresh() -> InMemory {
        InMemory(MemoryBus::new(Arc::new(SystemClock)))
    }

    greenroom_bus::bus_suite!(fresh);
}
