-- What agents keep in mind: short texts under keys, of each agent apart.
CREATE TABLE memories (
    agent  text COLLATE "C" NOT NULL,
    key    text COLLATE "C" NOT NULL,
    at     bigint NOT NULL,
    text   text NOT NULL,
    PRIMARY KEY (agent, key)
);
