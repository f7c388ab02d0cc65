-- Events go out in the order of their writing under each topic, also when some fail: `statements/lease.sql` asks for an earlier
-- one that has failed, and who writes a new one, for any that still wait to be taken.
CREATE INDEX outbox_failed ON outbox (topic, id) WHERE NOT published AND kind = 'event' AND attempts > 0;
CREATE INDEX outbox_waiting ON outbox (topic) WHERE NOT published AND kind = 'event' AND lease_until IS NULL;
