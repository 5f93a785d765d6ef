-- What operators and holders say about certificates that ACME clients look after.

-- +goose Up
-- Certificates that should be renewed early. The scope is *, or provisioner:ID, issuer:KEY,
-- serial:HEX; it means those issued until then.
CREATE TABLE IF NOT EXISTS acme_renewals (
	scope {key255} NOT NULL PRIMARY KEY,
	explanation {text} NOT NULL,
	created_at {int} NOT NULL
) {clustered};

-- Keys whose holder says that somebody else has them, by the digest that certificates are
-- recorded with.
CREATE TABLE IF NOT EXISTS compromised_keys (
	key_id {key255} NOT NULL PRIMARY KEY,
	created_at {int} NOT NULL
) {clustered};
