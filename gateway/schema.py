"""The tables of the one SQLite file, as the steps from an empty file to today's. A step that has been released is never
changed; what is new comes as a further step.
"""

from __future__ import annotations

FIRST_SOURCE = "backend"
"""Whose everything is that was synchronised before sources had names, and what a token is that names none."""

_FIRST = """
CREATE TABLE events(seq INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, device TEXT NOT NULL, type TEXT NOT NULL,
  at INTEGER NOT NULL, received_at INTEGER NOT NULL, late INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE states(name TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;

CREATE TABLE alerts(id TEXT PRIMARY KEY, key TEXT NOT NULL, open INTEGER NOT NULL, type TEXT NOT NULL,
  severity INTEGER NOT NULL, condition TEXT NOT NULL, community TEXT NOT NULL, building TEXT NOT NULL,
  device TEXT NOT NULL, raised_at INTEGER NOT NULL, seq INTEGER NOT NULL, body BLOB NOT NULL) WITHOUT ROWID;
CREATE UNIQUE INDEX alerts_open ON alerts(key) WHERE open = 1;
CREATE INDEX alerts_seq ON alerts(seq);
CREATE INDEX alerts_raised ON alerts(raised_at, id);
CREATE INDEX alerts_key ON alerts(key, raised_at);
CREATE TABLE alert_changes(seq INTEGER PRIMARY KEY AUTOINCREMENT, alert TEXT NOT NULL, change TEXT NOT NULL,
  actor TEXT NOT NULL, reason TEXT NOT NULL, at INTEGER NOT NULL, body BLOB NOT NULL);
CREATE INDEX alert_changes_alert ON alert_changes(alert, seq);

CREATE TABLE commands(id TEXT PRIMARY KEY, idempotency_key TEXT UNIQUE, device TEXT NOT NULL, type TEXT NOT NULL,
  body BLOB NOT NULL, requested_by TEXT NOT NULL, requested_at INTEGER NOT NULL, not_after INTEGER NOT NULL,
  status TEXT NOT NULL, reason TEXT NOT NULL, updated_at INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX commands_device ON commands(device, requested_at);
CREATE INDEX commands_unfinished ON commands(status) WHERE status IN ('sent', 'accepted');

CREATE TABLE jobs(id TEXT PRIMARY KEY, kind TEXT NOT NULL, device TEXT NOT NULL, body BLOB NOT NULL,
  not_after INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE captures(key TEXT PRIMARY KEY, device TEXT NOT NULL, at INTEGER NOT NULL, size INTEGER NOT NULL,
  media TEXT NOT NULL, expires INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX captures_expires ON captures(expires);
CREATE TABLE quarantine(seq INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, address TEXT NOT NULL,
  topic TEXT NOT NULL, reason TEXT NOT NULL, size INTEGER NOT NULL, payload BLOB NOT NULL);
CREATE TABLE points(seq INTEGER PRIMARY KEY AUTOINCREMENT, device TEXT NOT NULL, metric TEXT NOT NULL,
  at INTEGER NOT NULL, value REAL NOT NULL);
CREATE TABLE points_hourly(device TEXT NOT NULL, metric TEXT NOT NULL, hour INTEGER NOT NULL, count INTEGER NOT NULL,
  low REAL NOT NULL, high REAL NOT NULL, total REAL NOT NULL, PRIMARY KEY(device, metric, hour)) WITHOUT ROWID;
CREATE TABLE cursors(name TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;

CREATE TABLE devices(id TEXT PRIMARY KEY, protocol TEXT NOT NULL, address TEXT NOT NULL, body BLOB NOT NULL,
  UNIQUE(protocol, address)) WITHOUT ROWID;
CREATE TABLE places(id TEXT PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL, parent TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE people(id TEXT PRIMARY KEY, key BLOB NOT NULL, body BLOB NOT NULL, created_at INTEGER NOT NULL)
  WITHOUT ROWID;
CREATE TABLE consents(id TEXT PRIMARY KEY, person TEXT NOT NULL, scope TEXT NOT NULL, granted_at INTEGER NOT NULL,
  until INTEGER NOT NULL, recorded_by TEXT NOT NULL, withdrawn_at INTEGER, receipt TEXT) WITHOUT ROWID;
CREATE INDEX consents_person ON consents(person);
CREATE TABLE templates(id TEXT PRIMARY KEY, person TEXT NOT NULL, model TEXT NOT NULL, vector BLOB NOT NULL,
  photo TEXT NOT NULL, created_at INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX templates_person ON templates(person);
CREATE TABLE credentials(hash BLOB PRIMARY KEY, method TEXT NOT NULL, person TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX credentials_person ON credentials(person);
CREATE TABLE vehicles(plate TEXT PRIMARY KEY, id TEXT NOT NULL UNIQUE, listing TEXT NOT NULL, owner TEXT NOT NULL,
  valid_from INTEGER, valid_to INTEGER, note TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE subscriptions(id TEXT PRIMARY KEY, url TEXT NOT NULL, secret BLOB NOT NULL, types TEXT NOT NULL,
  max_severity INTEGER NOT NULL, communities TEXT NOT NULL, cursor INTEGER NOT NULL, created_at INTEGER NOT NULL,
  disabled TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE dead_letters(seq INTEGER PRIMARY KEY AUTOINCREMENT, subscription TEXT NOT NULL, change INTEGER NOT NULL,
  at INTEGER NOT NULL, reason TEXT NOT NULL, attempts INTEGER NOT NULL);
CREATE TABLE tokens(id TEXT PRIMARY KEY, hash BLOB NOT NULL UNIQUE, name TEXT NOT NULL, scopes TEXT NOT NULL,
  created_at INTEGER NOT NULL, expires_at INTEGER, revoked_at INTEGER) WITHOUT ROWID;
"""

_STAFF = """
CREATE TABLE staff(id TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
ALTER TABLE alerts ADD COLUMN incident TEXT NOT NULL DEFAULT '';
ALTER TABLE alerts ADD COLUMN hidden INTEGER NOT NULL DEFAULT 0;
CREATE INDEX alerts_incident ON alerts(incident) WHERE open = 1;
CREATE INDEX alerts_device ON alerts(device, raised_at, id);
CREATE INDEX alerts_community ON alerts(community, raised_at, id);
CREATE INDEX alerts_type ON alerts(type, raised_at, id);
CREATE INDEX alerts_severity ON alerts(severity, raised_at, id);
"""

_FACES = """
CREATE TABLE calibrations(seq INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, recorded_by TEXT NOT NULL,
  body BLOB NOT NULL);
CREATE TABLE not_them(person TEXT NOT NULL, evidence TEXT NOT NULL, vector BLOB NOT NULL, recorded_by TEXT NOT NULL,
  at INTEGER NOT NULL, PRIMARY KEY(person, evidence)) WITHOUT ROWID;
CREATE TABLE sightings(device TEXT NOT NULL, at INTEGER NOT NULL, evidence TEXT NOT NULL, fingerprint BLOB NOT NULL);
CREATE INDEX sightings_at ON sightings(at);
CREATE INDEX sightings_evidence ON sightings(evidence);
CREATE INDEX events_of_people ON events(received_at)
  WHERE type IN ('face_identified', 'access_granted', 'access_denied');
"""

_HTTP_ACCESS = """
CREATE TABLE device_access(device TEXT PRIMARY KEY, sealed BLOB NOT NULL) WITHOUT ROWID;
"""

_LISTS = """
ALTER TABLE consents ADD COLUMN terminals INTEGER NOT NULL DEFAULT 0;
CREATE TABLE list_entries(device TEXT NOT NULL, what TEXT NOT NULL, entry TEXT NOT NULL, revision TEXT NOT NULL,
  state TEXT NOT NULL, reason TEXT NOT NULL, command TEXT NOT NULL, waiting INTEGER NOT NULL, at INTEGER NOT NULL,
  not_before INTEGER, PRIMARY KEY(device, what, entry)) WITHOUT ROWID;
CREATE INDEX list_entries_entry ON list_entries(entry);
CREATE INDEX list_entries_waiting ON list_entries(device) WHERE waiting = 1;
CREATE TABLE list_devices(device TEXT PRIMARY KEY, identity TEXT NOT NULL, boot_id TEXT NOT NULL, doubted_at INTEGER,
  failures INTEGER NOT NULL, not_before INTEGER) WITHOUT ROWID;
"""

_STANDING = """
CREATE TABLE standing(device TEXT NOT NULL, topic TEXT NOT NULL, said BLOB NOT NULL, PRIMARY KEY(device, topic))
  WITHOUT ROWID;
"""

_SCENES = """
CREATE TABLE scenes(device TEXT PRIMARY KEY, memory BLOB NOT NULL) WITHOUT ROWID;
"""

_LEDGER = """
CREATE TABLE ledger(seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, kind TEXT NOT NULL, body BLOB NOT NULL,
  hash BLOB NOT NULL);
CREATE INDEX ledger_estate ON ledger(seq) WHERE kind='estate';
CREATE TABLE ledger_seals(seq INTEGER NOT NULL, hash BLOB NOT NULL, at INTEGER NOT NULL, kind TEXT NOT NULL,
  signature BLOB NOT NULL, PRIMARY KEY(seq, kind, at)) WITHOUT ROWID;
CREATE TABLE pseudonym_keys(community TEXT PRIMARY KEY, key BLOB NOT NULL) WITHOUT ROWID;

ALTER TABLE subscriptions ADD COLUMN places TEXT NOT NULL DEFAULT '[]';
ALTER TABLE subscriptions ADD COLUMN old_secret BLOB;
ALTER TABLE subscriptions ADD COLUMN old_until INTEGER NOT NULL DEFAULT 0;
ALTER TABLE subscriptions ADD COLUMN clear_text INTEGER NOT NULL DEFAULT 0;
ALTER TABLE subscriptions ADD COLUMN evidence_hours REAL NOT NULL DEFAULT 0;
CREATE TABLE evidence_looks(link BLOB PRIMARY KEY, subscription TEXT NOT NULL, until INTEGER NOT NULL,
  looks INTEGER NOT NULL) WITHOUT ROWID;
"""

_SYNC = """
CREATE TABLE passes(id TEXT PRIMARY KEY, person TEXT NOT NULL, kind TEXT NOT NULL, scope TEXT NOT NULL,
  valid_from INTEGER, valid_to INTEGER, ended INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX passes_person ON passes(person);
CREATE TABLE sync_revisions(section TEXT NOT NULL, revision INTEGER NOT NULL, base INTEGER, at INTEGER NOT NULL,
  by TEXT NOT NULL, pages TEXT NOT NULL, added INTEGER NOT NULL, changed INTEGER NOT NULL, removed INTEGER NOT NULL,
  refused INTEGER NOT NULL, answer BLOB, PRIMARY KEY(section, revision)) WITHOUT ROWID;
CREATE TABLE sync_items(section TEXT NOT NULL, id TEXT NOT NULL, given BLOB NOT NULL, PRIMARY KEY(section, id))
  WITHOUT ROWID;
CREATE TABLE sync_pages(section TEXT NOT NULL, page INTEGER NOT NULL, revision INTEGER NOT NULL, pages INTEGER NOT NULL,
  digest TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY(section, page)) WITHOUT ROWID;
"""

_FEED = """
ALTER TABLE alert_changes ADD COLUMN hash TEXT NOT NULL DEFAULT '';
ALTER TABLE alert_changes ADD COLUMN ledger TEXT NOT NULL DEFAULT '';
"""

_NOTES = """
CREATE TABLE ledger_notes(seq INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, body TEXT NOT NULL);

CREATE TRIGGER token_added AFTER INSERT ON tokens BEGIN
  INSERT INTO ledger_notes(kind, body) VALUES ('token', json_object('change', 'added', 'expires_at', new.expires_at,
    'scopes', json(new.scopes), 'token', new.id)); END;
CREATE TRIGGER token_changed AFTER UPDATE ON tokens BEGIN
  INSERT INTO ledger_notes(kind, body) VALUES ('token', json_object('change', 'changed', 'expires_at', new.expires_at,
    'revoked', json(iif(new.revoked_at IS NULL, 'false', 'true')), 'scopes', json(new.scopes), 'token', new.id)); END;
CREATE TRIGGER token_removed AFTER DELETE ON tokens BEGIN
  INSERT INTO ledger_notes(kind, body) VALUES ('token', json_object('change', 'removed', 'token', old.id)); END;

CREATE TRIGGER subscription_added AFTER INSERT ON subscriptions BEGIN
  INSERT INTO ledger_notes(kind, body) VALUES ('subscription', json_object('change', 'added', 'subscription', new.id,
    'clear_text', new.clear_text, 'evidence_hours', new.evidence_hours)); END;
CREATE TRIGGER subscription_changed AFTER UPDATE OF url, types, max_severity, communities, places, clear_text,
  evidence_hours ON subscriptions BEGIN
  INSERT INTO ledger_notes(kind, body) VALUES ('subscription', json_object('change', 'changed', 'subscription', new.id,
    'clear_text', new.clear_text, 'evidence_hours', new.evidence_hours)); END;
CREATE TRIGGER subscription_secret AFTER UPDATE OF secret ON subscriptions BEGIN
  INSERT INTO ledger_notes(kind, body) VALUES ('subscription', json_object('change', 'secret_rotated',
    'subscription', new.id)); END;
CREATE TRIGGER subscription_disabled AFTER UPDATE OF disabled ON subscriptions WHEN new.disabled <> old.disabled BEGIN
  INSERT INTO ledger_notes(kind, body) VALUES ('subscription', json_object('subscription', new.id,
    'change', iif(new.disabled = '', 'resumed', 'disabled'))); END;
CREATE TRIGGER subscription_removed AFTER DELETE ON subscriptions BEGIN
  INSERT INTO ledger_notes(kind, body) VALUES ('subscription', json_object('change', 'removed',
    'subscription', old.id)); END;

CREATE TRIGGER consent_given AFTER INSERT ON consents BEGIN
  INSERT INTO ledger_notes(kind, body) VALUES ('consent', json_object('change', 'given', 'consent', new.id,
    'until', new.until)); END;
CREATE TRIGGER consent_ended AFTER UPDATE OF withdrawn_at ON consents WHEN new.withdrawn_at IS NOT NULL BEGIN
  INSERT INTO ledger_notes(kind, body) VALUES ('consent', json_object('change', 'ended', 'consent', new.id)); END;
"""
"""What anybody does to tokens, subscriptions and consents, in whatever way, waits here for its place in the ledger."""

_ASIDE = """
CREATE TABLE set_aside(seq INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, source TEXT NOT NULL,
  name TEXT NOT NULL, reason TEXT NOT NULL, row BLOB NOT NULL);
"""

# SQLite builds the list of an IN anew for every row it considers for a partial index; ORs cost a tenth of that.
_PEOPLE = """
DROP INDEX events_of_people;
CREATE INDEX events_of_people ON events(received_at)
  WHERE (type = 'face_identified' OR type = 'access_granted' OR type = 'access_denied');
"""

_SOURCES = """
ALTER TABLE tokens ADD COLUMN source TEXT NOT NULL DEFAULT 'backend';
ALTER TABLE sync_revisions RENAME TO old_revisions;
ALTER TABLE sync_items RENAME TO old_items;
ALTER TABLE sync_pages RENAME TO old_pages;
CREATE TABLE sync_revisions(source TEXT NOT NULL, section TEXT NOT NULL, revision INTEGER NOT NULL, base INTEGER,
  at INTEGER NOT NULL, by TEXT NOT NULL, pages TEXT NOT NULL, added INTEGER NOT NULL, changed INTEGER NOT NULL,
  removed INTEGER NOT NULL, refused INTEGER NOT NULL, answer BLOB, PRIMARY KEY(source, section, revision));
CREATE TABLE sync_items(source TEXT NOT NULL, section TEXT NOT NULL, id TEXT NOT NULL, given BLOB NOT NULL,
  shared INTEGER NOT NULL, PRIMARY KEY(section, id, source)) WITHOUT ROWID;
CREATE UNIQUE INDEX sync_items_owner ON sync_items(section, id) WHERE shared = 0;
CREATE INDEX sync_items_source ON sync_items(source, section, id);
CREATE TABLE sync_pages(source TEXT NOT NULL, section TEXT NOT NULL, page INTEGER NOT NULL, revision INTEGER NOT NULL,
  pages INTEGER NOT NULL, digest TEXT NOT NULL, body BLOB NOT NULL, sent TEXT NOT NULL, at INTEGER NOT NULL,
  PRIMARY KEY(source, section, page)) WITHOUT ROWID;
INSERT INTO sync_revisions SELECT 'backend', * FROM old_revisions;
INSERT INTO sync_items SELECT 'backend', section, id, given, 0 FROM old_items;
INSERT INTO sync_pages SELECT 'backend', section, page, revision, pages, digest, body, '',
  CAST(strftime('%s', 'now') AS INTEGER) * 1000000 FROM old_pages;
DROP TABLE old_revisions;
DROP TABLE old_items;
DROP TABLE old_pages;
"""

_DOOMED = """
CREATE TABLE doomed_files(key TEXT PRIMARY KEY) WITHOUT ROWID;
"""

MIGRATIONS: tuple[str, ...] = (
    *(_FIRST, _STAFF, _FACES, _HTTP_ACCESS, _LISTS, _STANDING, _SCENES, _LEDGER, _SYNC, _FEED),
    *(_NOTES, _ASIDE, _PEOPLE, _SOURCES, _DOOMED),
)
"""Step n brings a file of version n to version n + 1 (`PRAGMA user_version`), in one transaction."""
