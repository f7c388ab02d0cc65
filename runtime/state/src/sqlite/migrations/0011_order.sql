-- Events go out in the order of their writing under each topic, also when some fail: the relay's claim asks for an earlier one
-- that has failed, and who writes a new one, for any that still wait to be taken.
CREATE INDEX outbox_failed ON outbox (topic, id) WHERE published = 0 AND kind = 'event' AND attempts > 0;
CREATE INDEX outbox_waiting ON outbox (topic) WHERE published = 0 AND kind = 'event' AND lease_until IS NULL;
